"""Composes embedder and index: photos in, categories and similar listings out."""

import lookalike.serving  # noqa: F401  before gRPC is imported

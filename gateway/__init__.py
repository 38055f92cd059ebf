"""Composes embedder and index: photos in, categories and similar listings out."""

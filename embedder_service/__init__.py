"""The embedder: turns photos into vectors with a model bundle, over gRPC."""

import sys

import lookalike.serving  # noqa: F401  before gRPC is imported

# OpenVINO reports its import to its makers, by a child process that hangs where the network drops
# packets, and that the end of this one then waits for; without this package it does not.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

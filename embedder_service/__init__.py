"""The embedder: turns photos into vectors with a model bundle, over gRPC."""

import os
import sys

# OpenVINO reports its import to its makers, by a child process that hangs where the network drops
# packets, and that the end of this one then waits for; without this package it does not.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
# gRPC reads this when it is imported, and would write lines that are not in our log's format.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

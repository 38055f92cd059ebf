"""Turns photos into vectors with a model bundle, over gRPC."""

import os

# gRPC reads it when it is imported. OpenVINO forks once while it loads, which gRPC would remark on
# in a line that is not of our log's format.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

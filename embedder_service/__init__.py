"""The embedder: turns photos into vectors with a model bundle, over gRPC."""

import os

# gRPC reads this when it is imported. OpenVINO forks once while it loads, and gRPC would warn about
# it in a line that is not in our log's format.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

"""Runs server processes: life cycle, health, interceptors, settings, telemetry.

The wheel leaves it out, since users of the SDK run no server. Each service imports this first.
"""

import os

# gRPC reads it when it is imported, and would write lines that are not in our log's format, such as
# one for each stranger's handshake.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

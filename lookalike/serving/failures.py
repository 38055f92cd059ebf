"""Which calls have failed. The error budget, the log, spans and dashboards all go by this.

Failed is what was the service's fault: not what a caller did wrong, nor a caller who left, nor what
was refused for want of room or is not supported.
"""

from __future__ import annotations

# Of gRPC.
STATUSES = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})
# What these become over HTTP, and 0 for a server that stopped before it had answered.
HTTP_STATUSES = frozenset({0, 500, 503, 504})

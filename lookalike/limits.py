"""Limits that more than one service holds its callers to.

The gateway passes on to the index what it was sent: a limit of its own would let through what the
index refuses. The protos name them too.
"""

from __future__ import annotations

MAX_K = 1_000
MAX_DIMENSION = 4096
# Candidates of a second stage; what a model's manifest asks for is held to it too.
MAX_CANDIDATES = 10_000

# Of a filter: listings that it names, and values of each other condition.
MAX_FILTER_PRODUCTS = 1_000
MAX_FILTER_VALUES = 100

MAX_PAGE_SIZE = 1_000
DEFAULT_PAGE_SIZE = 100

# Characters.
MAX_ID_LENGTH = 128
MAX_CATEGORY_LENGTH = 256
MAX_TEXT_LENGTH = 8192
# Of words that are looked for.
MAX_WORDS_LENGTH = 1024

# Calls at a time on one connection, which clients keep to. gRPC counts a call until the server has
# let go of it and refuses those above: who sends as many as it may meets some UNAVAILABLE.
MAX_CALLS_PER_CONNECTION = 4_000
# Seconds between a connection's keepalive pings: the shortest that servers permit, with and without
# calls, and what our own clients keep to.
MIN_PING_INTERVAL_S = 10
PING_INTERVAL_S = 60

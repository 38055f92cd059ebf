"""Stores the vectors of listings' photos and finds the nearest of them."""

import os

import lookalike.serving  # noqa: F401  before gRPC is imported

# Each search runs on one thread of a sized pool. OpenMP would give every thread of that pool a
# team of its own that busy-waits: calls would then compete for cores. The runtime reads both when
# FAISS is imported, so they are set here, before any import of FAISS in this package.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

"""Owns the vectors of listings' photos and finds the nearest of them."""

import os

# Each search runs on one thread of a sized pool. OpenMP would give every thread of that pool a
# team of its own, and busy-wait in it: calls would then fight over cores. The runtime reads both
# when FAISS is imported, so they are set where no import of FAISS in this package can come first.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

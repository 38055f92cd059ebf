"""What words cost: beside photos, in memory, and in a search.

The text tower is the packaged MiniLM with heads of random weights; photos are as in `embedder`.
"""

from benchmarks.multimodal.rounds import measure

__all__ = ["measure"]

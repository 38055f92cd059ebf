"""Servers that ours is compared with, on the same bundle and photos."""

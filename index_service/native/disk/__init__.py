"""The files: the data directory, the cache, snapshots."""

"""Files beside the store: the data directory, the cache, snapshots."""

"""The index in memory: columns, segments, graphs, and the state that readers see."""

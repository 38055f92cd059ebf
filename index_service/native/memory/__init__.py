"""What memory holds: columns, segments, graphs, and the state that readers see."""

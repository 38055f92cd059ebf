"""What `lookalike reindex` is made of: the copy, the comparison, the switch."""

"""Queries against what memory holds: conditions, plan, candidates, ranking."""

"""Searches memory: conditions, plan, candidates, ranking."""

"""The rules of ranking that every backend shares: queries, order, error bounds, second stage."""

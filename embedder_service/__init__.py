"""Turns photos into vectors with a model bundle, over gRPC."""

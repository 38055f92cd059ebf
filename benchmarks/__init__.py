"""Measurements, each a table and a JSON file of one shape: `python -m benchmarks NAME`."""

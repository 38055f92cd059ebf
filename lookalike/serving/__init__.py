"""Runs server processes: life cycle, health, interceptors, settings, telemetry.

The wheel leaves it out, since users of the SDK run no server.
"""

"""What runs a server process: life cycle, health, interceptors, settings, telemetry.

The wheel leaves it out: users of the SDK run no server.
"""

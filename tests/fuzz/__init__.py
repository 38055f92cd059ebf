"""Fuzzing: bytes that nobody sends on purpose, for every reader of what the outside sends.

`make fuzz` runs it for as long as it is told; `test_replay.py` repeats what once failed, and some
more, with each change.
"""

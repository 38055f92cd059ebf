"""`python -m benchmarks NAME`: what it does is in `command.py`."""

from __future__ import annotations

import sys

from lookalike.command import run_command


def main() -> int:
    """Runs it; returns the exit status."""
    from benchmarks.command import main

    return main()


if __name__ == "__main__":
    sys.exit(run_command("benchmarks", main))

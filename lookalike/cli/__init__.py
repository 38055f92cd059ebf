"""The command line `lookalike …`: asks the gateway, fills the catalogue, embeds, re-indexes.

Needs the extra `cli`. Nothing else of `lookalike` imports it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from lookalike.command import run_command

_NEEDED = ("typer", "rich", "pyarrow", "PIL")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status (`lookalike.cli.console.ExitCode`)."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    return run_command("lookalike", lambda: _run(given))


def _run(arguments: Sequence[str]) -> int:
    # gRPC reads it when it is imported, and would write lines of its own about a bad certificate.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        from lookalike.cli.app import run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _NEEDED:
            raise
        print(
            f"lookalike: the package {error.name} is missing; run: pip install 'lookalike[cli]'",
            file=sys.stderr,
        )
        return 1
    return run(arguments)

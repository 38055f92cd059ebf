"""Makes a token: `python -m lookalike.serving.tokens NAME SCOPES >> FILE`.

SCOPES are read, write and admin, with commas between. The line for the file of tokens goes to
stdout, the token itself to stderr: it is shown once, and kept nowhere.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Sequence

from lookalike.serving.access import digest_of, parse_line


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status."""
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)  # noqa: T201  a command line
        return 2
    token = secrets.token_urlsafe(32)
    line = " ".join([*arguments, digest_of(token).hex()])
    try:
        parse_line(line, "the new line")
    except ValueError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    print(line)  # noqa: T201
    print(token, file=sys.stderr)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

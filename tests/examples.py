"""How many cases Hypothesis tries: some with each change, more in `make test-all`."""

from __future__ import annotations

import os

FACTOR = "LOOKALIKE_TEST_EXAMPLES"


def examples(few: int) -> int:
    """Returns that many, or as many times more as LOOKALIKE_TEST_EXAMPLES says."""
    return few * int(os.environ.get(FACTOR, "1"))

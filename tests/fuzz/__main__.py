"""`python -m tests.fuzz [TARGET …] --seconds N [--seed N]`: looks for input that must not fail.

What fails is written to var/fuzz/TARGET/; put it into tests/fuzz/found/TARGET/ with its mending.
"""

from __future__ import annotations

import argparse
import faulthandler
import hashlib
import random
import sys
import time
import traceback
import warnings
from pathlib import Path

from tests.fuzz.mutation import mutated
from tests.fuzz.targets import TARGETS, Target

OUT = Path("var/fuzz")
_HANGS_S = 30


def fuzz(name: str, target: Target, seconds: float, seed: int) -> int:
    """Runs one target for some time; returns how many inputs failed."""
    dice = random.Random(seed)
    until, tried, failed = time.monotonic() + seconds, 0, 0
    folder = OUT / name
    folder.mkdir(parents=True, exist_ok=True)
    running = folder / "running"  # what a crash of the process leaves
    while time.monotonic() < until:
        data = mutated(target.seeds, dice)
        running.write_bytes(data)
        tried += 1
        faulthandler.dump_traceback_later(_HANGS_S, exit=True)
        try:
            target.run(data)
        except Exception:
            failed += 1
            file = folder / hashlib.sha256(data).hexdigest()[:16]
            file.write_bytes(data)
            print(f"{file}: {traceback.format_exc(limit=-3)}", file=sys.stderr)
        finally:
            faulthandler.cancel_dump_traceback_later()
    running.unlink(missing_ok=True)
    print(f"{name}: {tried:,} inputs from seed {seed}, {failed:,} failed", flush=True)
    return failed


def main(arguments: list[str] | None = None) -> int:
    """Runs the targets one after the other; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=float, default=60, help="for all targets together")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args(arguments)
    if unknown := set(options.targets) - TARGETS.keys():
        parser.error(f"{', '.join(sorted(unknown))}: the targets are {', '.join(TARGETS)}")
    warnings.simplefilter("ignore")  # Pillow's, about the damage
    names = options.targets or list(TARGETS)
    each = options.seconds / len(names)
    failed = sum(fuzz(name, TARGETS[name], each, options.seed) for name in names)
    return min(1, failed)


if __name__ == "__main__":
    sys.exit(main())

"""Writes the sample marketplace: `python -m sample --out DIR`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lookalike.progress import photo_progress
from sample.marketplace import SampleError, write_sample


def main(arguments: list[str] | None = None) -> int:
    """Writes the sample, or keeps an existing one; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m sample",
        description="Writes a sample marketplace: drawn photos, raw CSV files.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="directory to write")
    parser.add_argument("--listings", type=int, default=260, help="number of listings")
    parser.add_argument("--seed", type=int, default=7, help="same seed, same marketplace")
    options = parser.parse_args(arguments)
    try:
        with photo_progress("Drawing photos") as reach:
            summary = write_sample(
                options.out, listings=options.listings, seed=options.seed, progress=reach
            )
    except (SampleError, OSError) as error:
        print(f"sample: {error}", file=sys.stderr)
        return 1
    verb = "reused" if summary.reused else "written"
    print(f"{options.out}: {verb}; {summary.listings} listings, {summary.photos} photos, of which")
    print("  " + ", ".join(f"{count} {name}" for name, count in summary.oddities.items()))
    return 0

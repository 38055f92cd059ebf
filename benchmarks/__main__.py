"""`python -m benchmarks NAME [--quick] [--json FILE]`: measures, prints a table, writes JSON."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

from benchmarks import report

NAMES = ("slice", "training", "embedder", "index", "client")


def main() -> None:
    """Runs one benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=NAMES, help="what to measure")
    parser.add_argument("--quick", action="store_true", help="less of everything, within 60 s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures here")
    options = parser.parse_args()
    figures = importlib.import_module(f"benchmarks.{options.name}").measure(quick=options.quick)
    report.show(options.name, figures)
    if options.json:
        report.write(options.json, figures)


if __name__ == "__main__":
    main()

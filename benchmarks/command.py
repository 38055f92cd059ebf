"""`python -m benchmarks NAME [--quick] [--json FILE]`: measures, prints a table, writes JSON.

`quality` measures a model on its data: `--data DIR --bundle DIR`. `operations` may be told which of
its claims: `--only NAME …`.
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

from benchmarks import report

NAMES = (
    "slice",
    "training",
    "embedder",
    "index",
    "gateway",
    "quality",
    "outside",
    "multimodal",
    "containers",
    "operations",
)


def main() -> int:
    """Runs one benchmark; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=NAMES, help="what to measure")
    parser.add_argument("--quick", action="store_true", help="less of everything, within 60 s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures here")
    for name, text in (("data", "raw catalogue"), ("bundle", "model bundle")):
        parser.add_argument(f"--{name}", type=Path, metavar="DIR", help=f"for quality: {text}")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="for operations: which claims")
    options = parser.parse_args()
    given = {name: getattr(options, name) for name in ("data", "bundle") if getattr(options, name)}
    if len(given) != (2 if options.name == "quality" else 0):
        parser.error("quality takes --data and --bundle, and no other takes them")
    benchmark = importlib.import_module(f"benchmarks.{options.name}")
    if options.only:
        if options.name != "operations":
            parser.error("operations takes --only, and no other does")
        if unknown := set(options.only) - set(benchmark.CLAIMS):
            parser.error(f"no claim {min(unknown)}; there are {', '.join(benchmark.CLAIMS)}")
        given["only"] = options.only
    figures = benchmark.measure(quick=options.quick, **given)
    report.show(options.name, figures)
    if options.json:
        report.write(options.json, figures)
    return 0

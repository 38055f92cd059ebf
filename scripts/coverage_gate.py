"""Holds what the tests run of each product file to the levels in tests/coverage.txt.

python -m scripts.coverage_gate          compare what `coverage run` measured; fail below a level
python -m scripts.coverage_gate write    write the levels that were reached

`make test-all` measures and compares. A line of the table is a level in per cent and a file.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "tests/coverage.txt"
REPORT = ROOT / "var/coverage/report.json"


def measured() -> dict[str, float]:
    """Returns the per cent of its statements that ran, by file, of all processes together."""
    command = [sys.executable, "-m", "coverage"]
    subprocess.run([*command, "combine", "--quiet"], cwd=ROOT, check=False)  # once combined, none
    subprocess.run([*command, "json", "--quiet", "-o", str(REPORT)], cwd=ROOT, check=True)
    files = json.loads(REPORT.read_text(encoding="utf-8"))["files"]
    return {name: file["summary"]["percent_covered"] for name, file in files.items()}


def level(percent: float) -> int:
    """Returns the level of a file: a little lower, since some lines run by chance of timing."""
    return 100 if percent == 100 else max(0, math.floor(percent) - 1)


def read(table: str) -> dict[str, int]:
    """Returns the levels by file."""
    rows = (line.split(maxsplit=1) for line in table.splitlines())
    return {name: int(percent) for percent, name in rows}


def written(found: Mapping[str, float]) -> str:
    """Returns the table of what was reached."""
    return "".join(f"{level(percent):3} {name}\n" for name, percent in sorted(found.items()))


def falls(levels: Mapping[str, int], found: Mapping[str, float]) -> list[str]:
    """Returns a line for each file that is below its level, or has none, or is gone."""
    lines = [
        f"{name}: {found[name]:.1f} %, which is below {least} %"
        for name, least in levels.items()
        if name in found and found[name] < least
    ]
    lines += [f"{name}: new, without a level" for name in sorted(found.keys() - levels.keys())]
    lines += [f"{name}: is gone" for name in sorted(levels.keys() - found.keys())]
    return lines


def main(arguments: list[str]) -> int:
    """Compares or writes."""
    found = measured()
    if arguments == ["write"]:
        TABLE.write_text(written(found), encoding="utf-8")
        return 0
    if lines := falls(read(TABLE.read_text(encoding="utf-8")), found):
        print("\n".join(lines), file=sys.stderr)
        print(
            "test what no longer runs, or: python -m scripts.coverage_gate write", file=sys.stderr
        )
        return 1
    print(f"{len(found)} files are covered as {TABLE.relative_to(ROOT)} says")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

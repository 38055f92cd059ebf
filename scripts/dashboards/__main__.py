"""Writes deploy/grafana/*.json, the Grafana dashboards, from the panels listed here.

python -m scripts.dashboards          write them
python -m scripts.dashboards check    fail if they are not what the panels give
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from scripts.dashboards.embedder import EMBEDDER
from scripts.dashboards.gateway import GATEWAY
from scripts.dashboards.grafana import render
from scripts.dashboards.index import INDEX
from scripts.dashboards.overview import OVERVIEW

FOLDER = Path(__file__).resolve().parents[2] / "deploy/grafana"
DASHBOARDS = (OVERVIEW, EMBEDDER, INDEX, GATEWAY)


def files() -> dict[Path, str]:
    """Returns each file with what belongs into it."""
    return {
        FOLDER / f"{dashboard.uid.removeprefix('lookalike-')}.json": json.dumps(
            render(dashboard), indent=2, ensure_ascii=False
        )
        + "\n"
        for dashboard in DASHBOARDS
    }


def main(arguments: list[str]) -> int:
    """Writes or checks the files; returns the exit status."""
    for file, text in files().items():
        if arguments == ["check"]:
            if not file.exists() or file.read_text(encoding="utf-8") != text:
                print(f"{file} is stale; run python -m scripts.dashboards", file=sys.stderr)
                return 1
        else:
            file.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

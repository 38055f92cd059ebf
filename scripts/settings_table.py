"""Writes docs/configuration.md from the services' settings classes.

python -m scripts.settings_table          write it
python -m scripts.settings_table check    fail if it is not what the classes give
"""

from __future__ import annotations

import sys
from pathlib import Path

from embedder_service.config import PREFIX as EMBEDDER_PREFIX
from embedder_service.config import EmbedderSettings
from gateway.config import PREFIX as GATEWAY_PREFIX
from gateway.config import GatewaySettings
from index_service.config import PREFIX as INDEX_PREFIX
from index_service.config import IndexSettings
from lookalike.serving.settings import variables

FILE = Path(__file__).resolve().parent.parent / "docs/configuration.md"
HEADING = """# Configuration

Each service reads its settings once at start from environment variables, and refuses to start on a
bad or unknown one, naming it. This page is written by `python -m scripts.settings_table` from the
services' settings classes; a test holds it to them.
"""


def render() -> str:
    """Returns the page."""
    sections = [HEADING]
    for name, settings, prefix in (
        ("Embedder", EmbedderSettings, EMBEDDER_PREFIX),
        ("Index", IndexSettings, INDEX_PREFIX),
        ("Gateway", GatewaySettings, GATEWAY_PREFIX),
    ):
        rows = [
            f"| `{variable}` | `{default}` | {meaning} |"
            for variable, default, meaning in variables(settings, prefix)
        ]
        sections += [f"## {name}\n", "| variable | default | meaning, and what raising it costs |"]
        sections += ["|---|---|---|", *rows, ""]
    return "\n".join(sections)


def main(arguments: list[str]) -> int:
    """Writes or checks the page; returns the exit status."""
    if arguments == ["check"]:
        if FILE.read_text(encoding="utf-8") == render():
            return 0
        print(f"{FILE} is stale; run `make docs`", file=sys.stderr)
        return 1
    FILE.write_text(render(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

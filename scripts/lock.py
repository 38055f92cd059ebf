"""Writes requirements/*.txt: what each image installs, every file by its hash.

python -m scripts.lock    asks the package index for the hashes of what constraints.txt pins

The locks name no index, so that every machine takes the same bytes from the one that it uses.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "requirements"

# Extras of pyproject.toml by lock, and what is left out of it with all that only this would need.
EXTRAS = {
    "embedder": "embedder",
    "index": "index",
    "index-milvus": "milvus",
    "gateway": "gateway",
    "training": "training",
}
LEFT_OUT = {
    "embedder": (
        "huggingface-hub",  # tokenizers would download with it; ours come from a file
        "openvino-telemetry",  # reports to OpenVINO's makers what is converted
    ),
    "training": (
        "openvino-telemetry",
        # Their builds differ by machine (CPU, CUDA), so no hash fits all.
        "torch",
        "torchvision",
    ),
}
HEADING = "# Written by `python -m scripts.lock` from pyproject.toml and constraints.txt.\n"


def lock(name: str) -> str:
    """Returns the text of one lock; raises CalledProcessError with uv's own words on stderr."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as excludes:
        excludes.write("\n".join(LEFT_OUT.get(name, ())))
        excludes.flush()
        compiled = subprocess.run(
            [sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "--quiet",
             "--extra", EXTRAS[name], "--constraint", "constraints.txt",
             "--excludes", excludes.name, "--generate-hashes", "--no-header", "--no-annotate",
             "--python-version", "3.11", "--python-platform", "linux"],
            cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE,
        )  # fmt: skip
    return HEADING + compiled.stdout


def main() -> int:
    """Writes all locks; returns the exit status."""
    FOLDER.mkdir(exist_ok=True)
    for name in EXTRAS:
        file = FOLDER / f"{name}.txt"
        file.write_text(lock(name), encoding="utf-8")
        print(f"{file.relative_to(ROOT)}: {file.read_text().count('==')} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main())

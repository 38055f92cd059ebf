"""Makes var/milvus-env, the environment in which the contract tests meet a real Milvus.

python -m scripts.milvus_environment [lite]

It holds what the index service needs, pymilvus, and two servers from PyPI: milvus-lite and, without
`lite`, Milvus itself. Apart from .venv because Milvus is large, and no part of what is shipped.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIRECTORY = ROOT / "var/milvus-env"
PACKAGES = (
    "pymilvus==2.6.17",
    "milvus-lite==3.2.2",
    "pytest",
    "pytest-asyncio",
    "pytest-timeout",
)
SERVER = "milvus==2.3.5"  # the newest that PyPI has


def python() -> Path:
    """Returns the environment's interpreter, whether it exists or not."""
    return DIRECTORY / "bin/python"


def make(*, lite: bool = False) -> None:
    """Makes the environment, or brings it up to date; `lite` without Milvus itself."""
    subprocess.run([sys.executable, "-m", "venv", DIRECTORY], check=True)
    install = [str(python()), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    ours = ["--constraint", f"{ROOT}/constraints.txt", "--editable", f"{ROOT}[index]"]
    subprocess.run([*install, *ours, *PACKAGES, *([] if lite else [SERVER])], check=True)
    print(f"{DIRECTORY.relative_to(ROOT)} is ready: python -m pytest tests/contract")


if __name__ == "__main__":
    make(lite=sys.argv[1:] == ["lite"])

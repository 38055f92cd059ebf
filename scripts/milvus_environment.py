"""Makes var/milvus-env, the environment in which the contract tests meet a real Milvus.

python -m scripts.milvus_environment

It holds what the index service needs with pymilvus, and the newest server that is on PyPI. Apart
from .venv, which has milvus-lite, because Milvus is large, and no part of what is shipped.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIRECTORY = ROOT / "var/milvus-env"
PACKAGES = (
    "milvus==2.3.5",
    "pytest",
    "pytest-asyncio",
    "pytest-timeout",
)


def python() -> Path:
    """Returns the environment's interpreter, whether it exists or not."""
    return DIRECTORY / "bin/python"


def make() -> None:
    """Makes the environment, or brings it up to date."""
    subprocess.run([sys.executable, "-m", "venv", DIRECTORY], check=True)
    install = [str(python()), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    ours = ["--constraint", f"{ROOT}/constraints.txt", "--editable", f"{ROOT}[milvus]"]
    subprocess.run([*install, *ours, *PACKAGES], check=True)
    print(f"{DIRECTORY.relative_to(ROOT)} is ready: make test-all")


if __name__ == "__main__":
    make()

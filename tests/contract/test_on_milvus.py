"""Runs the contract tests again, each time on another Milvus, in an environment that has it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import milvus_environment

ROOT = Path(__file__).resolve().parent.parent.parent
# The server listens on all addresses: here it sees a loopback interface alone.
ALONE = ["unshare", "--map-root-user", "--net", "--"]


def interpreter(server: str) -> str:
    """Returns the interpreter that has a server; skips the test if there is none."""
    if server == "milvus-lite":
        return sys.executable
    if not milvus_environment.python().exists():
        pytest.skip("there is no Milvus: `make milvus` installs it")
    return str(milvus_environment.python())


@pytest.mark.long
@pytest.mark.timeout(1300)
@pytest.mark.parametrize("server", ["milvus-lite", "milvus"])
def test_contract_holds_on(server: str, backend_name: str) -> None:
    if backend_name != "native":
        pytest.skip("this is that run")
    python = interpreter(server)
    try:
        subprocess.run([*ALONE, "true"], check=True, capture_output=True)
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no network namespace of its own for Milvus here: {error}")
    command = [python, "-m", "pytest", "tests/contract", "--confcutdir=tests/contract", "-q"]
    done = subprocess.run(
        [*ALONE, *command, "-p", "no:cacheprovider"],
        cwd=ROOT,
        env={**os.environ, "LOOKALIKE_CONTRACT_BACKEND": server},
        check=False,
        capture_output=True,
        text=True,
        timeout=1240,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]

"""The CronJob of snapshots: its command, as it stands in the manifest, against a real index."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.conftest import StartService
from tests.deploy.manifests import ROOT, needs_kubectl, pods


@needs_kubectl
@pytest.mark.parametrize(("scope", "made"), [("admin", True), ("read,write", False)])
def test_its_command_makes_a_snapshot_with_a_token_for_admins_alone(
    start_service: StartService, tmp_path: Path, scope: str, made: bool
) -> None:
    authority = Authority(tmp_path / "tls")
    certificate, key = authority.issue("server")
    token, secret = tmp_path / "token", "a-token-of-the-job-that-is-long-enough"
    token.write_text(secret + "\n")
    hashed = hashlib.sha256(secret.encode()).hexdigest()
    (tmp_path / "tokens").write_text(f"snapshots {scope} {hashed}\n")
    index = start_service(
        "index_service",
        data_dir=tmp_path / "data",
        admin_port=0,
        tls_certificate=certificate,
        tls_key=key,
        tokens=tmp_path / "tokens",
    )
    (container,) = pods("production")["snapshots"]["containers"]
    environment = {
        "INDEX": index.announced("also serving"),
        "CA": str(authority.roots),
        "TOKEN": str(token),
    }
    assert environment.keys() == {each["name"] for each in container["env"]}
    program, *arguments = container["command"]
    assert program == "python"
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        check=False,
        capture_output=True,
        text=True,
    )
    snapshots = tmp_path / "data/snapshots"
    assert (done.returncode == 0) is made, done.stderr
    assert (snapshots.is_dir() and any(snapshots.iterdir())) is made

"""Whose the certificates and tokens are that `make-secrets` makes to try the compose stack."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from cryptography.x509 import DNSName, SubjectAlternativeName, load_pem_x509_certificate

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl")
@pytest.mark.parametrize(
    ("by", "owner"), [({"SUDO_UID": "1234", "SUDO_GID": "567"}, "1234:567"), ({}, "0:0")]
)
def test_who_asked_by_sudo_can_read_what_a_client_shows(
    by: dict[str, str], owner: str, tmp_path: Path
) -> None:
    for name, program in {"id": "echo 0", "chown": f'echo "$@" >> {tmp_path}/given'}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{program}\n")
        (tmp_path / name).chmod(0o755)
    others = {name: value for name, value in os.environ.items() if not name.startswith("SUDO_")}
    path = f"{tmp_path}:{os.environ['PATH']}"
    subprocess.run(
        [ROOT / "deploy/compose/make-secrets", tmp_path / "secrets"],
        cwd=ROOT,
        env={**others, **by, "PATH": path, "PYTHON": sys.executable},
        check=True,
    )
    assert (tmp_path / "given").read_text().splitlines() == [
        "-R 10001:10001 services",
        "-R 65534:65534 prometheus",
        f"-R {owner} client",
    ]
    assert (tmp_path / "secrets/client/client.key").stat().st_mode & 0o777 == 0o600
    certificate = load_pem_x509_certificate((tmp_path / "secrets/services/server.pem").read_bytes())
    names = certificate.extensions.get_extension_for_class(SubjectAlternativeName).value
    stack = yaml.safe_load((ROOT / "docker-compose.tls.yml").read_text(encoding="utf-8"))
    secured = {name for name, service in stack["services"].items() if "server.pem" in str(service)}
    assert secured | {"localhost"} == set(names.get_values_for_type(DNSName))

"""Certificates of an authority of the tests' own, in files."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import grpc
import trustme


class Authority:
    """An authority, and certificates that it issues."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._authority = trustme.CA()
        self.roots = folder / "roots.pem"
        self._authority.cert_pem.write_to_path(self.roots)

    def issue(
        self,
        name: str,
        *hosts: str,
        begins: datetime | None = None,
        ends: datetime | None = None,
    ) -> tuple[Path, Path]:
        """Writes NAME.pem and NAME.key for these hosts, in the place of earlier ones."""
        issued = self._authority.issue_cert(
            *(hosts or ("127.0.0.1", "localhost")), not_before=begins, not_after=ends
        )
        files = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        contents = b"".join(pem.bytes() for pem in issued.cert_chain_pems), issued.private_key_pem
        replace(files[0], contents[0])
        replace(files[1], contents[1].bytes())
        return files

    def issue_in_one(self, name: str, *hosts: str) -> Path:
        """Writes a certificate and its key into one file."""
        certificate, key = self.issue(name, *hosts)
        one = self._folder / f"{name}-with-key.pem"
        one.write_bytes(certificate.read_bytes() + key.read_bytes())
        return one

    def server(self, *hosts: str, clients: Authority | None = None) -> grpc.ServerCredentials:
        """Credentials of a server of these hosts; with `clients`, for theirs alone."""
        theirs = self._authority.issue_cert(*hosts)
        return grpc.ssl_server_credentials(
            [(theirs.private_key_pem.bytes(), theirs.cert_chain_pems[0].bytes())],
            root_certificates=clients.roots.read_bytes() if clients else None,
            require_client_auth=clients is not None,
        )


def replace(file: Path, content: bytes) -> None:
    """Writes a file beside and moves it into place, as those do who renew certificates."""
    beside = file.with_name(f".{file.name}.new")
    beside.write_bytes(content)
    beside.replace(file)

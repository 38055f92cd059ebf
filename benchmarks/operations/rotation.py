"""Certificates and tokens of all services are replaced while they are called: no call fails.

The authority stays, as it does where certificates are renewed; connections end by their age, so
that new ones are made with what is new.
"""

from __future__ import annotations

import contextlib
import functools
import secrets
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import trustme

from benchmarks.operations.fleet import EMBEDDER, GATEWAY, INDEX, Fleet, benchmark_fleet
from benchmarks.operations.load import Load
from benchmarks.report import Figure
from lookalike import TLS, Client, LookalikeError
from lookalike.serving.access import digest_of

# So short that connections are made anew all the time.
_AGE_S = 2.0
# Services look at their files each second.
_SEEN_S = 2.0
_WAIT_S = 60.0


def measure(*, quick: bool) -> list[Figure]:
    """Replaces all of them several times; once if `quick`."""
    with benchmark_fleet() as (fleet, photos):
        return rotated(fleet, photos, rounds=1 if quick else 5)


def rotated(fleet: Fleet, photos: Sequence[bytes], *, rounds: int) -> list[Figure]:
    """Replaces certificates, callers' tokens and the gateway's own, in turn."""
    secret = Secrets(fleet.folder)
    embedder = fleet.embedder(**secret.settings(EMBEDDER))
    index = fleet.index(**secret.settings(INDEX))
    gateway = fleet.gateway(embedder.address, index.address, **secret.settings(GATEWAY))
    services = {service.module: service.address for service in (embedder, index, gateway)}
    refused = 0
    with Load(
        gateway.address, photos, tls=secret.tls, token=lambda: secret.tokens["caller"]
    ) as load:
        moment = time.monotonic()
        for _ in range(rounds):
            for name, address in services.items():
                before = secret.shown(address)
                secret.renew_certificate(name)
                _until(functools.partial(_differs, secret.shown, address, before))
                load.answered(40)
            for owner in ("caller", "gateway"):
                old = secret.tokens[owner]
                secret.renew_token(owner, load)
                refused += _is_refused(gateway.address, secret.tls, old)
        outcome = load.since(moment)
        lost = load.lost()
    told = f"{outcome}; {3 * rounds} certificates and {2 * rounds} tokens"
    return [
        Figure(
            "certificates and tokens replaced: failed", len(outcome.failed), "calls", 0, note=told
        ),
        Figure("  longest call", outcome.longest_s, "s"),
        Figure("  former tokens that are still taken", 2 * rounds - refused, "tokens", at_most=0),
        Figure("  lost writes", len(lost), "writes", at_most=0),
    ]


class Secrets:
    """An authority, and the files of certificates and tokens that services and callers have.

    Attributes:
        tokens: Of the callers and of the gateway, those of the moment.
        tls: The callers' certificate and authority.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._authority = trustme.CA()
        self._authority.cert_pem.write_to_path(str(folder / "ca.pem"))
        for name in (EMBEDDER, INDEX, GATEWAY, "caller"):
            self.renew_certificate(name)
        self.tokens = {owner: secrets.token_urlsafe(32) for owner in ("caller", "gateway")}
        self._allow(self.tokens.values())
        self._write("gateway.token", self.tokens["gateway"].encode())
        self.tls = TLS(folder / "ca.pem", *self._pair("caller"))

    def settings(self, module: str) -> dict[str, object]:
        """Returns a service's settings."""
        certificate, key = self._pair(module)
        settings: dict[str, object] = {
            "tls_certificate": certificate,
            "tls_key": key,
            "tls_client_ca": self._folder / "ca.pem",
            "tokens": self._folder / "tokens",
            "max_connection_age_s": _AGE_S,
        }
        if module == GATEWAY:
            settings["upstream_ca"] = self._folder / "ca.pem"
            settings["upstream_token"] = self._folder / "gateway.token"
        return settings

    def renew_certificate(self, name: str) -> None:
        """Writes a new certificate, and then its key: for a moment they do not belong together."""
        new = self._authority.issue_cert("127.0.0.1", "localhost")
        certificate, key = self._pair(name)
        self._write(certificate.name, b"".join(pem.bytes() for pem in new.cert_chain_pems))
        self._write(key.name, new.private_key_pem.bytes())

    def renew_token(self, owner: str, load: Load) -> None:
        """Allows a new token beside the old one, uses it, and then allows the old one no more."""
        new = secrets.token_urlsafe(32)
        self._allow([*self.tokens.values(), new])
        _go_on(load)
        self.tokens[owner] = new
        self._write("gateway.token", self.tokens["gateway"].encode())
        _go_on(load)
        self._allow(self.tokens.values())
        _go_on(load)

    def shown(self, address: str) -> bytes:
        """Returns the certificate that a service shows to who connects now."""
        context = ssl.create_default_context(cafile=self._folder / "ca.pem")
        context.load_cert_chain(*self._pair("caller"))
        context.set_alpn_protocols(["h2"])
        host, _, port = address.rpartition(":")
        with (
            socket.create_connection((host, int(port)), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname=host) as encrypted,
        ):
            return encrypted.getpeercert(binary_form=True) or b""

    def _pair(self, name: str) -> tuple[Path, Path]:
        return self._folder / f"{name}.pem", self._folder / f"{name}.key"

    def _allow(self, tokens: Iterable[str]) -> None:
        lines = [
            f"token-{number} read,write {digest_of(token).hex()}\n"
            for number, token in enumerate(tokens)
        ]
        self._write("tokens", "".join(lines).encode())

    def _write(self, name: str, content: bytes) -> None:
        new = self._folder / f"{name}.new"
        new.write_bytes(content)
        new.replace(self._folder / name)


def _go_on(load: Load) -> None:
    """Lets calls go on until every service has looked at its files."""
    until = time.monotonic() + _SEEN_S
    while time.monotonic() < until:
        load.answered(10)


def _is_refused(gateway: str, tls: TLS, token: str) -> bool:
    with Client(gateway, tls=tls, token=token) as client:
        try:
            client.status()
        except LookalikeError as error:
            return error.reason == "UNAUTHENTICATED"
    return False


def _differs(shown: Callable[[str], bytes], address: str, before: bytes) -> bool:
    return shown(address) != before


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _WAIT_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if true():
                return
        time.sleep(0.2)
    raise RuntimeError(f"nothing changed within {_WAIT_S:g} s")

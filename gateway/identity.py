"""Who the gateway is to its upstreams: what it trusts, its certificate and its token, from files.

They are read again when they change, so that certificates and tokens are renewed without a restart.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from lookalike.channel import TLS, is_this_machine
from lookalike.errors import StartupError
from lookalike.serving import pem
from lookalike.serving.setting_files import Renewed, SettingFile

logger = logging.getLogger(__name__)

_LOOK_EVERY_S = 1.0


class Identity:
    """What the gateway's channels are opened with; None of it by default.

    Args:
        ca: PEM file of the authorities that are trusted; empty for plaintext.
        certificate: PEM file of its certificate; empty for none.
        key: PEM file of that certificate's key.
        token: File of its token; empty for none.

    Raises:
        StartupError: A file cannot be used.
    """

    def __init__(self, *, ca: str, certificate: str, key: str, token: str) -> None:
        self.tls = TLS(ca, certificate or None, key or None) if ca else None
        self._token = self._certificates = None
        if token:
            file = _file("UPSTREAM_TOKEN", token)
            self._token = Renewed("upstream token", [file], lambda: _token_in(file))
        if ca:
            files = [_file("UPSTREAM_CA", ca)]
            if certificate:
                files += [_file("TLS_CERTIFICATE", certificate), _file("TLS_KEY", key)]
            self._certificates = Renewed(
                "upstream certificates", files, lambda: _certificates_in(*files)
            )

    def check_secret(self, target: str) -> None:
        """Raises StartupError if the token would be sent to another machine in plaintext."""
        if self.token and not (self.tls or is_this_machine(target)):
            raise StartupError(
                f"the token would go to {target} in plaintext; set LOOKALIKE_GATEWAY_UPSTREAM_CA, "
                "or --insecure where nobody can listen on the way"
            )

    @property
    def renewed(self) -> tuple[Renewed[Any] | None, ...]:
        """Returns what is read again when it changes, as far as there is any."""
        return self._token, self._certificates

    @property
    def token(self) -> Callable[[], str] | None:
        """Returns the token of the moment; None if there is none."""
        renewed = self._token
        return (lambda: renewed.current) if renewed else None

    def look(self) -> bool:
        """Reads what changed; whether channels must be opened anew. Blocking."""
        if self._token:
            self._token.latest()
        before = self._certificates.current if self._certificates else None
        return self._certificates is not None and self._certificates.latest() != before

    async def watch(self, changed: Callable[[], Awaitable[object]]) -> None:
        """Calls `changed` whenever channels must be opened anew; runs for ever."""
        due = False
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            due = await asyncio.to_thread(self.look) or due
            if due:
                try:
                    await changed()
                    due = False
                except OSError as error:  # a file has gone since, or what is new is not accepted
                    logger.warning("channels not opened anew yet", extra={"reason": str(error)})


def _file(name: str, path: str) -> SettingFile:
    return SettingFile(f"LOOKALIKE_GATEWAY_{name}", Path(path))


def _token_in(file: SettingFile) -> str:
    words = file.read().decode("utf-8-sig", errors="replace").split()
    if len(words) != 1 or not (words[0].isascii() and words[0].isprintable()):
        raise ValueError(f"{file} must hold one token, of printable ASCII, and nothing else")
    return words[0]


def _certificates_in(
    ca: SettingFile, certificate: SettingFile | None = None, key: SettingFile | None = None
) -> tuple[bytes, ...]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    shown = pem.show(context, certificate, key) if certificate and key else ()
    return pem.trust(context, ca), *shown

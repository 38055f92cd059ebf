"""Who the gateway is to its upstreams: what it trusts, its certificate and its token, from files.

They are read again when they change, so that certificates and tokens are renewed without a restart.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

from lookalike.channel import TLS, is_this_machine
from lookalike.errors import StartupError
from lookalike.files import signature

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
        self._token_file = Path(token) if token else None
        self._token = ""
        self._files = [Path(file) for file in _files(self.tls)]
        try:
            self._read_token()
            self._check_certificates()
            self._signatures = list(map(signature, self._files))
        except (OSError, ValueError) as error:
            raise StartupError(f"{error} (LOOKALIKE_GATEWAY_UPSTREAM_…)") from None

    def check_secret(self, target: str) -> None:
        """Raises StartupError if the token would be sent to another machine in plaintext."""
        if self.token and not (self.tls or is_this_machine(target)):
            raise StartupError(
                f"the token would go to {target} in plaintext; set LOOKALIKE_GATEWAY_UPSTREAM_CA, "
                "or --insecure where nobody can listen on the way"
            )

    @property
    def token(self) -> Callable[[], str] | None:
        """Returns the token of the moment; None if there is none."""
        return (lambda: self._token) if self._token_file else None

    def look(self) -> bool:
        """Reads what changed; whether channels must be opened anew. Blocking.

        Raises:
            OSError: A file is away; what was read before stays.
            ValueError: A file is no good, or two do not fit together yet.
        """
        self._read_token()
        found = list(map(signature, self._files))
        if found == self._signatures:
            return False
        self._check_certificates()
        self._signatures = found
        return True

    async def watch(self, changed: Callable[[], Awaitable[object]]) -> None:
        """Calls `changed` whenever channels must be opened anew; runs for ever."""
        said = ""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            try:
                if await asyncio.to_thread(self.look):
                    logger.info("certificates for upstreams replaced")
                    await changed()
                said = ""
            except (OSError, ValueError) as error:  # half of a renewal, or a bad one
                if str(error) != said:
                    said = str(error)
                    logger.warning("new certificates or token refused", extra={"reason": said})

    def _read_token(self) -> None:
        if self._token_file:
            token = self._token_file.read_text(encoding="ascii").strip()
            if not token or len(token.split()) > 1:
                raise ValueError(f"{self._token_file} must hold one token and nothing else")
            self._token = token

    def _check_certificates(self) -> None:
        if self.tls is None:
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_verify_locations(self.tls.roots)
            if self.tls.certificate:
                context.load_cert_chain(self.tls.certificate, self.tls.key, password=lambda: "")
        except ssl.SSLError as error:
            raise ValueError(f"{' and '.join(map(str, self._files))}: {error}") from None


def _files(tls: TLS | None) -> list[str]:
    return [str(file) for file in (tls.roots, tls.certificate, tls.key) if file] if tls else []

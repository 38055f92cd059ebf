"""Fetches thumbnails from the gateway's HTTP port. A photo without one is no error."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from lookalike.cli.console import CommandError, UsageError

_TIMEOUT_S = 5.0
_MOST_BYTES = 1 << 20


class Thumbnails:
    """The thumbnails of one gateway.

    Args:
        url: For example `http://127.0.0.1:8080`.
        token: Sent along, if there is one; over https, or to this machine.
        ca: File of the authorities to trust, instead of the public ones.
        cert: File of your certificate and its key.

    Raises:
        UsageError: It is no such URL, or the token would go out in plaintext.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        ca: Path | None = None,
        cert: Path | None = None,
    ) -> None:
        try:
            scheme, host = (parts := urllib.parse.urlsplit(url)).scheme, parts.hostname or ""
        except ValueError as error:
            raise UsageError(f"--http is '{url}': {error}") from None
        if scheme not in {"http", "https"}:
            raise UsageError(f"--http is '{url}'; it must begin with http:// or https://")
        here = _is_here(host)
        if token and scheme == "http" and not here:
            raise UsageError(
                f"the token would go to {url} without encryption; --http must begin with https://, "
                "or be of this machine"
            )
        self._base = url.rstrip("/")
        self._token = token
        # A proxy would be on the way to this machine, and could read the token.
        proxies = urllib.request.ProxyHandler({} if here else None)
        context = ssl.create_default_context(cafile=ca)
        if cert:
            context.load_cert_chain(cert)
        self._opener = urllib.request.build_opener(
            proxies, urllib.request.HTTPSHandler(context=context)
        )

    def find(self, item_id: str) -> bytes | None:
        """Returns a thumbnail; None if the gateway has none of that photo.

        Raises:
            CommandError: There is no gateway at that address.
        """
        url = f"{self._base}/v1/thumbnails/{urllib.parse.quote(item_id, safe='')}"
        request = urllib.request.Request(url)
        if self._token:
            # Wherever it redirects to is not whom the token is for.
            request.add_unredirected_header("Authorization", f"Bearer {self._token}")
        try:
            with self._opener.open(request, timeout=_TIMEOUT_S) as answer:
                return bytes(answer.read(_MOST_BYTES))
        except urllib.error.HTTPError as error:
            error.close()
            return None
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise CommandError(f"{self._base}: no thumbnails to be had: {reason}") from None


def _is_here(host: str) -> bool:
    from lookalike.channel import is_this_machine

    # Written as gRPC has it: a name of `unix`, say, is then not taken for a socket.
    return is_this_machine(f"dns:///[{host}]:0" if ":" in host else f"dns:///{host}:0")

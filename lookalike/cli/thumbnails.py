"""Fetches thumbnails from the gateway's HTTP port. A photo without one is no error."""

from __future__ import annotations

import urllib.error
import urllib.parse
import urllib.request

from lookalike.cli.console import CommandError, UsageError

_TIMEOUT_S = 5.0
_MOST_BYTES = 1 << 20


class Thumbnails:
    """The thumbnails of one gateway.

    Args:
        url: For example `http://127.0.0.1:8080`.
        token: Sent along, if there is one.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        if urllib.parse.urlsplit(url).scheme not in {"http", "https"}:
            raise UsageError(f"--http is '{url}'; it must begin with http:// or https://")
        self._base = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def find(self, item_id: str) -> bytes | None:
        """Returns a thumbnail; None if the gateway has none of that photo.

        Raises:
            CommandError: There is no gateway at that address.
        """
        url = f"{self._base}/v1/thumbnails/{urllib.parse.quote(item_id, safe='')}"
        request = urllib.request.Request(url, headers=self._headers)
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
                return bytes(answer.read(_MOST_BYTES))
        except urllib.error.HTTPError as error:
            error.close()
            return None
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise CommandError(f"{self._base}: no thumbnails to be had: {reason}") from None

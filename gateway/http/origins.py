"""Refuses what pages of other sites make a person's browser send (CSRF)."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers

from gateway.http.problems import HttpProblemError

_READING = {"GET", "HEAD", "OPTIONS"}
# This server's own page, and the person, who typed the address or opened a bookmark. Not
# `same-site`, which another port and a sibling's subdomain are, and to which cookies go too.
_OWN = {"same-origin", "none"}


def refuse_other_sites(method: str, headers: Headers) -> None:
    """Raises HttpProblemError for a write that a page sends which is not this server's own.

    Browsers send Sec-Fetch-Site only over TLS and to loopback; elsewhere they send Origin.
    """
    if method in _READING:
        return
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        field, own = "sec-fetch-site", site in _OWN
    else:
        field, own = "origin", origin is None or _host(origin) == headers.get("host", "")
    if not own:
        raise HttpProblemError(
            403,
            "CROSS_SITE_REQUEST",
            "a page of another site sent this; only this server's own page may",
            field=field,
        )


def _host(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""

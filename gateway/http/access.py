"""Who may call which route: the rules, and the page's session, which is a token in a cookie."""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from typing import Annotated, Any

from fastapi import APIRouter, Body, Request, Response
from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.routing import compile_path

import gateway.http.paths  # noqa: F401  its kind of id in paths
from gateway.http.description import ERRORS
from gateway.http.problems import HttpProblemError
from lookalike.serving.access import Guard, Scope

COOKIE = "lookalike_token"

_PUBLIC, _READ, _WRITE = Scope.PUBLIC, Scope.READ, Scope.WRITE
# What each route needs of its caller. Whatever is not here needs ADMIN: a new route without a rule
# is closed.
SCOPES = {
    ("GET", "/"): _PUBLIC,
    ("GET", "/docs"): _PUBLIC,
    ("GET", "/favicon.ico"): _PUBLIC,
    ("GET", "/static/{path:path}"): _PUBLIC,
    ("GET", "/openapi.json"): _PUBLIC,
    ("GET", "/healthcheck"): _PUBLIC,
    ("POST", "/session"): _PUBLIC,
    ("DELETE", "/session"): _PUBLIC,
    ("POST", "/v1/classify"): _READ,
    ("POST", "/v1/embed"): _READ,
    ("POST", "/v1/similar"): _READ,
    ("GET", "/v1/listings"): _READ,
    ("GET", "/v1/listings/{product_id:id}"): _READ,
    ("GET", "/v1/items/{item_id:id}"): _READ,
    ("GET", "/v1/thumbnails/{item_id:id}"): _READ,
    ("GET", "/v1/map"): _READ,
    ("GET", "/v1/status"): _READ,
    ("POST", "/predict/category"): _READ,
    ("POST", "/predict/combined"): _READ,
    ("POST", "/predict/embedding"): _READ,
    ("POST", "/predict/feature_embedding"): _READ,
    ("POST", "/predict/image"): _READ,
    ("POST", "/predict/similar_images"): _READ,
    ("POST", "/predict/text"): _READ,
    ("POST", "/v1/listings"): _WRITE,
    ("DELETE", "/v1/listings/{product_id:id}"): _WRITE,
}


class HttpAccess:
    """Admits requests by their routes' scopes.

    Args:
        guard: Admits the callers.
    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._rules: list[tuple[str, re.Pattern[str], Scope]] = [
            (method, compile_path(path)[0], scope) for (method, path), scope in SCOPES.items()
        ]

    def admit(self, scope: MutableMapping[str, Any], headers: Headers) -> str:
        """Returns the caller's name; raises as `Guard.admit` does.

        Args:
            scope: The request's, as ASGI has it.
            headers: Its headers.
        """
        client = scope.get("client")
        address = client[0] if client else ""
        return self._guard.admit(
            self._needed(scope["method"], scope["path"]), _authorization(headers), address
        )

    def _needed(self, method: str, path: str) -> Scope:
        method = "GET" if method == "HEAD" else method
        # As they are answered: a slash at the end makes no difference where nothing has one.
        for candidate in (path, path.removesuffix("/")):
            for allowed, pattern, scope in self._rules:
                if allowed == method and pattern.match(candidate):
                    return scope
        return Scope.ADMIN


def _authorization(headers: Headers) -> str:
    # Several are no token, whichever of them is good: a proxy that adds one must not decide.
    if given := ", ".join(headers.getlist("authorization")):
        return given
    # Python's own parser drops all cookies where it cannot read one, as another application's.
    token = cookie_parser(headers.get("cookie", "")).get(COOKIE)
    return f"Bearer {token}" if token else ""


def session_routes(guard: Guard) -> APIRouter:
    """Returns the routes by which the page signs in and out.

    Pictures are fetched by the browser, which sends cookies and no other header. Scripts cannot
    read the cookie, and other sites cannot make a browser send it.
    """
    router = APIRouter(tags=["Session"], responses=ERRORS)

    @router.post("/session", summary="Sign in", status_code=204)
    async def sign_in(
        request: Request, token: Annotated[str, Body(embed=True, min_length=1, max_length=256)]
    ) -> Response:
        """Keeps a token in a cookie, which browsers send from then on."""
        if guard.tokens is None:
            raise HttpProblemError(
                404,
                "NO_TOKENS",
                "there is nothing to sign in to: everybody is admitted (LOOKALIKE_GATEWAY_TOKENS)",
            )
        guard.admit(Scope.READ, f"Bearer {token.strip()}", "")
        response = Response(status_code=204)
        response.set_cookie(
            COOKIE,
            token.strip(),
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return response

    @router.delete("/session", summary="Sign out", status_code=204)
    async def sign_out() -> Response:
        """Forgets the cookie."""
        response = Response(status_code=204)
        response.delete_cookie(COOKIE)
        return response

    return router

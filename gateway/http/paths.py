"""Finds a request's route beyond what the framework does: HEAD, trailing slashes, ids in paths.

A path is never redirected: behind a proxy with TLS the gateway does not know its own address.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from starlette.convertors import Convertor, register_url_convertor
from starlette.routing import BaseRoute, Match, Mount

from gateway.http.middleware import Message, Receive, Scope, Send

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


class _IdConvertor(Convertor[str]):
    # The framework's `path` stops at a newline, and loses one at the end: another id.
    regex = r"[\s\S]+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("id", _IdConvertor())


class PathMiddleware:
    """Answers HEAD as GET without its body, and a path with a slash at its end as without.

    Args:
        app: The application, which does not redirect.
    """

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        outer = scope
        head = scope["method"] == "HEAD"
        if head:
            scope = {**scope, "method": "GET"}
        path = scope["path"]
        # Not of an id that ends in a slash: that has a route.
        if path.endswith("/") and not self._routes(scope):
            scope = {**scope, "path": path.removesuffix("/")}

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        try:
            await self._app(scope, receive, send_head if head else send)
        finally:
            outer["route"] = scope.get("route")  # for those around, who count by it

    def _routes(self, scope: Scope) -> list[BaseRoute]:
        return [route for route in self._app.routes if route.matches(scope)[0] is not Match.NONE]


def allowed_methods(app: FastAPI, scope: Scope) -> str:
    """Returns the value of `Allow`: every method that the request's path answers."""
    # As it was before a mounted application took the beginning of the path away.
    whole = {**scope, "root_path": scope.get("app_root_path", "")}
    methods = {
        method
        for method in _METHODS
        for route in app.routes
        if _answers(route, {**whole, "method": method})
    }
    if "GET" in methods:
        methods.add("HEAD")
    return ", ".join(sorted(methods))


def _answers(route: BaseRoute, scope: dict[str, Any]) -> bool:
    if isinstance(route, Mount) and scope["method"] != "GET":  # files
        return False
    return route.matches(scope)[0] is Match.FULL

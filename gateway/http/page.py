"""Serves the web page and /docs: static files of gateway/static."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

STATIC = Path(__file__).resolve().parent.parent / "static"

# Revalidated each time, mostly with a 304: files of two versions must not be mixed in one page.
_REVALIDATE = {"Cache-Control": "no-cache"}


class PageFiles(StaticFiles):
    """Static files of the page."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Returns a file, with headers that make browsers revalidate it."""
        response = await super().get_response(path, scope)
        response.headers.update(_REVALIDATE)
        return response


def page_routes() -> APIRouter:
    """Returns the routes of both pages and the icon; other files are at /static."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def index() -> FileResponse:
        return FileResponse(STATIC / "index.html", headers=_REVALIDATE)

    @router.get("/docs")
    async def docs() -> FileResponse:
        return FileResponse(STATIC / "docs.html", headers=_REVALIDATE)

    @router.get("/favicon.ico")
    async def icon() -> FileResponse:
        return FileResponse(STATIC / "icon.svg", headers=_REVALIDATE)

    return router

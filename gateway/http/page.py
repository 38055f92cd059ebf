"""The web page and the description of the API for people: files of gateway/static, as they are."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

STATIC = Path(__file__).resolve().parent.parent / "static"

# Asked for each time, and answered with 304: a page of two versions would be worse than a wait.
_REVALIDATE = {"Cache-Control": "no-cache"}


class PageFiles(StaticFiles):
    """The page's own files."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Returns a file that a browser must ask for again."""
        response = await super().get_response(path, scope)
        response.headers.update(_REVALIDATE)
        return response


def page_routes() -> APIRouter:
    """Returns the routes of the two pages; their files are at /static."""
    router = APIRouter(include_in_schema=False)

    @router.api_route("/", methods=["GET", "HEAD"])
    async def index() -> FileResponse:
        return FileResponse(STATIC / "index.html", headers=_REVALIDATE)

    @router.api_route("/docs", methods=["GET", "HEAD"])
    async def docs() -> FileResponse:
        return FileResponse(STATIC / "docs.html", headers=_REVALIDATE)

    @router.api_route("/favicon.ico", methods=["GET", "HEAD"])
    async def icon() -> FileResponse:
        return FileResponse(STATIC / "icon.svg", headers=_REVALIDATE)

    return router

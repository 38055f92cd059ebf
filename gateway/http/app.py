"""Builds the ASGI application: routes, errors, limits."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from gateway.config import GatewaySettings
from gateway.http.access import HttpAccess, session_routes
from gateway.http.bodies import RequestReader
from gateway.http.description import describe_errors
from gateway.http.items import item_routes
from gateway.http.legacy import legacy_routes
from gateway.http.listings import listing_routes, overview_routes
from gateway.http.middleware import RequestMiddleware
from gateway.http.page import STATIC, PageFiles, page_routes
from gateway.http.paths import PathMiddleware, allowed_methods
from gateway.http.photos import photo_routes
from gateway.http.problems import HttpProblemError, response_to
from gateway.telemetry import GatewayTelemetry
from gateway.thumbnails import ThumbnailStore
from gateway.use_cases import UseCases
from lookalike import __version__
from lookalike.errors import LookalikeError
from lookalike.serving.access import Guard

_DESCRIPTION = (
    "Which category is this photo, or what these words describe, and which listings are like it? "
    "The same answers as over gRPC. "
    "Errors are problem details (RFC 9457) with `reason`, `field` and `metadata`."
)


def create_app(
    use_cases: UseCases,
    thumbnails: ThumbnailStore | None,
    settings: GatewaySettings,
    guard: Guard | None = None,
    telemetry: GatewayTelemetry | None = None,
) -> RequestMiddleware:
    """Returns the application; starts nothing.

    Args:
        use_cases: The use cases behind the routes.
        thumbnails: The store to read thumbnails from; None if none are kept.
        settings: Limits and timeouts.
        guard: Admits callers; None admits everybody.
        telemetry: Where requests are told of; None for nowhere.
    """
    guard = guard or Guard()
    app = FastAPI(
        title="Lookalike",
        version=__version__,
        description=_DESCRIPTION,
        # FastAPI's own pages load scripts from another site; ours in `page` does not.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    reader = RequestReader(settings.default_timeout_s, settings.max_image_bytes)
    app.include_router(photo_routes(use_cases, reader))
    app.include_router(listing_routes(use_cases, reader))
    app.include_router(item_routes(use_cases, reader))
    app.include_router(overview_routes(use_cases, thumbnails, reader, settings.max_message_bytes))
    app.include_router(legacy_routes(use_cases, reader))
    app.include_router(session_routes(guard))
    app.include_router(page_routes())
    app.mount("/static", PageFiles(directory=STATIC))
    describe_errors(app)
    kinds = (LookalikeError, HttpProblemError, RequestValidationError, HTTPException, Exception)
    for kind in kinds:
        app.add_exception_handler(kind, _answer_error)
    return RequestMiddleware(
        PathMiddleware(app),
        HttpAccess(guard),
        max_body_bytes=settings.max_message_bytes,
        max_bodies=settings.max_http_bodies,
        body_timeout_s=settings.default_timeout_s,
        log_all=settings.log_requests,
        telemetry=telemetry,
    )


async def _answer_error(request: Request, error: Exception) -> Response:
    response: Any = response_to(error)
    if response.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        response.headers["Allow"] = allowed_methods(request.app, request.scope)
    return response  # type: ignore[no-any-return]

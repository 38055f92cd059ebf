"""Describes, for /openapi.json, requests that FastAPI cannot read from a signature, and errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from gateway.http import encoded
from gateway.http.bodies import MAX_PHOTOS, MAX_TIMEOUT_MS, PHOTO_PARTS, TIMEOUT_HEADER
from gateway.http.models import Problem
from gateway.http.problems import MEDIA_TYPE

_PHOTO = {"type": "string", "format": "binary"}
_PROBLEM = {
    "description": "Problem details: what is wrong, the limit and the value, and what to do.",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
ERRORS: dict[int | str, dict[str, Any]] = {"4XX": _PROBLEM, "5XX": _PROBLEM}


def takes_photo(
    fields: type[BaseModel],
    *,
    several: bool = False,
    required: bool = True,
    in_json: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Describes an operation that takes photos and fields.

    Args:
        fields: Fields beside the photo, in the query or in the form.
        several: Whether several photos of one thing are accepted.
        required: Whether a photo is required.
        in_json: Schemas of fields that only JSON can have.
    """
    only = in_json or {}
    properties = {n: schema for n, schema in _properties(fields).items() if n not in only}
    photo: dict[str, Any] = {**_PHOTO, "description": "The photo; `file` is the same."}
    if several:
        photo = {
            "type": "array",
            "items": _PHOTO,
            "maxItems": MAX_PHOTOS,
            "description": "The photo, or several of one thing; `file` is the same.",
        }
    needed = [PHOTO_PARTS[0]] if required else []
    content = {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {PHOTO_PARTS[0]: photo, **properties},
                "required": needed + fields.model_json_schema().get("required", []),
            }
        },
        "image/*": {"schema": _PHOTO},
        "application/json": {
            "schema": {
                "type": "object",
                "properties": {**_in_json(several), **properties, **only},
            }
        },
    }
    return {
        "parameters": [*_parameters(properties, " In the query or in the body."), _TIMEOUT],
        "requestBody": {"required": required, "content": content},
    }


def takes_words(fields: type[BaseModel]) -> dict[str, Any]:
    """Describes an operation that takes fields in the query, in a form or in JSON."""
    schema = fields.model_json_schema()
    body = {"type": "object", "properties": _properties(fields), "required": schema["required"]}
    kinds = ("multipart/form-data", "application/x-www-form-urlencoded", "application/json")
    return {
        "parameters": [
            *_parameters(_properties(fields), " In the query or in the body."),
            _TIMEOUT,
        ],
        "requestBody": {"required": False, "content": {kind: {"schema": body} for kind in kinds}},
    }


def takes_fields(fields: type[BaseModel]) -> dict[str, Any]:
    """Describes an operation that takes fields in the query alone."""
    return {"parameters": [*_parameters(_properties(fields), ""), _TIMEOUT]}


def describe_errors(app: FastAPI) -> None:
    """Makes the app's schema describe problem details instead of FastAPI's own errors."""
    plain = app.openapi

    def described() -> dict[str, Any]:
        fresh = app.openapi_schema is None
        schema = plain()
        if fresh:
            schemas = schema.setdefault("components", {}).setdefault("schemas", {})
            schemas["Problem"] = Problem.model_json_schema()
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            for path in schema["paths"].values():
                for operation in path.values():
                    operation["responses"].pop("422", None)
        return schema

    app.openapi = described  # type: ignore[method-assign]  # as FastAPI's own documentation does


def _in_json(several: bool) -> dict[str, Any]:
    photo = {"type": "string", "description": "The photo, as base64 or as a data URL of it."}
    one, many = encoded.NAMES
    photos = {"type": "array", "items": photo, "maxItems": MAX_PHOTOS}
    return {one: photo} | ({many: photos} if several else {})


_TIMEOUT = {
    "name": TIMEOUT_HEADER,
    "in": "header",
    "required": False,
    "description": "Time for the whole request, in milliseconds.",
    "schema": {"type": "integer", "minimum": 1, "maximum": MAX_TIMEOUT_MS},
}


def _properties(fields: type[BaseModel]) -> dict[str, Any]:
    properties: dict[str, Any] = fields.model_json_schema().get("properties", {})
    return properties


def _parameters(properties: dict[str, Any], where: str) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": schema.get("description", "") + where,
            "schema": schema,
        }
        for name, schema in properties.items()
    ]

"""Reads requests: photos, fields from query, form or JSON, and the time to answer in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, get_args, get_origin

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import FormParser, MultiPartException, MultiPartParser

from gateway.deadline import Deadline
from gateway.http import encoded
from gateway.http.problems import HttpProblemError
from lookalike.errors import ImageTooLargeError, InvalidArgumentError

TIMEOUT_HEADER = "X-Timeout-Ms"
MAX_TIMEOUT_MS = 3_600_000
PHOTO_PARTS = ("image", "file")
MAX_PHOTOS = 16
MAX_FIELDS = 1000
MAX_ENTRIES = 4096  # of one field; pydantic builds an error for each bad one

_ACCEPTED = "multipart/form-data, image/*, application/json"

_NO_LIMIT = 1 << 62

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class ParsedRequest:
    """A request's photos, and its fields from query, form or JSON."""

    photos: tuple[bytes, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def photo(self) -> bytes:
        """The photo of a request that has exactly one."""
        if len(self.photos) != 1:
            raise InvalidArgumentError(
                f"{len(self.photos)} photos were sent; send one, as the part `image` of a form "
                "(curl: -F image=@photo.jpg), as the whole body with its type "
                "(curl: -H 'Content-Type: image/jpeg' --data-binary @photo.jpg) or as base64 in "
                "the field `image` of JSON",
                field="image",
            )
        return self.photos[0]

    def parse(self, model: type[M]) -> M:
        """Validates the fields as a model; raises RequestValidationError naming the bad ones."""
        unknown = sorted(self.fields.keys() - model.model_fields.keys())
        if unknown and model.model_config.get("extra") == "forbid":
            known, first = ", ".join(model.model_fields), unknown[0][:100]
            there = f"there are {known}" if known else "send a photo alone"
            raise InvalidArgumentError(f"there is no field {first!r}; {there}", field=first)
        values = {
            name: _one_or_many(name, self.fields[name], model)
            for name in model.model_fields
            if name in self.fields
        }
        try:
            return model.model_validate(values)
        except ValidationError as error:
            raise RequestValidationError(error.errors(include_url=False)) from None


class RequestReader:
    """Reads requests within limits.

    Args:
        default_timeout_s: Time for a request without the header.
        max_image_bytes: Largest photo.
    """

    def __init__(self, default_timeout_s: float, max_image_bytes: int) -> None:
        self._default_timeout_s = default_timeout_s
        self.max_image_bytes = max_image_bytes

    def deadline(self, request: Request) -> Deadline:
        """Starts the deadline of a request, from its header or the default."""
        given = request.headers.get(TIMEOUT_HEADER)
        if given is None:
            return Deadline(self._default_timeout_s)
        # int() raises an error of its own for thousands of digits.
        is_number = len(given) <= 20 and given.isascii() and given.isdecimal()
        if not is_number or not 1 <= int(given) <= MAX_TIMEOUT_MS:
            raise InvalidArgumentError(
                f"{TIMEOUT_HEADER} is {given[:40]!r}; it must be a number of milliseconds, "
                f"1 to {MAX_TIMEOUT_MS}",
                field=TIMEOUT_HEADER,
            )
        return Deadline(int(given) / 1000)

    async def read(self, request: Request) -> ParsedRequest:
        """Reads a request's query and body, which the middleware has limited.

        Raises:
            HttpProblemError: The body's type is not accepted.
            InvalidArgumentError: The body cannot be parsed as its type, or a photo is too large.
        """
        _check_plain(request)
        fields = _grouped(request.query_params.multi_items())
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        photos: list[bytes] = []
        if kind == "multipart/form-data":
            form_fields, photos = await self._read_form(request)
            fields |= form_fields
        elif kind.startswith("image/") or kind == "application/octet-stream":
            photos = [await request.body()]
        elif kind == "application/json":
            sent = _json_object(await request.body())
            photos = encoded.taken_photos(sent)
            fields |= sent
        elif kind == "application/x-www-form-urlencoded":
            fields_parser = FormParser(request.headers, request.stream(), max_fields=MAX_FIELDS)
            form = await _parsed(fields_parser)
            fields |= _grouped((name, str(value)) for name, value in form.multi_items())
        elif await request.body():
            raise HttpProblemError(
                415,
                "UNSUPPORTED_MEDIA_TYPE",
                f"the body's type is {kind[:100] or 'not given'!r}; it must be one of {_ACCEPTED}",
                field="Content-Type",
                headers={"Accept": _ACCEPTED},
            )
        for photo in photos:
            self.check_size(photo)
        return ParsedRequest(tuple(photos), fields)

    async def _read_form(self, request: Request) -> tuple[dict[str, Any], list[bytes]]:
        # One more than allowed, so that our own check refuses it and names the limit.
        parser = MultiPartParser(
            request.headers, request.stream(), max_files=MAX_PHOTOS + 1, max_fields=MAX_FIELDS
        )
        # Never spool to disk: the body is in memory already, and photos of homes are private.
        parser.spool_max_size = _NO_LIMIT
        form = await _parsed(parser)
        fields: list[tuple[str, str]] = []
        photos = []
        try:
            for name, value in form.multi_items():
                if isinstance(value, UploadFile):
                    photos.append(await _photo(name, value))
                else:
                    fields.append((name, _text(name, value)))
        finally:
            await form.close()
        return _grouped(fields), photos

    def check_size(self, photo: bytes) -> None:
        """Raises ImageTooLargeError if a photo is larger than the limit."""
        if len(photo) > self.max_image_bytes:
            raise ImageTooLargeError(
                f"image has {len(photo):,} bytes; the limit is {self.max_image_bytes:,} "
                "(LOOKALIKE_GATEWAY_MAX_IMAGE_BYTES)",
                field="image",
            )


def _check_plain(request: Request) -> None:
    packed = request.headers.get("content-encoding", "").strip().lower()
    if packed not in {"", "identity"}:
        raise HttpProblemError(
            415,
            "UNSUPPORTED_MEDIA_TYPE",
            f"the body is encoded with {packed[:100]!r}; send it as it is",
            field="Content-Encoding",
            headers={"Accept-Encoding": "identity"},
        )


async def _photo(name: str, part: UploadFile) -> bytes:
    if name not in PHOTO_PARTS:
        raise InvalidArgumentError(
            f"there is no file part {name[:100]!r}; name it `image`", field=name[:100]
        )
    return await part.read()


def _text(name: str, value: str) -> str:
    if name in PHOTO_PARTS:
        raise InvalidArgumentError(
            f"{name} is a text field; send the photo as a file (curl: -F {name}=@photo.jpg)",
            field=name,
        )
    return value


async def _parsed(parser: MultiPartParser | FormParser) -> FormData:
    # The middleware has limited the whole body, and a field's own limit is named with the field.
    parser.max_part_size = _NO_LIMIT
    try:
        return await parser.parse()
    except MultiPartException as error:
        raise InvalidArgumentError(f"the form cannot be read: {error.message}") from None
    # python-multipart lets these through for hostile headers: a boundary that is missing or not
    # ASCII, an unknown charset.
    except (KeyError, ValueError, LookupError) as error:
        raise InvalidArgumentError(f"the form cannot be read: {error!r}") from None


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except json.JSONDecodeError as error:
        raise InvalidArgumentError(f"the body is not JSON: {error}") from None
    except UnicodeDecodeError:
        raise InvalidArgumentError("the body is not JSON: it is not UTF-8") from None
    except (ValueError, RecursionError):  # Python's limits
        raise InvalidArgumentError(
            "the body is not JSON that is read: a number has thousands of digits, or it is "
            "nested too deep"
        ) from None
    if not isinstance(value, dict):
        raise InvalidArgumentError("the body is not a JSON object")
    return {str(name): given for name, given in value.items() if given is not None}


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Groups values by name, without empty ones, which forms send for fields left blank."""
    grouped: dict[str, Any] = {}
    for name, value in pairs:
        if value:
            grouped.setdefault(name, []).append(value)
    return grouped


def _one_or_many(name: str, given: Any, model: type[BaseModel]) -> Any:
    annotation = model.model_fields[name].annotation
    if isinstance(given, bool) and bool not in {annotation, *get_args(annotation)}:
        raise InvalidArgumentError(
            f"{name} is {str(given).lower()}; it is neither true nor false", field=name
        )
    if tuple in {get_origin(annotation), *map(get_origin, get_args(annotation))}:
        many = given if isinstance(given, list) else [given]
        if len(many) > MAX_ENTRIES:
            raise InvalidArgumentError(
                f"{name} has {len(many):,} entries; the limit is {MAX_ENTRIES:,}", field=name
            )
        return [encodable(name, each) for each in many]
    if isinstance(given, list):
        if len(given) != 1:
            raise InvalidArgumentError(
                f"{name} is given {len(given)} times; give it once", field=name
            )
        return encodable(name, given[0])
    return encodable(name, given)


def encodable(name: str, given: Any) -> Any:
    """Returns a value; refuses lone surrogates, which JSON can express and UTF-8 cannot."""
    if isinstance(given, str):
        try:
            given.encode()
        except UnicodeEncodeError:
            raise InvalidArgumentError(
                f"{name} has half of a surrogate pair, which is no character; send both halves",
                field=name,
            ) from None
    return given

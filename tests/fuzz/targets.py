"""What is fuzzed: each target takes bytes, and raises only for what must not be."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from google.protobuf.message import DecodeError

from gateway import requests, validation
from lookalike.catalogue.images import ImageLimits, draw, survey
from lookalike.catalogue.tables import read_catalogue
from lookalike.errors import ImageTooLargeError, InvalidArgumentError, InvalidImageError
from lookalike.files import FileError
from lookalike.gateway.v1 import gateway_pb2 as pb
from tests.http_face import Asked, open_face
from tests.photos import encode, quarters

# A few pixels, so that thousands are tried in a minute; what they cost is bounded all the same.
_LIMITS = ImageLimits(max_pixels=1_000_000)
_SLOW_S = 0.5  # of decoding, beyond what was told: another process may have the core
HEADER = b",id,product_name,category,product_description,price,location\n"


@dataclass(frozen=True)
class Target:
    """One reader.

    Attributes:
        run: Reads the bytes; raises for what must not be.
        seeds: Sound input to begin with.
    """

    run: Callable[[bytes], None]
    seeds: tuple[bytes, ...]


def photo(data: bytes) -> None:
    """Decodes a photo, which is refused or takes no longer than it is told to."""
    with suppress(InvalidImageError, ImageTooLargeError):
        told = survey(data, _LIMITS)
        started = time.process_time()
        try:
            drawn = draw(told, fit=32)
        finally:
            taken = time.process_time() - started
            assert taken < told.seconds + _SLOW_S, f"took {taken:.1f} s, not {told.seconds:.1f}"
        assert drawn.mode == "RGB"


def proto(data: bytes) -> None:
    """Parses a search and a photo to ingest, and validates them."""
    with suppress(DecodeError, InvalidArgumentError):
        search = pb.FindSimilarListingsRequest.FromString(data)
        validation.query(requests.query(search))
        validation.search_options(requests.search_options(search))
    with suppress(DecodeError, InvalidArgumentError):
        validation.photo(requests.photo(pb.IngestListingRequest.FromString(data).photo))


def http(data: bytes) -> None:
    """Posts a body, as what its first line says, to each path; none is the server's fault."""
    kind, _, body = data.partition(b"\n")
    asyncio.run(_post(kind, body))


async def _post(kind: bytes, body: bytes) -> None:
    async with open_face(Asked()) as client:
        for path in ("/v1/classify", "/v1/similar", "/v1/listings"):
            answer = await client.post(path, content=body, headers={b"content-type": kind})
            assert answer.status_code < 500, (path, answer.status_code, answer.text)


def table(data: bytes) -> None:
    """Reads bytes as Products.csv, which are refused or give whole listings."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "Products.csv"
        file.write_bytes(data)
        with suppress(FileError):
            for item_id, row in read_catalogue(file, None).photos.items():
                assert row.product_id == item_id
                assert row.price >= 0


def _multipart() -> bytes:
    photo = encode(quarters(), "PNG")
    parts = (b'name="image"; filename="a.png"', photo), (b'name="k"', b"3")
    body = b"".join(
        b"--x\r\nContent-Disposition: form-data; " + name + b"\r\n\r\n" + value + b"\r\n"
        for name, value in parts
    )
    return b"multipart/form-data; boundary=x\n" + body + b"--x--\r\n"


def _search() -> bytes:
    search = pb.FindSimilarListingsRequest(k=5, min_likeness=0.5, exact=True)
    search.vector.values.extend([1.0] * 13)
    search.filter.categories.extend(["a", "b"])
    return search.SerializeToString()


def _photos() -> tuple[bytes, ...]:
    plain, grey = quarters(), quarters().convert("L")
    animated = {"save_all": True, "append_images": [plain.rotate(90)], "duration": 5}
    return (
        encode(plain, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\1\x12\0\3\0\0\0\1\0\6\0\0"),
        encode(plain, "JPEG", progressive=True, subsampling=0),
        encode(plain.convert("CMYK"), "JPEG"),
        encode(plain, "PNG"),
        encode(plain.quantize(4), "PNG", transparency=0),
        encode(grey.convert("I;16"), "PNG"),
        encode(plain, "PNG", **animated),
        encode(plain, "WEBP"),
        encode(plain.convert("RGBA"), "WEBP", lossless=True),
        encode(plain, "WEBP", **animated),
        encode(plain, "GIF", **animated),
        encode(plain, "BMP"),
        encode(plain, "TIFF", compression="tiff_lzw"),
        encode(plain, "TIFF", compression="jpeg"),
        encode(grey.convert("F"), "TIFF"),
        encode(plain, "AVIF", speed=10),
    )


TARGETS: Mapping[str, Target] = {
    "photo": Target(photo, _photos()),
    "proto": Target(
        proto,
        (
            _search(),
            pb.FindSimilarListingsRequest(image=b"a photo", k=1).SerializeToString(),
            pb.IngestListingRequest(
                photo=pb.CataloguePhoto(item_id="a", product_id="b", price=1.5, currency="GBP")
            ).SerializeToString(),
        ),
    ),
    "http": Target(
        http,
        (
            _multipart(),
            b"image/png\n" + encode(quarters(), "PNG"),
            b"application/json\n" + json.dumps({"item_id": "lamp-1", "k": 3}).encode(),
            b"application/x-www-form-urlencoded\nitem_id=lamp-1&k=3",
        ),
    ),
    "table": Target(
        table,
        (
            HEADER + "0,1,Oven,Appliances / Ovens,Hot.,£7.50,Leeds\n".encode(),
            HEADER + '0,1,"19"" TV",Electronics / TV,"two\nlines",£9.50,"Leeds, UK"\n'.encode(),
        ),
    ),
}

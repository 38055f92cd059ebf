"""A gateway that is made up: the page's own files, and the JSON that a test prepares."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from gateway.http.middleware import SECURITY_HEADERS
from gateway.http.page import STATIC

Json = dict[str, Any]

_TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}
LABELS = ["Appliances", "Home & Garden", "Sports, Leisure & Travel"]


def listing(number: int, **changes: Any) -> Json:
    """A listing of the catalogue, as JSON."""
    return {
        "item_id": f"photo/{number}",
        "product_id": f"listing {number}",
        "category": LABELS[number % 3],
        "title": f"Thing {number}",
        "description": "",
        "price": 10.0 * number,
        "currency": "GBP",
        "location": "Leeds",
        "thumbnail": f"/v1/thumbnails/photo%2F{number}",
        "near_duplicate": None,
        **changes,
    }


def similar(number: int, likeness: float | None, words: str, **changes: Any) -> Json:
    """A listing near a query."""
    near = {"distance": 16.296, "ranked_by": 0.7, "likeness": likeness, "likeness_words": words}
    return {**listing(number), **near, **changes}


def classification(*shares: float) -> Json:
    """What the model makes of something, by the shares of the labels."""
    scores = [
        {"category": label, "index": place, "probability": share}
        for place, (label, share) in enumerate(zip(LABELS, shares, strict=True))
    ]
    scores.sort(key=lambda score: -score["probability"])
    return {**scores[0], "scores": scores, "embedding_space": "space"}


def answer(listings: Sequence[Json] = (), **changes: Any) -> Json:
    """An answer of /v1/similar."""
    return {
        "listings": list(listings),
        "classification": classification(0.9, 0.0996, 0.0004),
        "shortfall": "",
        "exact": True,
        "cached": False,
        "degraded": "",
        "applied_seq": 1,
        "candidates_scanned": 40,
        "candidates_ranked": 40,
        "ranking": "blend",
        "price": None,
        "failures": [],
        "timings_ms": {"embed": 20.0, "search": 3.0, "total": 25.0},
        **changes,
    }


def price(**changes: Any) -> Json:
    """What such things cost."""
    return {
        "median": 120.0,
        "low": 60.0,
        "high": 240.4,
        "coverage": 0.8,
        "listings": 37,
        "currency": "GBP",
        "outliers": [],
        **changes,
    }


def status(**changes: Any) -> Json:
    """An answer of /v1/status."""
    embedder = {
        "target": "embedder:50051",
        "ready": True,
        "model_name": "resnet50",
        "model_version": "7",
        "embedding_space": "space",
        "engine": "openvino",
        "precision": "int8",
        "labels": LABELS,
        "features_dimension": 128,
        "text_encoder": "a language model",
    }
    index = {
        "target": "index:50052",
        "ready": True,
        "read_only": False,
        "photos": 40,
        "listings": 30,
        "photos_with_features": 40,
        "collection": "listings",
        "serving_collection": "listings-1",
        "backend": "native",
        "applied_seq": 40,
        "embedding_space": "space",
        "finds_words": True,
    }
    cache = {"entries": 3, "bytes": 300, "max_bytes": 1 << 20, "hits": 3, "misses": 1}
    return {
        "version": "0.1.0",
        "embedder": embedder,
        "index": index,
        "cache": {**cache, "coalesced": 0},
        "mismatch": "",
        "ranking": "blend",
        "lacking": [],
        "thumbnails": True,
        "limits": {"max_image_bytes": 12 << 20, "max_request_bytes": 16 << 20},
        **changes,
    }


@dataclass
class Asked:
    """A question: the names of its photos' files, how large each is, and its other fields."""

    files: list[str]
    sizes: list[int]
    fields: dict[str, str]


@dataclass
class Stub:
    """What it answers, and what it was asked.

    Attributes:
        answer: Of /v1/similar; a problem if it has `reason`.
        classified: Of /v1/classify; likewise.
        listings: The catalogue, by the id of the photo; only these are found.
        points: Of the map.
        thumbnails: By the id of the photo; `thumbnail` is the others'.
    """

    thumbnail: bytes
    origin: str = ""
    answer: Json = field(default_factory=answer)
    classified: Json = field(default_factory=lambda: problem(409, "WORDS_UNAVAILABLE", "none"))
    status: Json = field(default_factory=status)
    listings: dict[str, Json] = field(default_factory=dict)
    map: Json = field(default_factory=dict)
    thumbnails: dict[str, bytes] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    asked_to_classify: list[Asked] = field(default_factory=list)

    def keep(self, *listings: Json) -> None:
        """Adds listings to the catalogue."""
        self.listings.update({each["item_id"]: each for each in listings})

    def get(self, path: str) -> Json:
        """Answers a question without a body."""
        kind, _, name = path.removeprefix("/v1/").partition("/")
        match kind:
            case "status":
                return self.status
            case "map":
                return self.map
            case "items":
                found = [self.listings[name]] if name in self.listings else []
            case _:
                found = [each for each in self.listings.values() if each["product_id"] == name]
        if not found:
            return problem(404, "ITEM_NOT_FOUND", f"collection 'listings' has no item '{name}'")
        return {"photos": found, "timings_ms": {"embed": 0, "search": 1, "total": 1}}

    def ask(self, path: str, content_type: str, body: bytes) -> Json:
        """Answers a search, or a question for a category."""
        head = f"Content-Type: {content_type}\r\n\r\n".encode()
        asked = Asked([], [], {})
        for part in BytesParser().parsebytes(head + body).get_payload():
            name = part.get_param("name", header="content-disposition")
            content = part.get_payload(decode=True)
            if (file := part.get_filename()) is not None:
                assert name == "image"
                asked.files.append(file)
                asked.sizes.append(len(content))
            else:
                assert name not in asked.fields
                asked.fields[name] = content.decode()
        if path == "/v1/classify":
            self.asked_to_classify.append(asked)
            return self.classified
        assert path == "/v1/similar"
        self.asked.append(asked)
        return self.answer


def problem(code: int, reason: str, detail: str, field: str = "") -> Json:
    """Problem details."""
    return {"status": code, "title": "Problem", "reason": reason, "detail": detail, "field": field}


class _Handler(BaseHTTPRequestHandler):
    stub: Stub

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if path.startswith("/v1/thumbnails/"):
            data = self.stub.thumbnails.get(path.removeprefix("/v1/thumbnails/"))
            self._send(200, "image/jpeg", data or self.stub.thumbnail)
        elif path.startswith("/v1/"):
            self._send_json(self.stub.get(path))
        else:
            file = STATIC / ("index.html" if path == "/" else path.removeprefix("/static/"))
            if file.is_file():
                self._send(200, _TYPES[file.suffix], file.read_bytes())
            else:
                self._send(404, "text/plain", b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._send_json(self.stub.ask(self.path, self.headers["Content-Type"], body))

    def log_message(self, *_: Any) -> None:
        pass

    def _send_json(self, body: Json) -> None:
        code = body["status"] if "reason" in body else 200
        self._send(code, "application/json", json.dumps(body).encode())

    def _send(self, code: int, kind: str, data: bytes) -> None:
        self.send_response(code)
        for name, value in SECURITY_HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def serving(stub: Stub) -> Iterator[Stub]:
    """Serves it on a free port for the time of the block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"stub": stub}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    stub.origin = f"http://127.0.0.1:{server.server_port}"
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

"""The command line in this process, before a gateway and an embedder that answer by rule."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from google.rpc import status_pb2

from lookalike.errors import (
    InvalidImageError,
    ItemNotFoundError,
    LookalikeError,
    WordsUnavailableError,
)
from lookalike.gateway.v1 import gateway_pb2 as pb
from lookalike.status import to_status
from tests.command_line import Run, runner
from tests.fake_services import FakeEmbedder, FakeGateway, Served

SPACE = "0123456789abcdef0123456789abcdef"
LABELS = ("Home & Garden", "Appliances", "Other Goods")

DrawPhoto: TypeAlias = Callable[..., bytes]


class Gateway(FakeGateway):
    """Takes everything that begins like a JPEG for a photo.

    Attributes:
        ingested: What was written, by photo id.
        refused: The error of each photo id that has one.
        mismatch: What the status says of model and catalogue.
        lacking: What it says that is lacking for the best answers.
        text_encoder: What reads words; empty for a model that reads none.
        finds_words: Whether words of the catalogue can be looked for.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ingested: dict[str, pb.IngestListingRequest] = {}
        self.sent: list[str] = []
        self.refused: dict[str, LookalikeError] = {}
        self.mismatch = ""
        self.lacking: list[str] = []
        self.index_ready = True
        self.seq = 10
        self.index_away = False
        self.text_encoder = "MiniLM"
        self.finds_words = True

    def _answer(self, method: str, request: Any, context: Any) -> Any:
        if method in self.answers and method != "GetStatus":
            return super()._answer(method, request, context)
        self.answers = {method: self._by_rule(method, request)}
        try:
            return super()._answer(method, request, context)
        finally:
            self.answers = {}

    def _by_rule(self, method: str, request: Any) -> Any:
        match method:
            case "GetStatus":
                return self._status()
            case "ClassifyImage":
                return self._judged(request.image) or pb.ClassifyImageResponse(
                    classification=classification()
                )
            case "ClassifyListing":
                return self._classify_listing(request)
            case "IngestListing":
                return self._ingest(request)
            case "FindSimilarListings":
                if request.item_id == "nope":
                    return ItemNotFoundError("collection 'listings' has no item 'nope'")
                return self._judged(request.image) or self._found(request)
        raise AssertionError(f"no test calls {method}")

    def _found(self, request: pb.FindSimilarListingsRequest) -> pb.FindSimilarListingsResponse:
        found = similar(min(request.k or 10, 7), request)
        for number, image in enumerate(request.images.images):
            if error := self._judged(image):
                assert request.allow_partial
                found.failures.add(photo=number, error=to_status(error))
        if self.index_away:
            assert request.allow_partial
            del found.listings[:]
            found.degraded = "the index cannot be reached"
        return found

    def _classify_listing(self, request: pb.ClassifyListingRequest) -> Any:
        errors = [self._judged(image) for image in request.images]
        words = bool(request.title or request.description)
        if words and not self.text_encoder:
            return WordsUnavailableError("the model reads no words", field="title")
        if errors and errors[0] and all(errors):
            which = "photo 1: " if len(errors) > 1 else ""
            return InvalidImageError(which + errors[0].message, field="images[0]")
        return pb.ClassifyListingResponse(
            classification=classification(),
            photos=[pb.Classification() if error else classification() for error in errors],
            failures=[
                pb.PhotoFailure(photo=number, error=to_status(error))
                for number, error in enumerate(errors)
                if error
            ],
            words=pb.ReadWords(
                classification=classification((0.1, 0.8, 0.1)), tokens=128, truncated=True
            )
            if words
            else None,
        )

    def StreamIngestListings(self, requests: Any, context: Any) -> Iterator[Any]:
        for message in requests:
            answer = self._ingest(message.request)
            if isinstance(answer, LookalikeError):
                error: status_pb2.Status = to_status(answer)
                yield pb.StreamIngestListingsResponse(id=message.id, error=error)
            else:
                yield pb.StreamIngestListingsResponse(id=message.id, response=answer)

    def _ingest(self, request: pb.IngestListingRequest) -> Any:
        item_id = request.photo.item_id
        self.sent.append(item_id)
        if error := self.refused.get(item_id) or self._judged(request.image):
            return error
        replaced = item_id in self.ingested
        self.ingested[item_id] = request
        self.seq += 1
        return pb.IngestListingResponse(
            classification=classification(), replaced=replaced, seq=self.seq
        )

    def _judged(self, image: bytes) -> LookalikeError | None:
        if not image or image.startswith(b"\xff\xd8"):
            return None
        return InvalidImageError("image is not one of JPEG")

    def _status(self) -> pb.GetStatusResponse:
        return pb.GetStatusResponse(
            version="9.9",
            embedder=pb.EmbedderStatus(
                target="embedder:1",
                ready=True,
                model_name="net",
                model_version="3",
                embedding_space=SPACE,
                engine="openvino",
                precision="bf16",
                labels=LABELS,
                dimension=3,
                features_dimension=128,
                text_encoder=self.text_encoder,
            ),
            index=pb.IndexStatus(
                target="index:1",
                ready=self.index_ready,
                backend="native",
                applied_seq=self.seq,
                collection="listings",
                serving_collection="listings-0123456789ab",
                embedding_space=SPACE,
                photos=1200,
                listings=700,
                photos_with_features=1100,
                finds_words=self.finds_words,
            ),
            cache=pb.CacheStatus(entries=2, bytes=1 << 20, hits=3, misses=1),
            mismatch=self.mismatch,
            ranking=pb.RANKING_METHOD_BLEND,
            lacking=self.lacking,
        )


def classification(shares: tuple[float, ...] = (0.7, 0.2, 0.1)) -> pb.Classification:
    scores = [
        pb.CategoryScore(category=label, index=number, probability=probability)
        for number, (label, probability) in enumerate(zip(LABELS, shares, strict=True))
    ]
    scores.sort(key=lambda score: -score.probability)
    return pb.Classification(scores=scores, embedding_space=SPACE)


def similar(count: int, request: Any) -> pb.FindSimilarListingsResponse:
    hits = [
        pb.SimilarListing(
            photo=pb.CataloguePhoto(
                item_id=f"photo-{number}",
                product_id=f"listing-{number}",
                category=LABELS[number % 2],
                title=f"Lamp {number} [bold]\x1b[31mof\x07 brass",
                price=1250.0 * number if number else None,
                currency=("", "GBP", "CHF")[number % 3],
            ),
            distance=number / 3,
            likeness=None if request.text else (0.97, 0.6, 0.2, 0.05)[min(number, 3)],
            ranked_by=number / 7,
        )
        for number in range(count)
    ]
    return pb.FindSimilarListingsResponse(
        listings=hits,
        classification=None
        if request.WhichOneof("query") in ("item_id", "mix")
        else classification(),
        shortfall="" if count == request.k else f"there are only {count}",
        exact=True,
        ranking=request.ranking
        or (pb.RANKING_METHOD_HYBRID if request.text else pb.RANKING_METHOD_BLEND),
        candidates_scanned=1000,
        candidates_ranked=200,
    )


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    gateway = Gateway()
    served = Served(gateway)
    monkeypatch.setenv("LOOKALIKE_GATEWAY", served.address)
    yield gateway
    served.stop()


@pytest.fixture
def embedder(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEmbedder]:
    embedder = FakeEmbedder(SPACE)
    served = Served(embedder)
    monkeypatch.setenv("LOOKALIKE_EMBEDDER", served.address)
    yield embedder
    served.stop()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.delenv("COLUMNS", raising=False)
    return runner(capsys)


unix = pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")


def unreadable(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Makes a folder that nobody may read, for the superuser too."""

    def scandir(path: Any) -> Any:
        if Path(path) == folder:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scan(path)

    scan = os.scandir
    monkeypatch.setattr(os, "scandir", scandir)


@pytest.fixture
def unusable(photos: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A name that is not UTF-8 and an unreadable folder among the photos, as they are named."""
    try:
        (photos / os.fsdecode(b"\xff.jpg")).write_bytes(b"\xff\xd8")
    except OSError:
        pytest.skip("this file system has no such names")
    (photos / "secret").mkdir()
    unreadable(monkeypatch, photos / "secret")
    return ["\\udcff.jpg", "secret"]


@pytest.fixture
def photos(tmp_path: Path, draw_photo: DrawPhoto) -> Path:
    """A folder of five photos, one of them below another folder, and what is no photo."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for number, name in enumerate(("a.jpg", "b.JPG", "c.jpeg", "d.png", "more/e.jpg")):
        kind = "PNG" if name.endswith("png") else "JPEG"
        (folder / name).write_bytes(draw_photo(number, kind=kind))
    (folder / "notes.txt").write_text("not a photo")
    (folder / ".hidden.jpg").write_bytes(b"")
    return folder

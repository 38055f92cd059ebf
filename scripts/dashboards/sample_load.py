"""Load on three local services, of every kind that the dashboards show; for pictures and tests.

It asks for what people ask, and for what goes wrong too: damaged photos, and more photos than the
embedder takes. It says nothing of how fast anything is.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence

import numpy as np

from lookalike.client import AsyncClient, CataloguePhoto, Client, Embedding, IndexClient
from lookalike.client.index import Collection, Item
from lookalike.errors import LookalikeError
from lookalike.serving.local_stack import LocalStack

# Small enough to grow within moments, large enough that graphs lead to what is found.
_GRAPH_ITEMS = 6000
_EXACT_UP_TO = 1000
_DIMENSION = 16
GRAPHS = "sample-of-graphs"
_SPACE = "sample"


class SampleLoad:
    """Callers of a stack of services.

    Args:
        stack: The services, running.
        photos: Encoded photos to send; bytes behind their ends make others of them.
    """

    def __init__(self, stack: LocalStack, photos: Sequence[bytes]) -> None:
        self._gateway = stack.address("gateway")
        self._embedder = stack.address("embedder_service")
        self._index = stack.address("index_service")
        self._http = stack.http_address
        self._photos = photos
        self._dice = random.Random(1)
        self._numbers = itertools.count()
        self._vectors = np.random.default_rng(1).normal(size=(_GRAPH_ITEMS, _DIMENSION))

    def prepare(self) -> None:
        """Fills a catalogue, and a collection that is searched by graphs; makes a snapshot."""
        self.ingest(len(self._photos))
        vectors = self._vectors
        with IndexClient(self._index) as index:
            index.ensure_collection(
                Collection(GRAPHS, _SPACE, _DIMENSION, exact_up_to=_EXACT_UP_TO)
            )
            for start in range(0, _GRAPH_ITEMS, 1000):
                items = [
                    Item(f"{number}", f"{number}", Embedding(vectors[number], _SPACE))
                    for number in range(start, start + 1000)
                ]
                index.upsert(GRAPHS, items)
            index.create_snapshot()

    def another(self) -> bytes:
        """Returns a photo that no cache knows."""
        return self._dice.choice(self._photos) + next(self._numbers).to_bytes(8, "big")

    def ingest(self, count: int) -> None:
        """Adds photos of listings."""
        numbers = [next(self._numbers) for _ in range(count)]
        with Client(self._gateway) as client:
            for _ in client.ingest_many(
                (CataloguePhoto(f"sample-{n}", f"listing-{n}", title="lamp"), self.another())
                for n in numbers
            ):
                pass

    def look(self, client: Client) -> None:
        """Asks for what people ask: mostly photos known before."""
        choice = self._dice.random()
        photo = self.another() if choice < 0.5 else self._dice.choice(self._photos)
        with contextlib.suppress(LookalikeError):
            if choice < 0.2:
                client.classify(photo)
            elif choice < 0.3:
                client.similar(item_id=f"sample-{self._dice.randrange(5)}")
            else:
                client.similar(photo, k=5)

    def browse(self) -> None:
        """Asks over HTTP: a photo, words, the catalogue."""
        self._post("/v1/similar?k=5", self.another(), "image/jpeg")
        self._post("/v1/similar", json.dumps({"text": "green armchair"}).encode())
        self._get("/v1/listings?page_size=5")
        self._get("/v1/status")

    def blunder(self, client: Client) -> None:
        """Sends what must be refused: no photo, an item that is not there."""
        with contextlib.suppress(LookalikeError):
            client.classify(b"no photo")
        self._get("/v1/items/not-there")

    def find_by_graph(self, index: IndexClient) -> None:
        """Searches a collection whose answers may be approximate."""
        for _ in range(8):
            # between two items; the index samples searches by vector for its check of recall
            one, other = self._dice.sample(range(_GRAPH_ITEMS), 2)
            middle = (self._vectors[one] + self._vectors[other]) / 2
            index.neighbors(GRAPHS, Embedding(middle, _SPACE), k=10)

    async def flood(self, count: int) -> None:
        """Sends photos all at once, of which a small queue refuses some."""
        import asyncio

        async with AsyncClient(embedder=self._embedder, retries=0) as client:
            calls = (client.embed(self.another()) for _ in range(count))
            await asyncio.gather(*calls, return_exceptions=True)

    def bulk(self, count: int) -> None:
        """Embeds many photos on streams, as a bulk job does."""
        with Client(embedder=self._embedder) as client, contextlib.suppress(LookalikeError):
            for _ in client.embed_many((number, self.another()) for number in range(count)):
                pass

    def repeat(
        self, what: Callable[[], None], pause_s: Callable[[], float], stop: threading.Event
    ) -> threading.Thread:
        """Does something again and again, in a thread of its own, until told to stop."""

        def run() -> None:
            while not stop.is_set():
                with contextlib.suppress(LookalikeError, OSError):
                    what()
                stop.wait(pause_s())

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def _post(self, path: str, body: bytes, kind: str = "application/json") -> None:
        request = urllib.request.Request(
            f"http://{self._http}{path}", data=body, headers={"Content-Type": kind}
        )
        self._open(request)

    def _get(self, path: str) -> None:
        self._open(urllib.request.Request(f"http://{self._http}{path}"))

    @staticmethod
    def _open(request: urllib.request.Request) -> None:
        with (
            contextlib.suppress(urllib.error.HTTPError),
            urllib.request.urlopen(request, timeout=30) as answer,
        ):
            answer.read()


def wave(period_s: float, low: float, high: float) -> float:
    """Returns a pause that swings between two values, so that pictures have something to show."""
    share = (np.sin(time.monotonic() * 2 * np.pi / period_s) + 1) / 2
    return float(low + (high - low) * share)

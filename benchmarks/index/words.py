"""What words cost: queries at two sizes, by rare words and by those that all items have; writes.

Texts are drawn words whose frequencies fall like those of a language (Zipf), eight in a title and
forty in a description; every title has `for`.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.index import messages
from benchmarks.index.clients import lone_caller, streamed
from benchmarks.index.effort import FULL, Effort
from benchmarks.index.photos import BLOCK, Photos
from benchmarks.index.servers import IndexProcess, in_stream
from benchmarks.report import Figure
from benchmarks.turns import Call, latencies, median_ratio, rates
from lookalike.index.v1 import index_pb2 as pb
from lookalike.index.v1.index_pb2_grpc import IndexServiceStub

EVERYWHERE = "for"
_SMALL = 10_000
_LARGE = 200_000  # or what the effort calls large, if that is less
_WORDS = 50_000
_TITLE, _DESCRIPTION = 8, 40
_NAME = "words"
_TEXTS = ("title", "description")
_WRITTEN = 20  # batches a round


def measure(effort: Effort, photos: Photos, folder: Path) -> list[Figure]:
    """Returns the figures of queries, then that of writes."""
    figures: list[Figure] = []
    for size in (_SMALL, min(_LARGE, effort.large)):
        with IndexProcess(folder / f"words-{size}") as index:
            index.fill(_collection(_NAME, photos, words=True), _batches(photos, _NAME, size))
            figures += _queries(effort, photos, index, size)
    with IndexProcess(folder / "words-written") as index:
        return [*figures, _writes(effort, photos, index)]


def _queries(effort: Effort, photos: Photos, index: IndexProcess, size: int) -> list[Figure]:
    kinds = {
        "two words": [f"{_word(50 + n)} {_word(500 + n)}" for n in range(effort.calls)],
        "one in every item": [EVERYWHERE] * effort.calls,
        "a rare one and one in every item": [
            f"{_word(3000 + n)} {EVERYWHERE}" for n in range(effort.calls)
        ],
    }
    vectors = photos.queries(effort.calls)
    plain = [messages.query(_NAME, vector) for vector in vectors]
    alone = {name: [_query(words) for words in every] for name, every in kinds.items()}
    both = [_query(words, target) for words, target in zip(kinds["two words"], plain, strict=True)]
    asked = {"no words": plain, **alone, "two words and a vector": both}
    with lone_caller(index.address) as stub:
        matched = {
            name: stub.FindNeighbors(requests[0]).results[0].words_matched
            for name, requests in asked.items()
        }
        taken = latencies(
            [_caller(stub, requests) for requests in asked.values()],
            rounds=effort.rounds,
            calls=effort.calls,
        )
    most_ms = 50 if size in (_SMALL, FULL.large) else None
    return [
        Figure(
            f"{name} at {size:,}, p50",
            each.ms(),
            "ms",
            at_most=most_ms if name != "no words" else None,
            note=f"the first has {matched[name]:,} items" if matched[name] else "",
        )
        for name, each in zip(asked, taken, strict=True)
    ]


def _caller(stub: IndexServiceStub, requests: Sequence[pb.FindNeighborsRequest]) -> Call:
    return lambda number: stub.FindNeighbors(requests[number])


def _writes(effort: Effort, photos: Photos, index: IndexProcess) -> Figure:
    """Writes the same items to collections with and without text attributes, in turns."""
    numbers = iter(range(1 << 20))

    def rate(*, words: bool) -> float:
        name = f"written-{next(numbers)}"
        with lone_caller(index.address) as stub:
            stub.CreateCollection(_collection(name, photos, words=words))
        made = _batches(photos, name, _WRITTEN * BLOCK)
        batches = [batch.SerializeToString() for batch in in_stream(made)]
        return _WRITTEN * BLOCK / streamed(index.address, batches)

    with_words, without = rates(
        [lambda: rate(words=True), lambda: rate(words=False)], rounds=effort.rounds
    )
    note = f"{statistics.median(with_words):,.0f} against {statistics.median(without):,.0f} items/s"
    ratio = median_ratio(with_words, without)
    return Figure("upserts with words / without", ratio, "ratio", note=note)


def _collection(name: str, photos: Photos, *, words: bool) -> pb.CreateCollectionRequest:
    request = messages.collection(name, photos.dimension)
    request.collection.text_attributes.extend(_TEXTS if words else ())
    return request


def _batches(photos: Photos, name: str, count: int) -> Iterator[pb.BatchUpsertItemsRequest]:
    shares = 1 / np.arange(1, _WORDS + 1)
    shares /= shares.sum()
    for block in range(count // BLOCK):
        items = messages.items(photos, block)
        drawn = np.random.default_rng([11, block])
        chosen = drawn.choice(_WORDS, (BLOCK, _TITLE + _DESCRIPTION), p=shares)
        for item, numbers in zip(items, chosen.tolist(), strict=True):
            words = [_word(number) for number in numbers]
            item.attributes["title"] = " ".join([*words[:_TITLE], EVERYWHERE])
            item.attributes["description"] = " ".join(words[_TITLE:])
        yield pb.BatchUpsertItemsRequest(collection=name, items=items)


def _word(number: int) -> str:
    """Returns the word of a rank, with vowels in it, as stemming looks at those."""
    return f"w{number}ake"


def _query(words: str, target: pb.FindNeighborsRequest | None = None) -> pb.FindNeighborsRequest:
    request = pb.FindNeighborsRequest(collection=_NAME, queries=[pb.Query()], k=messages.K)
    if target:
        request.CopyFrom(target)
    request.queries[0].words = words
    return request

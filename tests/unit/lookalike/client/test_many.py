"""`embed_many` and `ingest_many`: everything answered, nothing twice, nothing read too early."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lookalike import AsyncClient, CataloguePhoto, Client, Embedding
from lookalike.client import Ingested
from lookalike.errors import (
    DeadlineExceededError,
    DrainingError,
    ImageTooLargeError,
    InvalidArgumentError,
    InvalidImageError,
    LookalikeError,
    UpstreamUnavailableError,
)
from tests.examples import examples
from tests.fake_services import (
    FakeEmbedder,
    FakeGateway,
    Served,
    photos_until_all_have_some,
    serving,
    vector_of,
)
from tests.waiting import until

Serve = Callable[..., Served]


def photos(count: int) -> list[tuple[int, bytes]]:
    return [(number, b"photo %d" % number) for number in range(count)]


def assert_all_embedded(found: list[tuple[Any, Any]], sent: list[tuple[int, bytes]]) -> None:
    assert Counter(key for key, _ in found) == Counter(key for key, _ in sent)
    images = dict(sent)
    for key, outcome in found:
        assert isinstance(outcome, Embedding), outcome
        assert outcome.vector.tolist() == vector_of(images[key])


def test_every_photo_is_answered_once(client: Any, embedder: FakeEmbedder) -> None:
    sent = photos(300)
    assert_all_embedded(list(client.embed_many(iter(sent))), sent)
    assert len(embedder.received) == 300
    assert embedder.streams == 4


def test_nothing_in_nothing_out(client: Any) -> None:
    assert list(client.embed_many([])) == []
    assert list(client.ingest_many([])) == []


def test_order_is_kept_if_asked(client: Any, embedder: FakeEmbedder) -> None:
    sent = photos(200)
    embedder.refuse[sent[7][1]] = InvalidImageError("bad")
    found = list(client.embed_many(sent, ordered=True))
    assert [key for key, _ in found] == list(range(200))


def test_ids_may_be_anything_even_the_same_twice(client: Any) -> None:
    ids = [("a", 1), None, "x" * 500, 3.5, None]
    found = list(client.embed_many([(key, b"photo") for key in ids], ordered=True))
    assert [key for key, _ in found] == ids


def test_outputs_and_embedding_space_come_with_each_result(
    client: Any, embedder: FakeEmbedder
) -> None:
    ((_, found),) = client.embed_many([("a", b"photo")], outputs=["style", "category"])
    assert list(found.outputs) == ["style", "category"]
    assert np.array_equal(np.asarray(found), found.outputs["style"])
    assert found.embedding_space == embedder.space


def test_bad_photo_or_missing_file_is_that_ones_outcome(
    client: Any, embedder: FakeEmbedder, tmp_path: Path
) -> None:
    embedder.refuse[b"bad"] = InvalidImageError("not a photo")
    (tmp_path / "good").write_bytes(b"good")
    sent = [
        ("good", tmp_path / "good"),
        ("bad", b"bad"),
        ("missing", tmp_path / "missing"),
        ("large", b"x" * (3 << 20)),
        ("fine", b"fine"),
    ]
    found = dict(client.embed_many(sent))
    assert found["good"].vector.tolist() == vector_of(b"good")
    assert isinstance(found["bad"], InvalidImageError)
    assert isinstance(found["missing"], FileNotFoundError)
    assert isinstance(found["large"], ImageTooLargeError)
    assert isinstance(found["fine"], Embedding)


def test_input_is_read_only_as_room_appears(client: Any, embedder: FakeEmbedder) -> None:
    read = 0

    def endless() -> Iterator[tuple[int, bytes]]:
        nonlocal read
        while True:
            read += 1
            yield read, b"photo"

    found = client.embed_many(endless(), streams=2, in_flight=3)
    for taken in range(1, 40):
        next(found)
        assert read <= taken + 6
    found.close()


def test_no_stream_has_more_unanswered_than_the_embedder_accepts(
    client: Any, embedder: FakeEmbedder
) -> None:
    embedder.gate.clear()
    found = client.embed_many(iter(photos(1000)), in_flight=10_000)
    threading.Timer(0.3, embedder.gate.set).start()
    next(found)
    # While the gate was shut there was one stream, of which the fake reads one at a time.
    assert len(embedder.received) <= 4 * embedder.limits.max_stream_in_flight
    assert len(list(found)) == 999


def listeners() -> int:
    return sum(thread.name == "lookalike-stream" for thread in threading.enumerate())


def test_leaving_early_ends_the_streams(client: Any, embedder: FakeEmbedder, serve: Serve) -> None:
    before = listeners()
    found = client.embed_many((number, b"photo") for number in range(10**9))
    for _ in range(10):
        next(found)
    found.close()
    received = len(embedder.received)
    time.sleep(0.1)
    assert len(embedder.received) <= received + 4 * embedder.limits.max_stream_in_flight
    assert listeners() <= before
    client.embed(b"the client still works")


def test_error_of_the_input_is_the_callers(client: Any) -> None:
    def broken() -> Iterator[tuple[int, bytes]]:
        yield from photos(5)
        raise LookupError("no more of it")

    with pytest.raises(LookupError, match="no more of it"):
        list(client.embed_many(broken()))


def test_slow_input_does_not_hold_results_back(client: Any) -> None:
    def slow() -> Iterator[tuple[int, bytes]]:
        for pair in photos(6):
            time.sleep(0.05)
            yield pair

    assert_all_embedded(list(client.embed_many(slow())), photos(6))


@pytest.mark.parametrize("ordered", [False, True])
def test_photos_of_an_embedder_that_dies_go_to_another(
    connect: Any, serve: Serve, ordered: bool
) -> None:
    embedders = FakeEmbedder(), FakeEmbedder()
    target = ",".join(serve(embedder).address for embedder in embedders)
    embedders[1].crash_after = 20
    sent: list[tuple[int, bytes]] = []

    def until_both_have_some() -> Iterator[tuple[int, bytes]]:
        for number in itertools.count():
            if len(sent) >= 400 and embedders[1].received:
                return
            sent.append((number, b"photo %d" % number))
            yield sent[-1]

    found = list(connect(embedder=target).embed_many(until_both_have_some(), ordered=ordered))
    assert_all_embedded(found, sent)
    if ordered:
        assert [key for key, _ in found] == list(range(len(sent)))


def test_embedder_that_comes_back_is_used_again(connect: Any, serve: Serve) -> None:
    first = FakeEmbedder()
    server = serve(first)
    first.crash_after = 10
    second = FakeEmbedder()

    def come_back() -> None:
        until(lambda: len(first.received) > 10)
        time.sleep(0.2)
        serve(second, port=server.port)

    thread = threading.Thread(target=come_back)
    thread.start()
    sent = photos(100)
    assert_all_embedded(list(connect(embedder=server.address, retries=4).embed_many(sent)), sent)
    thread.join()
    assert second.received


def test_photo_that_ends_every_stream_is_given_up(connect: Any, serve: Serve) -> None:
    class Fragile(FakeEmbedder):
        def StreamEmbedImages(self, requests: Any, context: Any) -> Iterator[Any]:
            for message in requests:
                self.received.append(message.request.image)
                if message.request.image == b"poison":
                    raise SystemError  # the stream ends with UNKNOWN, as of a server's bug
                yield from super().StreamEmbedImages(iter([message]), context)

    client = connect(embedder=serve(Fragile()).address)
    found = dict(client.embed_many([("a", b"1"), ("poison", b"poison")], in_flight=1))
    assert isinstance(found["a"], Embedding)
    assert isinstance(found["poison"], LookalikeError)


def test_photo_that_cannot_be_taken_just_now_is_sent_again_as_often_as_told(
    connect: Any, serve: Serve
) -> None:
    embedder = FakeEmbedder()
    embedder.refuse[b"busy"] = DrainingError("a moment", retry_after_ms=5)
    client = connect(embedder=serve(embedder).address, retries=2)
    found = dict(client.embed_many([("busy", b"busy"), ("other", b"other")]))
    assert isinstance(found["busy"], DrainingError)
    assert isinstance(found["other"], Embedding)
    assert embedder.received.count(b"busy") == 3


def test_silent_embedder_is_left_for_another_and_silence_of_all_ends_the_run(
    connect: Any, serve: Serve
) -> None:
    silent, well = FakeEmbedder(), FakeEmbedder()
    target = ",".join(serve(embedder).address for embedder in (silent, well))
    client = connect(embedder=target, photo_timeout=3.0)
    silent.gate.clear()
    sent = photos(50)
    assert_all_embedded(list(client.embed_many(sent)), sent)
    well.gate.clear()
    with pytest.raises(UpstreamUnavailableError, match="nothing was heard for 3 s"):
        list(client.embed_many(sent))
    silent.gate.set()
    well.gate.set()


def test_a_photo_that_is_never_answered_fails_and_the_others_are_embedded(
    connect: Any, serve: Serve
) -> None:
    class Stuck(FakeEmbedder):
        def StreamEmbedImages(self, requests: Any, context: Any) -> Any:
            fine = (message for message in requests if message.request.image != b"stuck")
            return super().StreamEmbedImages(fine, context)

    client = connect(embedder=serve(Stuck()).address, photo_timeout=0.6)
    found = dict(client.embed_many([*photos(20), ("stuck", b"stuck")]))
    error = found.pop("stuck")
    assert isinstance(error, DeadlineExceededError)
    assert "nothing was heard for 0.6 s (photo_timeout)" in str(error)
    assert_all_embedded(list(found.items()), photos(20))


def test_vectors_of_two_models_tell_which_they_are_of(connect: Any, serve: Serve) -> None:
    embedders = FakeEmbedder(space="old"), FakeEmbedder(space="new")
    target = ",".join(serve(embedder).address for embedder in embedders)
    found = connect(embedder=target).embed_many(photos_until_all_have_some(embedders))
    assert {outcome.embedding_space for _, outcome in found} == {"old", "new"}


@pytest.mark.parametrize("arguments", [{"streams": 0}, {"in_flight": 0}])
def test_counts_must_be_counts(client: Any, arguments: Any) -> None:
    with pytest.raises(InvalidArgumentError):
        client.embed_many([], **arguments)


def test_ingest_many(client: Any, gateway: FakeGateway) -> None:
    gateway.answers |= {
        "2": InvalidImageError("bad"),
        "3": [DrainingError("a moment", retry_after_ms=1)],
    }
    sent = [(CataloguePhoto(str(number), "p"), b"photo %d" % number) for number in range(100)]
    found = dict(client.ingest_many(iter(sent)))
    assert found.keys() == {photo.item_id for photo, _ in sent}
    failed = {key for key, outcome in found.items() if not isinstance(outcome, Ingested)}
    assert failed == {"2"}
    requests = gateway.requests["StreamIngestListings"]
    assert len({request.request_id for request in requests}) == 100
    again = [request.request_id for request in requests if request.photo.item_id == "3"]
    assert len(again) == 2
    assert len(set(again)) == 1


async def test_async_input_is_read_as_room_appears(serve: Serve) -> None:
    read = 0

    async def endless() -> Any:
        nonlocal read
        while True:
            read += 1
            yield read, b"photo"

    embedder = FakeEmbedder()
    async with AsyncClient(embedder=serve(embedder).address) as client:
        taken = 0
        async for _ in client.embed_many(endless(), streams=1, in_flight=4):
            taken += 1
            assert read <= taken + 4
            if taken == 50:
                break
        assert (await client.embed(b"still works")).output == "category"


def test_consumer_may_take_longer_than_an_embedder_may_be_silent(serve: Serve) -> None:
    with Client(embedder=serve(FakeEmbedder()).address, photo_timeout=0.2) as client:
        found = client.embed_many(photos(50))
        next(found)
        time.sleep(0.5)
        assert len(list(found)) == 49


@settings(max_examples=examples(10), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 2**32),
    count=st.integers(0, 80),
    arguments=st.fixed_dictionaries(
        {"streams": st.integers(1, 4), "in_flight": st.integers(1, 5), "ordered": st.booleans()}
    ),
)
def test_whatever_fails_each_photo_has_one_outcome(
    connect: Any, seed: int, count: int, arguments: dict[str, Any]
) -> None:
    dice = random.Random(seed)

    class Unreliable(FakeEmbedder):
        def StreamEmbedImages(self, requests: Any, context: Any) -> Iterator[Any]:
            for message in requests:
                fate = dice.random()
                if fate < 0.05:
                    raise SystemError
                if fate < 0.1:
                    return
                replies = list(super().StreamEmbedImages(iter([message]), context))
                if fate < 0.15:
                    replies[0].ClearField("response")
                    replies[0].error.code = 14
                yield from replies
                if fate > 0.95:
                    yield replies[0]  # an answer that nobody waits for

    sent = [(number, b"%d" % number) for number in range(count)]
    with serving([Unreliable(), Unreliable()]) as servers:
        client = connect(embedder=",".join(server.address for server in servers))
        found = list(client.embed_many(sent, **arguments))
        client.close()
    assert Counter(key for key, _ in found) == Counter(range(count))
    if arguments["ordered"]:
        assert [key for key, _ in found] == list(range(count))
    for key, outcome in found:
        if isinstance(outcome, Embedding):
            assert outcome.vector.tolist() == vector_of(sent[key][1])
        else:
            assert isinstance(outcome, LookalikeError)

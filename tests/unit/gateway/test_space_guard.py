"""Whether model and catalogue belong together, and who is refused if not."""

from __future__ import annotations

import asyncio
import logging

import pytest

from gateway import space_guard as space_guard_module
from gateway.index_state import ServingCollection
from gateway.space_guard import EmbeddingSpaceGuard
from lookalike.errors import EmbeddingSpaceMismatchError, UpstreamUnavailableError
from tests.gateway_models import model
from tests.gateways import FakeEmbedder, FakeIndex

AWAY = UpstreamUnavailableError("away")


async def looked(space_guard: EmbeddingSpaceGuard, embedder: FakeEmbedder) -> None:
    """Lets it look once."""
    watcher = asyncio.create_task(space_guard.watch())
    for _ in range(10):
        await asyncio.sleep(0)
    watcher.cancel()
    await asyncio.gather(watcher, return_exceptions=True)


async def test_two_that_belong_together_refuse_nobody(
    space_guard: EmbeddingSpaceGuard, embedder: FakeEmbedder
) -> None:
    await looked(space_guard, embedder)
    assert space_guard.mismatch == ""
    space_guard.check()
    space_guard.check("space", "vector.embedding_space")


async def test_mismatch_is_told_and_refused_naming_both(
    space_guard: EmbeddingSpaceGuard,
    embedder: FakeEmbedder,
    index: FakeIndex,
    caplog: pytest.LogCaptureFixture,
) -> None:
    index.leads_to = ServingCollection("listings-old", "old space")
    with caplog.at_level(logging.WARNING):
        await looked(space_guard, embedder)
        await looked(space_guard, embedder)
    assert [record.message for record in caplog.records] == ["mismatch"], "it is said once"
    for text in ("'space'", "'listings-old'", "'old space'", "lookalike reindex"):
        assert text in space_guard.mismatch
    with pytest.raises(EmbeddingSpaceMismatchError) as caught:
        space_guard.check()
    assert caught.value.field == "image"
    assert caught.value.metadata == {
        "collection_embedding_space": "old space",
        "vector_embedding_space": "space",
    }


async def test_vector_is_judged_by_its_own_space_and_not_by_the_embedders(
    space_guard: EmbeddingSpaceGuard, embedder: FakeEmbedder, index: FakeIndex
) -> None:
    index.leads_to = ServingCollection("listings-old", "old space")
    await looked(space_guard, embedder)
    space_guard.check("old space", "vector.embedding_space")
    with pytest.raises(EmbeddingSpaceMismatchError) as caught:
        space_guard.check("space", "vector.embedding_space")
    assert caught.value.field == "vector.embedding_space"


async def test_while_one_is_away_nobody_is_refused(
    space_guard: EmbeddingSpaceGuard, embedder: FakeEmbedder, index: FakeIndex
) -> None:
    space_guard.check()
    index.leads_to = ServingCollection("listings-old", "old space")
    for upstream in (embedder, index):
        await looked(space_guard, embedder)
        assert space_guard.mismatch
        upstream.error = AWAY
        await looked(space_guard, embedder)
        assert space_guard.mismatch == ""
        space_guard.check()
        upstream.error = None


async def test_catalogue_that_does_not_exist_yet_takes_any_model(
    space_guard: EmbeddingSpaceGuard, embedder: FakeEmbedder, index: FakeIndex
) -> None:
    index.leads_to = None
    await looked(space_guard, embedder)
    space_guard.check()
    assert space_guard.mismatch == ""


async def test_what_answers_tell_is_noticed_between_looks(
    space_guard: EmbeddingSpaceGuard, embedder: FakeEmbedder
) -> None:
    await looked(space_guard, embedder)
    embedder.served = model("new space")
    await embedder.model(1)
    assert "'new space'" in space_guard.mismatch


@pytest.mark.parametrize("turns", range(4))
async def test_it_ends_although_a_check_is_asked_for_in_the_same_moment(
    space_guard: EmbeddingSpaceGuard, monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    monkeypatch.setattr(space_guard_module, "_PAUSE_S", 0)
    watcher = asyncio.create_task(space_guard.watch())
    for _ in range(20):
        await asyncio.sleep(0)  # until it waits for somebody to ask
    space_guard.check_soon()
    for _ in range(turns):
        await asyncio.sleep(0)
    watcher.cancel()
    ended, _ = await asyncio.wait({watcher}, timeout=1)
    watcher.cancel()
    assert ended

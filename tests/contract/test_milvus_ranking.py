"""How Milvus's limits are met where neighbours are ranked again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from index_service.backend import Backend
from index_service.records import Collection, Method, Metric, Query, Rerank
from lookalike import limits
from lookalike.errors import NotSupportedError
from tests.contract.conftest import Make
from tests.contract.listings import find, ids, nearest, vector
from tests.contract.photos import LINE, RIGHT, UP, Photos, at_a_gap, drawn, queries, write_features


@pytest.fixture(autouse=True)
def _only_milvus(backend_name: str) -> None:
    if not backend_name.startswith("milvus"):
        pytest.skip("about Milvus alone")


def crowded(seed: int, query: tuple[Any, Any]) -> Photos:
    """Photos of one product, but for the nine that are farthest from the query by vector."""
    photos = drawn(Metric.SQUARED_L2, seed)
    ordered = sorted(photos.near(*query, 0), key=lambda near: near.first)
    far = {near.number for near in ordered[-9:]}
    photos.products = [f"p{i}" if i in far else "crowd" for i in range(len(ordered))]
    return photos


async def test_candidates_come_in_as_many_answers_as_they_need(
    backend: Backend, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from index_service.milvus import nearest as first_stage

    monkeypatch.setattr(first_stage, "ANSWER_BYTES", 30_000)  # some 25 rows
    photos = drawn(Metric.SQUARED_L2, 20, photos=3)
    name = await photos.write(backend, make)
    asked = queries(20, 2)
    for how in ({}, {"exact": True}):
        answer = await find(
            backend,
            name,
            [photos.query(query) for query in asked],
            k=10,
            rerank=Rerank(100, 0.04),
            **how,
        )
        for query, result in zip(asked, answer.results, strict=True):
            candidates = None if how else 100
            photos.assert_found(
                result, query, 0.04, photos.best(query, 0.04, 10, candidates=candidates)
            )
            assert result.ranked == (candidates or 300)


async def test_all_are_ranked_where_the_most_candidates_are_of_too_few_products(
    backend: Backend, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:

    monkeypatch.setattr(limits, "MAX_CANDIDATES", 50)
    first, second = queries(21, 2)
    photos = crowded(21, first)
    name = await photos.write(backend, make)
    for k, ranked in ((1, 20), (10, 300)):
        answer = await find(
            backend,
            name,
            [photos.query(first), photos.query(second)],
            k=k,
            distinct_products=True,
            rerank=Rerank(20, 0.04),
        )
        for query, result in zip((first, second), answer.results, strict=True):
            expected = photos.best(query, 0.04, k, candidates=ranked, distinct=True)
            photos.assert_found(result, query, 0.04, expected)
            assert result.ranked == ranked


async def test_ranking_more_than_can_be_read_is_refused(
    backend: Backend, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from index_service.milvus import second_stage

    monkeypatch.setattr(second_stage, "MAX_RANKED", 3)
    monkeypatch.setattr(limits, "MAX_CANDIDATES", 2)
    name = await make(LINE)
    await write_features(backend, name, *[RIGHT] * 4)
    query = Query(vector(0, 0), UP)
    with pytest.raises(NotSupportedError, match=r"4 items .* more than 3 .* exact") as caught:
        await nearest(backend, name, query, k=1, exact=True, rerank=Rerank(1))
    assert caught.value.field == "exact"
    with pytest.raises(NotSupportedError, match="products"):
        await nearest(backend, name, query, k=3, distinct_products=True, rerank=Rerank(3))
    assert ids(await nearest(backend, name, query, k=1, rerank=Rerank(2))) == ["0"]


async def test_with_exact_no_more_is_read_than_what_may_be_within_the_distance(
    backend: Backend, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from index_service.milvus import second_stage

    monkeypatch.setattr(second_stage, "MAX_RANKED", 3)
    photos = drawn(Metric.SQUARED_L2, 23)
    name = await photos.write(backend, make)
    (query,) = queries(23, 1)
    firsts = [near.first for near in photos.near(*query, 0)]
    for within in (5, 60):
        limit = at_a_gap(firsts, within)
        expected = photos.best(query, 0.04, 20, may=lambda near, limit=limit: near.first <= limit)
        answer = await nearest(
            backend,
            name,
            photos.query(query),
            k=20,
            exact=True,
            max_distance=limit,
            rerank=Rerank(1, 0.04),
        )
        photos.assert_found(answer, query, 0.04, expected)
        count = sum(first <= limit for first in firsts)
        assert (answer.ranked, answer.complete) == (count, True)
        assert answer.method is Method.EXACT
    assert answer.candidates_scanned < 200


async def test_item_that_is_deleted_while_it_is_ranked_makes_room_for_the_next(
    backend: Backend, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from index_service.milvus.connection import MilvusConnection, StoredCollection
    from index_service.milvus.expressions import ID, one_of

    name = await make(LINE)
    await write_features(backend, name, *[RIGHT] * 5)
    doomed, read = ["1"], MilvusConnection.named

    def named(
        milvus: MilvusConnection,
        kept: StoredCollection,
        wanted: Sequence[str],
        fields: Sequence[str],
        at: int,
    ) -> Mapping[str, Any]:
        if doomed:
            gone = milvus.delete(kept, one_of(ID, [doomed.pop()]))
            milvus.wait_until_seen(kept, gone)
        return read(milvus, kept, wanted, fields, at)

    monkeypatch.setattr(MilvusConnection, "named", named)
    query = Query(vector(0, 0), RIGHT)
    answer = await nearest(backend, name, query, k=3, rerank=Rerank(5, 0.1))
    assert ids(answer) == ["0", "2", "3"]
    assert answer.shortfall == ""


async def test_graph_gives_candidates_of_which_some_may_be_missing(
    milvus_address: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from index_service.milvus.backend import MilvusBackend, MilvusSettings

    monkeypatch.setattr(limits, "MAX_CANDIDATES", 60)
    (query,) = queries(22, 1)
    photos = crowded(22, query)
    shape = photos.collection()
    name = f"{line}-graph"
    with MilvusBackend(MilvusSettings(milvus_address, index="HNSW")) as backend:

        async def make(collection: Collection | None = None, **how: object) -> str:
            described = Collection(
                name, shape.embedding_space, 13, shape.metric, features_dimension=16
            )
            await backend.create_collection(described)
            return name

        await photos.write(backend, make)
        asked, how = photos.query(query), {"distinct_products": True}
        few = await nearest(backend, name, asked, k=1, rerank=Rerank(50, 0.04), **how)
        assert (few.method, few.ranked, few.complete) == (Method.APPROXIMATE, 50, False)
        # The candidates are of too few products: all are ranked, whatever the graph knows.
        whole = await nearest(backend, name, asked, k=10, rerank=Rerank(50, 0.04), **how)
        expected = photos.best(query, 0.04, 10, distinct=True)
        photos.assert_found(whole, query, 0.04, expected)
        assert (whole.method, whole.ranked, whole.complete) == (Method.EXACT, 300, True)
        with pytest.raises(NotSupportedError, match="FLAT"):
            await nearest(backend, name, asked, exact=True, rerank=Rerank(50, 0.04))
        await backend.delete_collection(name)

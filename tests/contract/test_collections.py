"""Collections and aliases, on every backend."""

from __future__ import annotations

import pytest

from index_service.backend import Backend
from index_service.records import Collection, Metric
from lookalike.errors import (
    AliasNotFoundError,
    CollectionExistsError,
    CollectionInUseError,
    CollectionNotFoundError,
)
from tests.contract.conftest import Make
from tests.contract.listings import SPACE, ids, item, nearest, plain, vector, write


async def test_collection_is_described_as_it_was_created(backend: Backend, make: Make) -> None:
    wanted = Collection(
        "replaced",
        'a space with "quotes", a \\ and é',
        3,
        Metric.COSINE,
        indexed_attributes=("colour", 'a "key"', "日本"),
        features_dimension=4,
        full_scan_threshold=12_345,
        target_recall=0.9,
    )
    name = await make(wanted)
    found, count = await backend.collection(name)
    fields = {slot: getattr(wanted, slot) for slot in Collection.__slots__}
    assert found == Collection(**{**fields, "name": name})
    assert count == 0
    assert (found, 0) in await backend.collections()


async def test_collections_come_by_name(backend: Backend, make: Make) -> None:
    made = {await make() for _ in range(3)}
    names = [collection.name for collection, _ in await backend.collections()]
    assert made <= set(names)
    assert names == sorted(names)


async def test_name_can_be_taken_only_once(backend: Backend, line: str, alias: str) -> None:
    await backend.set_alias(alias, line)
    for taken in (line, alias):
        with pytest.raises(CollectionExistsError):
            await backend.create_collection(plain(taken))


async def test_names_that_differ_little_are_different(backend: Backend, make: Make) -> None:
    first = await make()
    other = first.replace("-", "_d")
    await backend.create_collection(plain(other, dimension=5))
    assert (await backend.collection(first))[0].dimension == 2
    assert (await backend.collection(other))[0].dimension == 5
    assert await backend.delete_collection(other) == 0


async def test_deleting_a_collection_says_how_many_items_went_with_it(
    backend: Backend, line: str
) -> None:
    await write(backend, line, [(item("a"), vector(0, 0)), (item("b"), vector(1, 0))])
    assert await backend.delete_collection(line) == 2
    with pytest.raises(CollectionNotFoundError):
        await backend.collection(line)
    with pytest.raises(CollectionNotFoundError):
        await backend.delete_collection(line)


async def test_name_is_free_again_after_deletion(backend: Backend, make: Make) -> None:
    name = await make()
    await write(backend, name, [(item("a"), vector(0, 0))])
    await backend.delete_collection(name)
    await backend.create_collection(plain(name, dimension=3))
    await write(backend, name, [(item("b"), vector(1, 0, 0))])
    assert ids(await nearest(backend, name, vector(0, 0, 0))) == ["b"]


async def test_unknown_collection_is_not_found(backend: Backend) -> None:
    with pytest.raises(CollectionNotFoundError):
        await backend.item("nowhere", "a")
    with pytest.raises(CollectionNotFoundError):
        await nearest(backend, "nowhere", vector(0, 0))
    with pytest.raises(CollectionNotFoundError):
        await write(backend, "nowhere", [(item("a"), vector(0, 0))])
    with pytest.raises(CollectionNotFoundError):
        await backend.set_alias("somewhere", "nowhere")


async def test_alias_leads_to_its_collection(backend: Backend, line: str, alias: str) -> None:
    previous, first = await backend.set_alias(alias, line)
    assert previous == ""
    assert (await backend.aliases())[alias] == line
    await write(backend, alias, [(item("a"), vector(0, 0))])
    assert ids(await nearest(backend, alias, vector(0, 0))) == ["a"]
    assert (await backend.collection(alias))[0].name == line
    assert await backend.delete_alias(alias) > first
    assert alias not in await backend.aliases()
    with pytest.raises(CollectionNotFoundError):
        await backend.collection(alias)
    with pytest.raises(AliasNotFoundError):
        await backend.delete_alias(alias)


async def test_alias_moves_from_one_collection_to_another(
    backend: Backend, make: Make, alias: str
) -> None:
    old, new = await make(), await make()
    await write(backend, old, [(item("old"), vector(0, 0))])
    await write(backend, new, [(item("new"), vector(0, 0))])
    await backend.set_alias(alias, old)
    assert ids(await nearest(backend, alias, vector(0, 0))) == ["old"]
    previous, _ = await backend.set_alias(alias, new)
    assert previous == old
    assert ids(await nearest(backend, alias, vector(0, 0))) == ["new"]


async def test_collection_with_an_alias_cannot_be_deleted(
    backend: Backend, line: str, alias: str
) -> None:
    await backend.set_alias(alias, line)
    with pytest.raises(CollectionInUseError, match=alias):
        await backend.delete_collection(line)
    with pytest.raises(CollectionNotFoundError):
        await backend.delete_collection(alias)
    await backend.delete_alias(alias)
    assert await backend.delete_collection(line) == 0


async def test_alias_cannot_have_a_collections_name(backend: Backend, make: Make) -> None:
    first, second = await make(), await make()
    with pytest.raises(CollectionExistsError):
        await backend.set_alias(first, second)
    with pytest.raises(AliasNotFoundError):
        await backend.delete_alias(first)


async def test_state_names_every_collection(backend: Backend, line: str) -> None:
    await write(backend, line, [(item("a"), vector(0, 0))])
    state = await backend.state()
    assert {s.name: s.items for s in state.collections}[line] == 1
    assert state.applied_seq > 0
    assert not state.read_only


async def test_dimension_of_one_works(backend: Backend, make: Make) -> None:
    name = await make(Collection("replaced", SPACE, 1, Metric.SQUARED_L2))
    await write(backend, name, [(item("a"), vector(1.0)), (item("b"), vector(3.0))])
    assert ids(await nearest(backend, name, vector(2.5))) == ["b", "a"]

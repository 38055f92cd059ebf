"""Backends for the contract tests: the one that LOOKALIKE_CONTRACT_BACKEND names, else native.

A new backend is one entry of `BACKENDS`.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from index_service.backend import Backend
from index_service.records import Collection
from tests.contract.listings import item, plain, vector, write
from tests.contract.milvus_server import interfaces, loopback_up, running_server
from tests.contract.worded import LISTINGS, TEXTS

NAME = os.environ.get("LOOKALIKE_CONTRACT_BACKEND", "native")
ONLY_NATIVE = pytest.mark.skipif(NAME != "native", reason="the native backend alone finds words")

Make = Callable[..., Awaitable[str]]


@contextmanager
def _native(directory: Path, milvus: str) -> Iterator[Backend]:
    from index_service.config import IndexSettings
    from index_service.native.backend import open_native

    with open_native(IndexSettings(data_dir=directory)) as backend:
        yield backend


@contextmanager
def _milvus(directory: Path, milvus: str) -> Iterator[Backend]:
    from index_service.milvus.backend import MilvusBackend, MilvusSettings

    with MilvusBackend(MilvusSettings(milvus)) as backend:
        yield backend


BACKENDS: dict[str, Callable[[Path, str], AbstractContextManager[Backend]]] = {
    "native": _native,
    "milvus": _milvus,
    "milvus-lite": _milvus,
}


@pytest.fixture(scope="session")
def backend_name() -> str:
    """Which backend is tested."""
    return NAME


@pytest.fixture(scope="session")
def milvus_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where Milvus is, if that is what the tests are about."""
    if interfaces() == ["lo"]:
        loopback_up()
    if NAME == "milvus":
        with running_server(tmp_path_factory.mktemp("milvus")) as address:
            yield address
    else:
        yield str(tmp_path_factory.mktemp("milvus") / "lite.db")


@pytest.fixture
def backend(tmp_path: Path, milvus_address: str) -> Iterator[Backend]:
    """The backend."""
    with BACKENDS[NAME](tmp_path, milvus_address) as made:
        yield made


@pytest.fixture
async def make(backend: Backend) -> AsyncIterator[Make]:
    """Creates collections under names of their own, and deletes them at the end.

    Takes a collection whose name is replaced, or the arguments of `plain`.
    """
    made: list[str] = []

    async def create(collection: Collection | None = None, **how: object) -> str:
        name = f"c-{secrets.token_hex(6)}_x"
        if collection is None:
            collection = plain(name, **how)  # type: ignore[arg-type]
        fields = {slot: getattr(collection, slot) for slot in Collection.__slots__}
        await backend.create_collection(Collection(**{**fields, "name": name}))
        made.append(name)
        return name

    yield create
    for alias, target in (await backend.aliases()).items():
        if target in made:
            await backend.delete_alias(alias)
    for name in {name for name, _ in [(c.name, n) for c, n in await backend.collections()]}:
        if name in made:
            await backend.delete_collection(name)


@pytest.fixture
async def line(make: Make) -> str:
    """An empty collection of dimension 2."""
    return await make()


@pytest.fixture
def alias() -> str:
    """A name for an alias."""
    return f"a-{secrets.token_hex(6)}_x"


@pytest.fixture
async def shop(backend: Backend, make: Make) -> str:
    """A collection of `worded.LISTINGS`, each at (x, 0)."""
    name = await make(TEXTS)
    rows = [
        (
            item(key, product, category=category, price=price, title=title, text=text, colour=hue),
            vector(x, 0),
        )
        for key, product, x, title, text, category, price, hue, _ in LISTINGS
    ]
    await write(backend, name, rows, **{row[0]: row[-1] for row in LISTINGS})
    return name

"""A model takes another's place while requests run, or is refused."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from embedder_service.admission import Admission
from embedder_service.hosting import ModelHost
from embedder_service.model import Model
from embedder_service.scheduling import SchedulingKey
from lookalike.errors import ModelRefusedError, UnknownOutputError
from lookalike.model.bundle import MANIFEST, Bundle, BundleError, Manifest


class FakeEmbedder:
    """Answers with its space; photos are held until let go."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self.let_go = asyncio.Event()
        self.let_go.set()
        self.closed = False
        self.fails: Exception | None = None

    async def __aenter__(self) -> FakeEmbedder:
        if self.fails:
            raise self.fails
        return self

    async def __aexit__(self, *exception: object) -> None:
        assert not self.closed
        self.closed = True

    def known(self, outputs: Any) -> Any:
        if "style" in outputs:
            raise UnknownOutputError("no style")
        return outputs

    async def embed(self, image: bytes, outputs: Any, key: SchedulingKey, admitted: Any) -> str:
        self.known(outputs)
        async with admitted:
            assert not self.closed
            await self.let_go.wait()
            assert not self.closed
            return self.manifest.embedding_space


class Models:
    """A directory with a bundle, and what was made of each that was in it."""

    def __init__(self, directory: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = directory
        self.built: list[FakeEmbedder] = []
        self.next_fails: Exception | None = None
        self._manifest = bundle.manifest
        monkeypatch.setattr("embedder_service.hosting.bundles.load", self._load)

    def put(self, space: str) -> None:
        aside = self.directory.with_name("aside")
        aside.write_text(space)
        os.replace(aside, self.directory / MANIFEST)  # noqa: PTH105

    def _load(self, path: Path) -> Bundle:
        space = (path / MANIFEST).read_text()
        if space == "damaged":
            raise BundleError(f"{path}: damaged")
        return Bundle(path, dataclasses.replace(self._manifest, embedding_space=space))

    def build(self, bundle: Bundle) -> Any:
        embedder = FakeEmbedder(bundle.manifest)
        embedder.fails = self.next_fails
        self.built.append(embedder)
        return Model(embedder)  # type: ignore[arg-type]


@pytest.fixture
def models(tmp_path: Path, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> Models:
    models = Models(tmp_path, tiny_bundle, monkeypatch)
    models.put("old")
    return models


@pytest.fixture
async def host(models: Models) -> AsyncIterator[ModelHost]:
    admission = Admission(max_photos=9, max_bytes=1000)
    async with ModelHost(models.directory, models.build, admission, admission) as host:
        yield host


async def embed(host: ModelHost, *outputs: str) -> Any:
    with host.session() as session:
        return await session.embed(b"photo", outputs, SchedulingKey(), None)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_photos_that_are_under_way_keep_their_model_and_new_ones_get_the_new(
    host: ModelHost, models: Models
) -> None:
    (old,) = models.built
    old.let_go.clear()
    under_way = asyncio.create_task(embed(host))
    await asyncio.sleep(0)
    models.put("new")
    assert (await host.reload()).embedding_space == "new"
    assert await embed(host) == "new"
    assert not old.closed
    old.let_go.set()
    assert await under_way == "old"
    await until(lambda: old.closed)


async def test_a_session_keeps_its_model_between_photos(host: ModelHost, models: Models) -> None:
    with host.session() as session:
        models.put("new")
        await host.reload()
        assert await session.embed(b"photo", (), SchedulingKey(), None) == "old"
    await until(lambda: models.built[0].closed)


async def test_a_damaged_bundle_is_refused_and_the_old_model_goes_on(
    host: ModelHost, models: Models
) -> None:
    models.put("damaged")
    with pytest.raises(ModelRefusedError, match="damaged; tiny 1 is still served") as caught:
        await host.reload()
    assert caught.value.metadata == {"embedding_space": "old"}
    assert await embed(host) == "old"
    assert host.refused
    models.put("good")
    await host.reload()
    assert not host.refused


async def test_a_model_that_does_not_run_is_refused(host: ModelHost, models: Models) -> None:
    models.put("new")
    models.next_fails = RuntimeError("no such output")
    with pytest.raises(ModelRefusedError, match="it does not run: no such output; tiny 1 is"):
        await host.reload()
    assert await embed(host) == "old"


async def test_a_bundle_that_was_moved_into_place_is_noticed_and_a_bad_one_tried_once(
    host: ModelHost, models: Models
) -> None:
    watching = asyncio.create_task(host.watch(0.005))
    models.put("new")
    await until(lambda: host.manifest.embedding_space == "new")
    models.next_fails = RuntimeError("bad")
    models.put("bad")
    await until(lambda: len(models.built) == 3)
    await asyncio.sleep(0.05)  # ten more looks
    assert host.refused
    assert len(models.built) == 3
    assert host.manifest.embedding_space == "new"
    models.next_fails = None
    (models.directory / MANIFEST).unlink()
    await asyncio.sleep(0.02)
    models.put("good")
    await until(lambda: host.manifest.embedding_space == "good")
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


async def test_an_unknown_output_does_not_wait_for_room(host: ModelHost, models: Models) -> None:
    models.built[0].let_go.clear()
    tasks = [asyncio.create_task(embed(host)) for _ in range(9)]
    await asyncio.sleep(0)
    with pytest.raises(UnknownOutputError):
        await embed(host, "style")
    models.built[0].let_go.set()
    await asyncio.gather(*tasks)

"""Hosts the served model, and replaces it while requests run."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from embedder_service.admission import Admission
from embedder_service.embedding import EmbeddedPhoto
from embedder_service.model import Model
from embedder_service.scheduling import SchedulingKey
from embedder_service.words import EmbeddedWords
from lookalike.errors import ModelRefusedError
from lookalike.files import signature
from lookalike.model import bundle as bundles
from lookalike.model.bundle import MANIFEST, Bundle, BundleError, Manifest

logger = logging.getLogger(__name__)


class _Hosted:
    """A model with a count of its users; closed once it is replaced and the last one is done."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self._users = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def __enter__(self) -> Model:
        self._users += 1
        self._idle.clear()
        return self.model

    def __exit__(self, *exception: object) -> None:
        self._users -= 1
        if not self._users:
            self._idle.set()

    async def close_when_idle(self) -> None:
        await self._idle.wait()
        await self.model.__aexit__()


@dataclass(frozen=True)
class Session:
    """A request's hold on one model."""

    model: Model
    admission: Admission
    text_admission: Admission
    embedded: Callable[[EmbeddedPhoto | EmbeddedWords], None]

    async def embed(
        self, image: bytes, outputs: Sequence[str], key: SchedulingKey, remaining_s: float | None
    ) -> EmbeddedPhoto:
        """Returns a photo's vectors; see `PhotoEmbedder.embed` and `Admission.admitted`."""
        admitted = self.admission.admitted(len(image), key, remaining_s)
        photo = await self.model.photos.embed(image, outputs, key, admitted)
        self.embedded(photo)
        return photo

    async def embed_words(
        self,
        title: str,
        description: str,
        outputs: Sequence[str],
        key: SchedulingKey,
        remaining_s: float | None,
    ) -> EmbeddedWords:
        """Returns the vectors of words; see `WordsEmbedder.embed` and `Admission.admitted`."""
        words = self.model.reader()
        size = len(title) + len(description)
        async with self.text_admission.admitted(size, key, remaining_s):
            read = await words.embed(title, description, outputs, key)
        self.embedded(read)
        return read


class ModelHost:
    """Serves the bundle of a directory; use as an async context manager.

    A photo is decoded and embedded by the same model, even if that is replaced meanwhile.

    Args:
        directory: The bundle's directory; another bundle may be moved to its place.
        build: Builds the model of a bundle; blocking.
        admission: Bounds the photos in the service.
        text_admission: Bounds the texts in it.
        embedded: Called with each photo and each text of a request that was embedded.
    """

    def __init__(
        self,
        directory: Path,
        build: Callable[[Bundle], Model],
        admission: Admission,
        text_admission: Admission,
        embedded: Callable[[EmbeddedPhoto | EmbeddedWords], None] = lambda _: None,
    ) -> None:
        self._directory = directory
        self._build = build
        self._admission = admission
        self._text_admission = text_admission
        self._embedded = embedded
        self.refused = False  # whether the bundle in the directory was, and an older one is served
        self._hosted: _Hosted | None = None
        self._seen: tuple[int, ...] = ()
        self._loading = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> ModelHost:
        """Loads and warms up; raises what `bundle.load` and `build` raise."""
        self._seen = self._signature()
        self._hosted = _Hosted(await self._load())
        return self

    async def __aexit__(self, *exception: object) -> None:
        await asyncio.gather(*self._closing, self.model.__aexit__())

    @property
    def model(self) -> Model:
        """The model of new requests."""
        assert self._hosted is not None, "use as an async context manager"
        return self._hosted.model

    @property
    def manifest(self) -> Manifest:
        """The manifest of the model of new requests."""
        return self.model.manifest

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Holds the current model, so that all photos of a request are embedded by the same one."""
        assert self._hosted is not None, "use as an async context manager"
        with self._hosted as model:
            yield Session(model, self._admission, self._text_admission, self._embedded)

    async def reload(self) -> Manifest:
        """Replaces the model by the bundle in the directory; returns the new manifest.

        Raises:
            ModelRefusedError: The bundle is damaged or does not run; the old model stays.
        """
        async with self._loading:
            self._seen = self._signature()
            old = self.manifest
            try:
                model = await self._load()
            except Exception as error:
                self.refused = True
                logger.exception("model refused", extra={"bundle": str(self._directory)})
                reason = error if isinstance(error, BundleError) else f"it does not run: {error}"
                raise ModelRefusedError(
                    f"{self._directory}: {reason}; {old.name} {old.version} is still served",
                    metadata={"embedding_space": old.embedding_space},
                ) from error
            replaced, self._hosted, self.refused = self._hosted, _Hosted(model), False
            assert replaced is not None
            task = asyncio.create_task(replaced.close_when_idle())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
            logger.info(
                "model replaced",
                extra={"from": old.embedding_space, "to": self.manifest.embedding_space},
            )
            return self.manifest

    async def watch(self, interval_s: float) -> None:
        """Reloads when the bundle in the directory changes; a bad one is tried once."""
        while True:
            await asyncio.sleep(interval_s)
            found = await asyncio.to_thread(self._signature)
            if found and found != self._seen:
                try:
                    await self.reload()
                except ModelRefusedError:
                    continue  # already logged

    async def _load(self) -> Model:
        bundle = await asyncio.to_thread(bundles.load, self._directory)
        model = await asyncio.to_thread(self._build, bundle)
        return await model.__aenter__()

    def _signature(self) -> tuple[int, ...]:
        """Returns file facts that change when a bundle is moved into place; () without a bundle."""
        try:
            return signature(self._directory / MANIFEST)
        except OSError:
            return ()

"""A served model: what embeds photos, and what embeds words if it has a text tower."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from embedder_service.embedding import PhotoEmbedder
from embedder_service.words import WordsEmbedder
from lookalike.errors import WordsUnavailableError
from lookalike.model.bundle import Manifest


@dataclass(frozen=True)
class Model:
    """Both embedders of one bundle; use as an async context manager."""

    photos: PhotoEmbedder
    words: WordsEmbedder | None = None
    _running: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def manifest(self) -> Manifest:
        """The bundle's manifest."""
        return self.photos.manifest

    @property
    def running_s(self) -> float:
        """Run time of the engines' longest batch so far, in seconds; 0 if both are idle."""
        return max(self.photos.running_s, self.words.running_s if self.words else 0.0)

    def reader(self) -> WordsEmbedder:
        """Returns what embeds words; raises WordsUnavailableError if nothing does."""
        if self.words is None:
            raise WordsUnavailableError(
                f"model {self.manifest.name} {self.manifest.version} has no text tower; train one "
                "(python -m training train-text) and export it with the model (export --text)"
            )
        return self.words

    async def __aenter__(self) -> Model:
        async with AsyncExitStack() as entered:
            await entered.enter_async_context(self.photos)
            if self.words:
                await entered.enter_async_context(self.words)
            self._running.push_async_callback(entered.pop_all().aclose)
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._running.aclose()

"""Embeds words with a model's text tower: clean, split into tokens, batch, infer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from embedder_service.batching import BatchingEmbedder, BatchObserver, DynamicBatcher
from embedder_service.embedding import Vectors, checked, known_outputs
from embedder_service.scheduling import SchedulingKey
from lookalike.catalogue.words import cleaned_and_cut
from lookalike.errors import InvalidArgumentError
from lookalike.limits import MAX_TEXT_LENGTH
from lookalike.model.bundle import Manifest
from lookalike.model.text import TextTokenizer, batch_of


class TextEngine(Protocol):
    """Runs a text tower. `run` is called by one thread at a time."""

    precision: str

    def run(self, *inputs: NDArray[np.int64]) -> dict[str, NDArray[np.float32]]:
        """Returns each output by name, of shape (N, dimension), for ids and mask of (N, length)."""
        ...


@dataclass(frozen=True)
class EmbeddedWords:
    """A text's vectors, each of shape (dimension,), and the time of each stage in nanoseconds.

    Attributes:
        manifest: Of the model that computed them.
        batch: What the batches' observer made of its batch.
    """

    manifest: Manifest
    vectors: Vectors
    tokens: int
    truncated: bool
    tokenise_ns: int
    queue_ns: int
    inference_ns: int
    batch: object = None


class WordsEmbedder(BatchingEmbedder[list[int], Vectors]):
    """Embeds words with one model's text tower; use as an async context manager.

    Args:
        manifest: The model's manifest, with a text tower.
        engine: Runs the tower.
        tokenizer: The tower's.
        batch_sizes: See `DynamicBatcher`.
        observer: Watches the batches; None for nobody.
    """

    def __init__(
        self,
        manifest: Manifest,
        engine: TextEngine,
        tokenizer: TextTokenizer,
        *,
        batch_sizes: Sequence[int],
        observer: BatchObserver | None = None,
    ) -> None:
        self._observer = observer
        assert manifest.text is not None
        self.manifest = manifest
        self.tower = manifest.text
        self.engine = engine
        self._tokenizer = tokenizer
        # One: Python cleans one text at a time however many there are, and the more threads try,
        # the longer the event loop waits for its turn, with everybody's photos.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tokenise")
        self._batcher = DynamicBatcher[list[int], Vectors](self._infer, sizes=batch_sizes)

    async def __aexit__(self, *exception: object) -> None:
        await super().__aexit__(*exception)
        self._thread.shutdown(cancel_futures=True)

    async def embed(
        self,
        title: str,
        description: str = "",
        outputs: Sequence[str] = (),
        key: SchedulingKey = SchedulingKey(),
    ) -> EmbeddedWords:
        """Returns the vectors of words.

        Args:
            title: A listing's title, or words to look for.
            description: A listing's description.
            outputs: Names of the outputs wanted; none for the default.
            key: Its priority and source.

        Raises:
            UnknownOutputError: The model has no such output.
            InvalidArgumentError: Nothing that is said can be read.
        """
        names = known_outputs(self.manifest, outputs)
        started = time.perf_counter_ns()
        ids, truncated = await asyncio.get_running_loop().run_in_executor(
            self._thread, self._tokens, title, description
        )
        tokenise_ns = time.perf_counter_ns() - started
        answer = await self._batcher.submit(ids, key)
        return EmbeddedWords(
            self.manifest,
            {name: answer.result[name] for name in names},
            len(ids),
            truncated,
            tokenise_ns,
            answer.queue_ns,
            answer.run_ns,
            answer.batch,
        )

    def _tokens(self, title: str, description: str) -> tuple[list[int], bool]:
        words, cut = cleaned_and_cut(title, description)
        # Of signs alone a network makes something too, and nobody could say what.
        if not any(letter.isalnum() for letter in words):
            said = title.strip() or description.strip()
            raise InvalidArgumentError(
                "the words say nothing that can be read: there is no letter and no digit beside "
                "markup, links, telephone numbers and what cannot be seen"
                if said
                else "title and description are empty",
                field="title" if title.strip() or not said else "description",
            )
        ids, more = self._tokenizer.row(words)
        return ids, more or cut

    def _infer(self, batch: list[list[int]]) -> list[Vectors]:
        tokens = batch_of(batch)
        outputs = self.engine.run(tokens.ids, tokens.mask)
        return checked(self.manifest, outputs, len(batch))

    async def _warm_up(self) -> None:
        # The engine prepares for each shape at its first use: one listing or query of each length.
        longest = self.tower.max_tokens
        for length in {min(longest, tokens) for tokens in (16, 32, 64, 128)} | {longest}:
            await self._batcher.submit([0] * length)


def check_lengths(title: str, description: str) -> None:
    """Raises InvalidArgumentError if a text is too long to be looked at."""
    for field, text in (("title", title), ("description", description)):
        if len(text) > MAX_TEXT_LENGTH:
            raise InvalidArgumentError(
                f"{field} has {len(text)} characters; the limit is {MAX_TEXT_LENGTH}", field=field
            )

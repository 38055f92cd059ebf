"""Refuses vectors of another embedding space than the catalogue's, before a photo is embedded.

Both upstreams report their embedding space with every answer, and are asked for it when they come
back and at intervals. While either is unknown, nothing is refused here: the index itself refuses
vectors of another space, but only after the photo was embedded.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from gateway.embedder import EmbedderUpstream
from gateway.index import IndexUpstream
from lookalike.errors import EmbeddingSpaceMismatchError

logger = logging.getLogger(__name__)

_TIMEOUT_S = 2.0
# Shortest pause between two checks: each refused request asks for one, and there may be many.
_PAUSE_S = 1.0


class EmbeddingSpaceGuard:
    """Compares the embedding spaces of the model and the catalogue.

    Args:
        embedder: Reports the model's.
        index: Reports the catalogue's.
        interval_s: How often to ask both, in seconds.
    """

    def __init__(self, embedder: EmbedderUpstream, index: IndexUpstream, interval_s: float) -> None:
        self._embedder = embedder
        self._index = index
        self._interval_s = interval_s
        self._check_requested = asyncio.Event()
        self._reported = ""
        self._both_answer = False
        embedder.space_changed = index.serving_changed = self._report

    @property
    def mismatch(self) -> str:
        """How the two differ, in words; empty if they agree or one is unknown."""
        if not self._both_answer:
            return ""
        return self._why(self._embedder.embedding_space, "the embedder's model gives")

    def check(self, embedding_space: str = "", field: str = "image") -> None:
        """Refuses vectors that the collection can neither store nor compare.

        Args:
            embedding_space: The vectors' own; empty for vectors that the embedder will make.
            field: The request's field that they come from, for the error.

        Raises:
            EmbeddingSpaceMismatchError: The spaces differ; names both.
        """
        if not self._both_answer:
            return
        theirs = embedding_space or self._embedder.embedding_space
        subject = f"{field} is from" if embedding_space else "the embedder's model gives"
        why, serving = self._why(theirs, subject), self._index.serving
        if not why or serving is None:
            return
        self._check_requested.set()  # the mismatch may be over by now
        raise EmbeddingSpaceMismatchError(
            why,
            field=field,
            metadata={
                "collection_embedding_space": serving.embedding_space,
                "vector_embedding_space": theirs,
            },
        )

    def check_soon(self) -> None:
        """Asks for a check soon: an upstream is back, or refused a vector."""
        self._check_requested.set()

    async def watch(self) -> None:
        """Checks on request and at intervals; runs for ever."""
        while True:
            self._check_requested.clear()
            answers = await asyncio.gather(
                self._embedder.model(_TIMEOUT_S),
                self._index.refresh(_TIMEOUT_S),
                return_exceptions=True,
            )
            self._both_answer = not any(isinstance(each, BaseException) for each in answers)
            self._report()
            await asyncio.sleep(_PAUSE_S)
            # Not `asyncio.wait_for`, which before Python 3.12 loses a cancellation that comes with
            # what it waits for: the gateway would never end.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._interval_s):
                    await self._check_requested.wait()

    def _why(self, theirs: str, subject: str) -> str:
        serving = self._index.serving
        if serving is None or not theirs or theirs == serving.embedding_space:
            return ""
        return (
            f"{subject} embedding space '{theirs}', but collection '{serving.collection}' holds "
            f"'{serving.embedding_space}'; embed the catalogue with the model that is served "
            "(lookalike reindex), or serve the model of the catalogue"
        )

    def _report(self) -> None:
        before, self._reported = self._reported, self.mismatch
        if self._reported and self._reported != before:
            logger.warning("mismatch", extra={"reason": self._reported})
        elif before and not self._reported:
            logger.info("no mismatch any more")

"""Do the embedder's model and the catalogue belong together?

Both upstreams tell their embedding space with every answer, and are asked when they come back and
now and then. While one of the two is not known nothing is refused: the index refuses vectors of
another space itself, but only after the photo was embedded.
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
# Least time between two looks: refused requests ask for one, and there may be many.
_PAUSE_S = 1.0


class EmbeddingSpaceGuard:
    """Compares the two embedding spaces.

    Args:
        embedder: Whose answers tell one.
        index: Whose answers tell the other.
        interval_s: How often to ask both, in seconds.
    """

    def __init__(self, embedder: EmbedderUpstream, index: IndexUpstream, interval_s: float) -> None:
        self._embedder = embedder
        self._index = index
        self._interval_s = interval_s
        self._wanted = asyncio.Event()
        self._said = ""
        self._both_answer = False
        embedder.space_changed = index.serving_changed = self._report

    @property
    def mismatch(self) -> str:
        """Why the two do not belong together; empty if they do, or if that is not known."""
        if not self._both_answer:
            return ""
        return self._why(self._embedder.embedding_space, "the embedder's model gives")

    def check(self, embedding_space: str = "", field: str = "image") -> None:
        """Refuses vectors that the collection cannot take or compare.

        Args:
            embedding_space: Theirs; empty for those that the embedder will make.
            field: Where they come from, for the error.

        Raises:
            EmbeddingSpaceMismatchError: They are of another space; names both.
        """
        if not self._both_answer:
            return
        theirs = embedding_space or self._embedder.embedding_space
        subject = f"{field} is from" if embedding_space else "the embedder's model gives"
        why, serving = self._why(theirs, subject), self._index.serving
        if not why or serving is None:
            return
        self._wanted.set()  # it may be over by now
        raise EmbeddingSpaceMismatchError(
            why,
            field=field,
            metadata={
                "collection_embedding_space": serving.embedding_space,
                "vector_embedding_space": theirs,
            },
        )

    def look(self) -> None:
        """Asks for a look soon: an upstream is back, or refused a vector."""
        self._wanted.set()

    async def watch(self) -> None:
        """Looks whenever somebody asks for it, and at intervals; runs for ever."""
        while True:
            self._wanted.clear()
            answers = await asyncio.gather(
                self._embedder.model(_TIMEOUT_S),
                self._index.look(_TIMEOUT_S),
                return_exceptions=True,
            )
            self._both_answer = not any(isinstance(each, BaseException) for each in answers)
            self._report()
            await asyncio.sleep(_PAUSE_S)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), self._interval_s)

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
        said, self._said = self._said, self.mismatch
        if self._said and self._said != said:
            logger.warning("mismatch", extra={"reason": self._said})
        elif said and not self._said:
            logger.info("no mismatch any more")

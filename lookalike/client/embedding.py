"""What the blocking client asks of embedders; the gateway has no part in it."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import TypeVar

from lookalike.client import calls, runs
from lookalike.client.calling import BlockingCaller
from lookalike.client.descriptions import Model
from lookalike.client.options import EMBEDDER
from lookalike.client.photos import Photo, read_photo
from lookalike.client.results import Embedding, TextEmbedding
from lookalike.errors import LookalikeError

Id = TypeVar("Id", bound=Hashable)


class BlockingEmbedding(BlockingCaller):
    """Base of `Client`: the vectors of photos and words, straight from embedders."""

    def model(self, *, timeout: float | None = None) -> Model:
        """Describes the embedder's model and its limits; needs `embedder`."""
        return self._call(calls.model(), timeout)

    def embed(
        self, photo: Photo, *, outputs: Sequence[str] = (), timeout: float | None = None
    ) -> Embedding:
        """Returns a photo's vectors, straight from an embedder; needs `embedder`.

        Args:
            photo: The photo.
            outputs: Names of the model's outputs; none for its default one.
            timeout: Seconds for this call; None for the client's.
        """
        return self._call(calls.embed(read_photo(photo), outputs), timeout)

    def embed_text(
        self,
        title: str,
        description: str = "",
        *,
        outputs: Sequence[str] = (),
        timeout: float | None = None,
    ) -> TextEmbedding:
        """Returns the vectors of words, straight from an embedder; needs `embedder`.

        They are in the space of photos: the two may be compared.

        Args:
            title: A listing's title, or words to look for.
            description: The listing's description.
            outputs: Names of the model's outputs; none for its default one.
            timeout: Seconds for this call; None for the client's.

        Raises:
            WordsUnavailableError: The model reads no words.
        """
        return self._call(calls.embed_text(title, description, outputs), timeout)

    def embed_many(
        self,
        photos: Iterable[tuple[Id, Photo]],
        *,
        outputs: Sequence[str] = (),
        ordered: bool = False,
        streams: int | None = None,
        in_flight: int | None = None,
    ) -> Iterator[tuple[Id, Embedding | LookalikeError | OSError]]:
        """Embeds many photos on all embedders; yields each one's id with its outcome.

        The iterable is read as fast as photos are answered and their outcomes taken, and files are
        read only then, so any number of photos takes the memory of `streams` × `in_flight`. Every
        photo has one outcome, a vector or an error, and a failure does not end the run. Photos of a
        lost connection are sent to another embedder, up to the client's `retries`. Leaving the loop
        early ends the streams.

        While embedders are updated to another model, vectors come from two embedding spaces: see
        `Embedding.embedding_space`.

        Args:
            photos: Pairs of an id, which may be any hashable, and a photo; read in this thread.
            outputs: Names of the model's outputs; none for its default one.
            ordered: Yield in the order of the iterable rather than as outcomes come.
            streams: Number of streams, spread over the embedders; None for one more than there are
                addresses, and at least 4.
            in_flight: Most unanswered photos of one stream; None for the embedder's limit, which
                also caps it.

        Raises:
            LookalikeError: No embedder can be reached at the start, or none was given.
        """
        runs.check_counts(in_flight=in_flight, streams=streams)
        self._options.target(EMBEDDER)  # raises now rather than at the first outcome
        return self._embed_many(photos, outputs, ordered, streams, in_flight)

    def _embed_many(
        self,
        photos: Iterable[tuple[Id, Photo]],
        outputs: Sequence[str],
        ordered: bool,
        streams: int | None,
        in_flight: int | None,
    ) -> Iterator[tuple[Id, Embedding | LookalikeError | OSError]]:
        limits = self.model().limits
        scheduler = runs.embed_scheduler(
            self._options, limits, streams=streams, in_flight=in_flight, ordered=ordered
        )
        requests = runs.requests(
            photos,
            lambda _, image: calls.embed_request(image, outputs),
            runs.largest_message(self._options, limits),
        )
        yield from self._stream(requests, scheduler, calls.EMBED_STREAM)

"""The blocking client, for scripts, notebooks and threads."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

from numpy.typing import ArrayLike

from lookalike.catalogue.listings import CataloguePhoto, ListingFilter
from lookalike.channel import MAX_MESSAGE_BYTES, TLS
from lookalike.client import calls, runs
from lookalike.client.descriptions import Status
from lookalike.client.embedding import BlockingEmbedding
from lookalike.client.mixing import Part, read_parts
from lookalike.client.options import DEFAULT_GATEWAY, ClientOptions, Token
from lookalike.client.photos import Photo, PhotoOrPhotos, is_several, read_photo, read_photos
from lookalike.client.results import (
    Classified,
    Deleted,
    Embedding,
    Ingested,
    Page,
    Ranking,
    SearchResult,
)
from lookalike.errors import LookalikeError


class Client(BlockingEmbedding):
    """A client of the gateway, and of embedders; may be shared by threads.

    It connects at the first call. Use it as a context manager, or `close` it. A pickled client
    connects anew in the process that unpickles it.

    Every error is a `lookalike.LookalikeError` with `code`, `reason` and `message`, never one of
    gRPC's. A file that cannot be read raises its usual OSError.

    Args:
        gateway: `host:port`, or `dns:///name:port` to spread calls over its addresses.
        embedder: The same for embedders, or several `host:port` with commas between; `embed`,
            `embed_text`, `embed_many` and `model` need it.
        timeout: Default seconds for a call with all its retries.
        photo_timeout: Seconds that all streams of `embed_many` or `ingest_many` may be silent while
            photos are unanswered. A single stream is given up after half of that.
        retries: How often a call that met UNAVAILABLE is tried again, 0 to 4, with growing pauses.
            Above about one failure in ten calls, retries stop: they would only add load.
        tls: False for plaintext; True for TLS with the public authorities; a path for the
            authorities in a PEM file; `TLS(…)` for a client certificate too.
        token: Sent with each call as `authorization: Bearer …`; a function is called each time,
            from any thread, and should be quick.
        insecure_token: Allow sending the token without TLS to other machines, where anybody on the
            way can read it. To this machine that is always allowed.
        max_message_bytes: Largest message either way; the services' own limits hold too.

    Raises:
        InvalidArgumentError: An argument is invalid, or the token would be sent in plaintext.
    """

    def __init__(
        self,
        gateway: str = DEFAULT_GATEWAY,
        *,
        embedder: str | None = None,
        timeout: float = 10.0,
        photo_timeout: float = 60.0,
        retries: int = 3,
        tls: bool | str | os.PathLike[str] | TLS = False,
        token: Token | None = None,
        insecure_token: bool = False,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
    ) -> None:
        options = ClientOptions(
            gateway=gateway,
            embedder=embedder,
            timeout=timeout,
            photo_timeout=photo_timeout,
            retries=retries,
            tls=TLS.of(tls),
            token=token,
            insecure_token=insecure_token,
            max_message_bytes=max_message_bytes,
        )
        super().__init__(options)

    def classify(
        self,
        photo: PhotoOrPhotos | None = None,
        *,
        title: str = "",
        description: str = "",
        include_vector: bool = False,
        allow_partial: bool = False,
        timeout: float | None = None,
    ) -> Classified:
        """Classifies a photo, or a listing by all of its photos, its words, or both.

        Args:
            photo: The photo, in any form that `Photo` lists; or a list of up to 16 of one listing.
                None for words alone.
            title: The listing's title, at most 8,192 characters.
            description: The listing's description; likewise.
            include_vector: Return the vector too, as `Classified.embedding`; for one photo alone.
            allow_partial: If some photos of a list cannot be used, answer by the others and name
                those in `Classified.failures`.
            timeout: Seconds for this call; None for the client's.

        Raises:
            WordsUnavailableError: There are words, and the model reads none.
        """
        call = calls.classify(
            read_photos(photo) if photo is not None else (),
            several=is_several(photo),
            title=title,
            description=description,
            include_vector=include_vector,
            allow_partial=allow_partial,
        )
        return self._call(call, timeout)

    def similar(
        self,
        photo: PhotoOrPhotos | None = None,
        *,
        text: str | None = None,
        item_id: str | None = None,
        mix: Sequence[Part] | None = None,
        vector: Embedding | ArrayLike | None = None,
        embedding_space: str = "",
        k: int = 10,
        where: ListingFilter | None = None,
        every_photo: bool = False,
        max_distance: float | None = None,
        exact: bool = False,
        min_seq: int = 0,
        allow_partial: bool = False,
        ranking: Ranking | str | None = None,
        min_likeness: float | None = None,
        include_price: bool = False,
        timeout: float | None = None,
    ) -> SearchResult:
        """Finds listings by a photo, words, a photo of the catalogue, a mix of those, or a vector.

        Args:
            photo: A photo, or up to 16 of one thing, whose mean is the query.
            text: Words that describe what to look for, at most 1,024 characters. They are looked
                for in titles and descriptions too, if the catalogue finds words.
            item_id: Id of a photo of the catalogue; its own listing is left out.
            mix: Up to 16 of `Part`, each of which leads towards it or away from it.
            vector: An `Embedding`, with its `features` if it has such an output; or numbers, with
                `embedding_space`.
            embedding_space: Embedding space of the numbers.
            k: How many listings, 1 to 1,000.
            where: Conditions on the listings.
            every_photo: Return each near photo, not each listing once with its nearest.
            max_distance: Greatest `distance`.
            exact: Compare every candidate, however many there are.
            min_seq: Search after this write (`Ingested.seq`).
            allow_partial: If the index cannot be reached, return the classification of photos or
                `text` alone and say so in `degraded`, rather than raise. If some of several photos
                cannot be used, answer by the others and name those in `failures`.
            ranking: A `Ranking`, or its word; None for the best that model and catalogue allow.
            min_likeness: Least likeness, 0 to 1.
            include_price: Return a fair price too, as `SearchResult.price`.
            timeout: Seconds for this call; None for the client's.

        Raises:
            WordsUnavailableError: There are words, and the model reads none; of `text`, if the
                catalogue finds none either.
            RankingUnavailableError: Model, catalogue or query lack what `ranking` or
                `min_likeness` needs.
        """
        images = read_photos(photo) if photo is not None else ()
        call = calls.similar(
            images,
            item_id,
            vector,
            embedding_space,
            text=text,
            mix=read_parts(mix) if mix is not None else None,
            k=k,
            where=where,
            every_photo=every_photo,
            max_distance=max_distance,
            exact=exact,
            min_seq=min_seq,
            allow_partial=allow_partial,
            ranking=ranking,
            min_likeness=min_likeness,
            include_price=include_price,
        )
        return self._call(call, timeout)

    def ingest(
        self,
        photo: CataloguePhoto,
        image: Photo,
        *,
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> Ingested:
        """Adds a photo to the catalogue, replacing one of the same `item_id`.

        When it returns, the photo is on disk and visible to the next search.

        Args:
            photo: Its id, and its listing's facts.
            image: The photo itself, in any form that `Photo` lists.
            request_id: A key that marks a call as a repetition of an earlier one, even from another
                process; None makes one, which covers this call's own retries.
            timeout: Seconds for this call; None for the client's.
        """
        return self._call(calls.ingest(photo, read_photo(image), request_id), timeout)

    def ingest_many(
        self, photos: Iterable[tuple[CataloguePhoto, Photo]], *, in_flight: int = 32
    ) -> Iterator[tuple[str, Ingested | LookalikeError | OSError]]:
        """Adds many photos; yields each one's `item_id` with its outcome, as they come.

        The iterable is read as fast as photos are answered and their outcomes taken, and files are
        read only then. Every photo has one outcome, and a failure does not end the run. Photos of a
        lost connection are sent again, up to the client's `retries`; request ids prevent writing
        them twice. Two photos with the same `item_id` are written in either order, unless the first
        one's outcome came before the second was read.

        Args:
            photos: Photos of the catalogue, each with its image, any number; read in this thread.
            in_flight: Most unanswered photos.

        Raises:
            LookalikeError: The gateway cannot be reached at all.
        """
        runs.check_counts(in_flight=in_flight)
        return self._ingest_many(photos, in_flight)

    def delete(
        self,
        *,
        product_id: str | None = None,
        item_id: str | None = None,
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> Deleted:
        """Deletes a listing with all its photos, or one photo; one that does not exist is no error.

        Args:
            product_id: A listing; or
            item_id: one photo.
            request_id: As for `ingest`.
            timeout: Seconds for this call; None for the client's.
        """
        return self._call(calls.delete(product_id, item_id, request_id), timeout)

    def get(
        self,
        *,
        product_id: str | None = None,
        item_id: str | None = None,
        timeout: float | None = None,
    ) -> tuple[CataloguePhoto, ...]:
        """Returns a listing's photos, or one photo; ItemNotFoundError if there are none.

        Args:
            product_id: A listing; or
            item_id: one photo.
            timeout: Seconds for this call; None for the client's.
        """
        return self._call(calls.get(product_id, item_id), timeout)

    def listings(
        self, where: ListingFilter | None = None, *, page_size: int = 100
    ) -> Iterator[CataloguePhoto]:
        """Yields every photo of the catalogue in the order of writing, fetched page by page.

        Args:
            where: Conditions on the listings.
            page_size: Photos per call, at most 1,000.
        """
        token = ""
        while True:
            page = self.page(where, page_size=page_size, page_token=token)
            yield from page.photos
            if not (token := page.next_page_token):
                return

    def page(
        self,
        where: ListingFilter | None = None,
        *,
        page_size: int = 100,
        page_token: str = "",
        timeout: float | None = None,
    ) -> Page:
        """Returns one page of the catalogue.

        Args:
            where: Conditions on the listings.
            page_size: How many photos, at most 1,000.
            page_token: `next_page_token` of the page before, with the same `where`.
            timeout: Seconds for this call; None for the client's.
        """
        return self._call(calls.page(where, page_size, page_token), timeout)

    def status(self, *, timeout: float | None = None) -> Status:
        """Returns the status of the gateway and its upstreams, even if no upstream answers."""
        return self._call(calls.status(), timeout)

    def _ingest_many(
        self, photos: Iterable[tuple[CataloguePhoto, Photo]], in_flight: int
    ) -> Iterator[tuple[str, Ingested | LookalikeError | OSError]]:
        self.status()  # raises if the gateway cannot be reached
        scheduler = runs.ingest_scheduler(self._options, in_flight)
        requests = runs.requests(photos, calls.ingest_request, self._options.max_message_bytes)
        for photo, outcome in self._stream(requests, scheduler, calls.INGEST_STREAM):
            yield photo.item_id, outcome

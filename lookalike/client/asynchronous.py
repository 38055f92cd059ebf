"""The client for asyncio: the same calls as `Client`, to be awaited."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterable, AsyncIterator, Hashable, Iterable, Sequence
from types import TracebackType
from typing import Self, TypeAlias, TypeVar

from numpy.typing import ArrayLike

from lookalike.channel import MAX_MESSAGE_BYTES, TLS
from lookalike.client import calls
from lookalike.client.calls import Call
from lookalike.client.descriptions import Model, Status
from lookalike.client.options import DEFAULT_GATEWAY, ClientOptions, Token
from lookalike.client.photos import Photo, PhotoS, is_in_memory, read_photo, read_photos
from lookalike.client.results import (
    Classified,
    Deleted,
    Embedding,
    Ingested,
    Listing,
    ListingFilter,
    Page,
    SearchResult,
)
from lookalike.errors import LookalikeError

T = TypeVar("T")
Id = TypeVar("Id", bound=Hashable)
Key = TypeVar("Key")
Pairs: TypeAlias = "AsyncIterable[tuple[Key, Photo]] | Iterable[tuple[Key, Photo]]"


class AsyncClient:
    """A client of the gateway, and of embedders, for asyncio; may be shared by tasks of one loop.

    `Client` says what the arguments mean. Connects at the first call, in the loop that makes it.
    Use it as an async context manager, or `aclose` it.
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
        self._options = ClientOptions(
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

    async def classify(
        self, photo: Photo, *, include_vector: bool = False, timeout: float | None = None
    ) -> Classified:
        """See `Client.classify`."""
        call = calls.classify(await _read(photo), include_vector=include_vector)
        return await self._call(call, timeout)

    async def similar(
        self,
        photo: PhotoS | None = None,
        *,
        item_id: str | None = None,
        vector: Embedding | ArrayLike | None = None,
        embedding_space: str = "",
        k: int = 10,
        where: ListingFilter | None = None,
        every_photo: bool = False,
        max_distance: float | None = None,
        exact: bool = False,
        min_seq: int = 0,
        allow_partial: bool = False,
        timeout: float | None = None,
    ) -> SearchResult:
        """See `Client.similar`."""
        images = await asyncio.to_thread(read_photos, photo) if photo is not None else ()
        call = calls.similar(
            images,
            item_id,
            vector,
            embedding_space,
            k=k,
            where=where,
            every_photo=every_photo,
            max_distance=max_distance,
            exact=exact,
            min_seq=min_seq,
            allow_partial=allow_partial,
        )
        return await self._call(call, timeout)

    async def ingest(
        self,
        listing: Listing,
        photo: Photo,
        *,
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> Ingested:
        """See `Client.ingest`."""
        return await self._call(calls.ingest(listing, await _read(photo), request_id), timeout)

    def ingest_many(
        self, photos: Pairs[Listing], *, in_flight: int = 32
    ) -> AsyncIterator[tuple[str, Ingested | LookalikeError | OSError]]:
        """See `Client.ingest_many`."""
        raise NotImplementedError

    async def delete(
        self,
        *,
        product_id: str | None = None,
        item_id: str | None = None,
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> Deleted:
        """See `Client.delete`."""
        return await self._call(calls.delete(product_id, item_id, request_id), timeout)

    async def get(
        self,
        *,
        product_id: str | None = None,
        item_id: str | None = None,
        timeout: float | None = None,
    ) -> tuple[Listing, ...]:
        """See `Client.get`."""
        return await self._call(calls.get(product_id, item_id), timeout)

    async def listings(
        self, where: ListingFilter | None = None, *, page_size: int = 100
    ) -> AsyncIterator[Listing]:
        """See `Client.listings`."""
        token = ""
        while True:
            page = await self.page(where, page_size=page_size, page_token=token)
            for listing in page.photos:
                yield listing
            if not (token := page.next_page_token):
                return

    async def page(
        self,
        where: ListingFilter | None = None,
        *,
        page_size: int = 100,
        page_token: str = "",
        timeout: float | None = None,
    ) -> Page:
        """See `Client.page`."""
        return await self._call(calls.page(where, page_size, page_token), timeout)

    async def status(self, *, timeout: float | None = None) -> Status:
        """See `Client.status`."""
        return await self._call(calls.status(), timeout)

    async def model(self, *, timeout: float | None = None) -> Model:
        """See `Client.model`."""
        return await self._call(calls.model(), timeout)

    async def embed(
        self, photo: Photo, *, outputs: Sequence[str] = (), timeout: float | None = None
    ) -> Embedding:
        """See `Client.embed`."""
        return await self._call(calls.embed(await _read(photo), outputs), timeout)

    def embed_many(
        self,
        photos: Pairs[Id],
        *,
        outputs: Sequence[str] = (),
        ordered: bool = False,
        streams: int | None = None,
        in_flight: int | None = None,
    ) -> AsyncIterator[tuple[Id, Embedding | LookalikeError | OSError]]:
        """See `Client.embed_many`."""
        raise NotImplementedError

    async def aclose(self) -> None:
        """Ends all connections; calls in progress fail."""

    async def _call(self, call: Call[T], timeout: float | None) -> T:
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()


async def _read(photo: Photo) -> bytes:
    return read_photo(photo) if is_in_memory(photo) else await asyncio.to_thread(read_photo, photo)

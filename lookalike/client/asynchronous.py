"""The asyncio client: the same calls as `Client`, awaited."""

from __future__ import annotations

import asyncio
import os
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Hashable,
    Iterable,
    Sequence,
)
from contextlib import aclosing
from typing import Any, TypeAlias, TypeVar, cast

from numpy.typing import ArrayLike

from lookalike.catalogue.listings import CataloguePhoto, ListingFilter
from lookalike.channel import MAX_MESSAGE_BYTES, TLS
from lookalike.client import calls, runs
from lookalike.client.calling import Caller
from lookalike.client.descriptions import Model, Status
from lookalike.client.mixing import Part, are_in_memory, read_parts
from lookalike.client.options import DEFAULT_GATEWAY, EMBEDDER, ClientOptions, Token
from lookalike.client.photos import (
    Photo,
    PhotoOrPhotos,
    is_in_memory,
    is_several,
    read_photo,
    read_photos,
)
from lookalike.client.results import (
    Classified,
    Deleted,
    Embedding,
    Ingested,
    Page,
    Ranking,
    SearchResult,
    TextEmbedding,
)
from lookalike.errors import LookalikeError

T = TypeVar("T")
Id = TypeVar("Id", bound=Hashable)
Key = TypeVar("Key")
Pairs: TypeAlias = "AsyncIterable[tuple[Key, Photo]] | Iterable[tuple[Key, Photo]]"


class AsyncClient(Caller):
    """A client of the gateway, and of embedders, for asyncio; may be shared by tasks of one loop.

    `Client` documents the arguments. It connects at the first call, in that call's loop. Use it as
    an async context manager, or `aclose` it.
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

    async def classify(
        self,
        photo: PhotoOrPhotos | None = None,
        *,
        title: str = "",
        description: str = "",
        include_vector: bool = False,
        allow_partial: bool = False,
        timeout: float | None = None,
    ) -> Classified:
        """See `Client.classify`."""
        call = calls.classify(
            await _read_all(photo) if photo is not None else (),
            several=is_several(photo),
            title=title,
            description=description,
            include_vector=include_vector,
            allow_partial=allow_partial,
        )
        return await self._call(call, timeout)

    async def similar(
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
        """See `Client.similar`."""
        images = await _read_all(photo) if photo is not None else ()
        call = calls.similar(
            images,
            item_id,
            vector,
            embedding_space,
            text=text,
            mix=await _read_parts(mix) if mix is not None else None,
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
        return await self._call(call, timeout)

    async def ingest(
        self,
        photo: CataloguePhoto,
        image: Photo,
        *,
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> Ingested:
        """See `Client.ingest`."""
        return await self._call(calls.ingest(photo, await _read(image), request_id), timeout)

    def ingest_many(
        self, photos: Pairs[CataloguePhoto], *, in_flight: int = 32
    ) -> AsyncGenerator[tuple[str, Ingested | LookalikeError | OSError], None]:
        """See `Client.ingest_many`; the iterable may be asynchronous."""
        runs.check_counts(in_flight=in_flight)
        return self._ingest_many(photos, in_flight)

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
    ) -> tuple[CataloguePhoto, ...]:
        """See `Client.get`."""
        return await self._call(calls.get(product_id, item_id), timeout)

    async def listings(
        self, where: ListingFilter | None = None, *, page_size: int = 100
    ) -> AsyncIterator[CataloguePhoto]:
        """See `Client.listings`."""
        token = ""
        while True:
            page = await self.page(where, page_size=page_size, page_token=token)
            for photo in page.photos:
                yield photo
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

    async def embed_text(
        self,
        title: str,
        description: str = "",
        *,
        outputs: Sequence[str] = (),
        timeout: float | None = None,
    ) -> TextEmbedding:
        """See `Client.embed_text`."""
        return await self._call(calls.embed_text(title, description, outputs), timeout)

    def embed_many(
        self,
        photos: Pairs[Id],
        *,
        outputs: Sequence[str] = (),
        ordered: bool = False,
        streams: int | None = None,
        in_flight: int | None = None,
    ) -> AsyncGenerator[tuple[Id, Embedding | LookalikeError | OSError], None]:
        """See `Client.embed_many`; the iterable may be asynchronous.

        Leaving the loop early ends the streams a moment later; `contextlib.aclosing` around this
        ends them at once.
        """
        runs.check_counts(in_flight=in_flight, streams=streams)
        self._options.target(EMBEDDER)  # raises now rather than at the first outcome
        return self._embed_many(photos, outputs, ordered, streams, in_flight)

    async def _ingest_many(
        self, photos: Pairs[CataloguePhoto], in_flight: int
    ) -> AsyncGenerator[tuple[str, Ingested | LookalikeError | OSError], None]:
        await self.status()  # raises if the gateway cannot be reached
        scheduler = runs.ingest_scheduler(self._options, in_flight)
        requests = _requests(photos, calls.ingest_request, self._options.max_message_bytes)
        async with aclosing(self._stream(requests, scheduler, calls.INGEST_STREAM)) as outcomes:
            async for photo, outcome in outcomes:
                yield photo.item_id, outcome

    async def _embed_many(
        self,
        photos: Pairs[Id],
        outputs: Sequence[str],
        ordered: bool,
        streams: int | None,
        in_flight: int | None,
    ) -> AsyncGenerator[tuple[Id, Embedding | LookalikeError | OSError], None]:
        limits = (await self.model()).limits
        scheduler = await asyncio.to_thread(
            runs.embed_scheduler,
            self._options,
            limits,
            streams=streams,
            in_flight=in_flight,
            ordered=ordered,
        )
        requests = _requests(
            photos,
            lambda _, image: calls.embed_request(image, outputs),
            runs.largest_message(self._options, limits),
        )
        async with aclosing(self._stream(requests, scheduler, calls.EMBED_STREAM)) as outcomes:
            async for found in outcomes:
                yield found


async def _read(photo: Photo) -> bytes:
    return read_photo(photo) if is_in_memory(photo) else await asyncio.to_thread(read_photo, photo)


async def _read_all(photo: PhotoOrPhotos) -> list[bytes]:
    if is_several(photo):
        return await asyncio.to_thread(read_photos, photo)
    return [await _read(cast("Photo", photo))]


async def _read_parts(mix: Sequence[Part]) -> list[Part]:
    return read_parts(mix) if are_in_memory(mix) else await asyncio.to_thread(read_parts, mix)


async def _requests(
    photos: Pairs[Any], request: Callable[[Any, bytes], Any], max_message_bytes: int
) -> AsyncIterator[tuple[Any, Any]]:
    async for key, photo in as_async(photos):
        try:
            found = calls.sized(request(key, await _read(photo)), max_message_bytes)
        except (OSError, LookalikeError) as error:
            found = error
        except runs.UNUSABLE as error:
            found = runs.unusable(error)
        yield key, found


async def as_async(values: AsyncIterable[T] | Iterable[T]) -> AsyncIterator[T]:
    """Yields the values of an iterable, which may be asynchronous."""
    if isinstance(values, AsyncIterable):
        async for value in values:
            yield value
    else:
        for value in values:
            yield value

"""Defines each call once for both clients: its request, and how its answer is read.

The clients differ only in how they wait for the answer.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from lookalike.catalogue.listings import CataloguePhoto, ListingFilter
from lookalike.client import description_messages, messages
from lookalike.client.descriptions import Model, Status
from lookalike.client.mixing import Part, mix_parts
from lookalike.client.options import EMBEDDER, GATEWAY, INDEX
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
from lookalike.client.text import message, sendable
from lookalike.embedder.v1 import embedder_pb2, embedder_pb2_grpc
from lookalike.errors import ImageTooLargeError, InvalidArgumentError, LookalikeError
from lookalike.gateway.v1 import gateway_pb2 as pb
from lookalike.gateway.v1 import gateway_pb2_grpc
from lookalike.index.v1 import index_pb2_grpc
from lookalike.status import from_status

T = TypeVar("T")


@dataclass(frozen=True)
class Call(Generic[T]):
    """One unary call.

    Attributes:
        service: `gateway`, `embedder` or `index`.
        rpc: Name of the method.
        request: The request message.
        read: Converts the response message to the result.
    """

    service: str
    rpc: str
    request: Any
    read: Callable[[Any], T]


@dataclass(frozen=True)
class StreamCall(Generic[T]):
    """One method whose stream carries many unary messages, each under an id.

    Attributes:
        service: `gateway` or `embedder`.
        rpc: Name of the method.
        wrap: Builds the stream's message from an id and a unary request.
        read: Converts the unary response message to the result.
    """

    service: str
    rpc: str
    wrap: Callable[..., Any]
    read: Callable[[Any], T]

    def outcome(self, answer: Any) -> T | LookalikeError:
        """Returns the result or error in an answer."""
        if answer.HasField("error"):
            return from_status(answer.error)
        try:
            return self.read(answer.response)
        except LookalikeError as error:
            return error


STUBS: dict[str, Callable[[Any], Any]] = {
    EMBEDDER: embedder_pb2_grpc.EmbedderServiceStub,
    GATEWAY: gateway_pb2_grpc.GatewayServiceStub,
    INDEX: index_pb2_grpc.IndexServiceStub,
}

EMBED_STREAM = StreamCall(
    EMBEDDER, "StreamEmbedImages", embedder_pb2.StreamEmbedImagesRequest, messages.embedding
)
INGEST_STREAM = StreamCall(
    GATEWAY, "StreamIngestListings", pb.StreamIngestListingsRequest, messages.ingested
)
# Bytes of a stream's message beside the request: tags, lengths and the id.
_FRAME_BYTES = 128
# Name of the output that tells two items apart.
FEATURES = "features"


def classify(
    images: Sequence[bytes],
    *,
    several: bool,
    title: str,
    description: str,
    include_vector: bool,
    allow_partial: bool,
) -> Call[Classified]:
    """Classifies a photo, or a listing by several photos, by words or by both."""
    words = bool(title or description)
    if not (images or words):
        raise InvalidArgumentError(
            "there are neither photos nor words; give a photo, up to 16 of one listing, title= or "
            "description="
        )
    if not (several or words):
        one = pb.ClassifyImageRequest(image=images[0], include_vector=include_vector)
        return Call(GATEWAY, "ClassifyImage", one, messages.classified)
    if include_vector:
        raise InvalidArgumentError(
            "include_vector is for one photo alone: each photo of a listing has a vector of its "
            "own, which embed_many returns, and words have one, which embed_text returns",
            field="include_vector",
        )
    request = pb.ClassifyListingRequest(
        images=images,
        allow_partial=allow_partial,
        title=sendable(title, "title"),
        description=sendable(description, "description"),
    )
    return Call(GATEWAY, "ClassifyListing", request, messages.listing_classified)


def similar(
    images: Sequence[bytes],
    item_id: str | None,
    vector: Embedding | ArrayLike | None,
    embedding_space: str,
    *,
    text: str | None,
    mix: Sequence[Part] | None,
    k: int,
    where: ListingFilter | None,
    every_photo: bool,
    max_distance: float | None,
    exact: bool,
    min_seq: int,
    allow_partial: bool,
    ranking: Ranking | str | None,
    min_likeness: float | None,
    include_price: bool,
) -> Call[SearchResult]:
    """Searches for similar listings; refuses more or less than one query."""
    request = pb.FindSimilarListingsRequest(
        k=k,
        filter=messages.filter_message(where) if where else None,
        every_photo=every_photo,
        max_distance=max_distance,
        exact=exact,
        min_seq=min_seq,
        allow_partial=allow_partial,
        ranking=messages.ranking_method(ranking),
        min_likeness=min_likeness,
        include_price=include_price,
    )
    queries = (images or None, item_id, vector, text, mix)
    if sum(query is not None for query in queries) != 1:
        raise InvalidArgumentError("give a photo, text=, item_id=, vector= or mix=, and one alone")
    if len(images) == 1:
        request.image = images[0]
    elif images:
        request.images.images.extend(images)
    elif item_id is not None:
        request.item_id = sendable(item_id, "item_id")
    elif text is not None:
        request.text = sendable(text, "text")
    elif mix is not None:
        request.mix.SetInParent()  # where there is no part, the gateway says so
        request.mix.parts.extend(mix_parts(mix))
    elif isinstance(vector, Embedding):
        request.vector.values.extend(vector.vector.tolist())
        request.vector.embedding_space = sendable(vector.embedding_space, "vector.embedding_space")
        request.vector.features.extend(_ranked_by(vector))
    else:
        values = np.asarray(vector, dtype=np.float32)
        if values.ndim != 1:
            raise InvalidArgumentError(f"a vector has one dimension, not {values.ndim}")
        request.vector.values.extend(values.tolist())
        request.vector.embedding_space = sendable(embedding_space, "vector.embedding_space")
    return Call(GATEWAY, "FindSimilarListings", request, messages.search_result)


def _ranked_by(embedding: Embedding) -> Sequence[float]:
    """Returns the output to rank by: the only one beside the first, or of several `features`."""
    others = {k: v for k, v in embedding.outputs.items() if k != embedding.output}
    ranked_by = others.get(FEATURES) if len(others) > 1 else next(iter(others.values()), None)
    return [] if ranked_by is None else ranked_by.tolist()


def ingest(photo: CataloguePhoto, image: bytes, request_id: str | None) -> Call[Ingested]:
    """Adds a photo; without a `request_id` makes one, so that retries change nothing."""
    request = ingest_request(photo, image, request_id)
    return Call(GATEWAY, "IngestListing", request, messages.ingested)


def ingest_request(
    photo: CataloguePhoto, image: bytes, request_id: str | None = None
) -> pb.IngestListingRequest:
    """Returns the request that adds a photo, for a stream too."""
    return message(pb.IngestListingRequest)(
        photo=messages.photo_message(photo),
        image=image,
        request_id=new_request_id() if request_id is None else request_id,
    )


def delete(product_id: str | None, item_id: str | None, request_id: str | None) -> Call[Deleted]:
    """Deletes a listing or a photo."""
    request = message(pb.DeleteListingRequest)(
        request_id=new_request_id() if request_id is None else request_id,
        **_target(product_id, item_id),
    )
    return Call(GATEWAY, "DeleteListing", request, messages.deleted)


def get(product_id: str | None, item_id: str | None) -> Call[tuple[CataloguePhoto, ...]]:
    """Gets a listing's photos, or one photo."""
    request = message(pb.GetListingRequest)(**_target(product_id, item_id))
    return Call(GATEWAY, "GetListing", request, messages.photos)


def page(where: ListingFilter | None, page_size: int, page_token: str) -> Call[Page]:
    """Gets a page of the catalogue."""
    request = message(pb.ListListingsRequest)(
        filter=messages.filter_message(where) if where else None,
        page_size=page_size,
        page_token=page_token,
    )
    return Call(GATEWAY, "ListListings", request, messages.page)


def status() -> Call[Status]:
    """Gets the status of the gateway and its upstreams."""
    return Call(GATEWAY, "GetStatus", pb.GetStatusRequest(), description_messages.status)


def model() -> Call[Model]:
    """Gets the embedder's model."""
    return Call(EMBEDDER, "GetModel", embedder_pb2.GetModelRequest(), description_messages.model)


def embed(image: bytes, outputs: Sequence[str]) -> Call[Embedding]:
    """Gets a photo's vectors."""
    return Call(EMBEDDER, "EmbedImage", embed_request(image, outputs), messages.embedding)


def embed_text(title: str, description: str, outputs: Sequence[str]) -> Call[TextEmbedding]:
    """Gets the vectors of words."""
    request = message(embedder_pb2.EmbedTextRequest)(
        title=sendable(title, "title"),
        description=sendable(description, "description"),
        outputs=outputs,
    )
    return Call(EMBEDDER, "EmbedText", request, messages.text_embedding)


def embed_request(image: bytes, outputs: Sequence[str]) -> embedder_pb2.EmbedImageRequest:
    """Returns the request for a photo's vectors, for a stream too."""
    return message(embedder_pb2.EmbedImageRequest)(image=image, outputs=outputs)


def check_size(request: Any, max_message_bytes: int) -> None:
    """Raises ImageTooLargeError, rather than gRPC its own words, if a request is beyond the limit.

    Args:
        request: Of a unary call.
        max_message_bytes: The limit.
    """
    size = request.ByteSize()
    if size > max_message_bytes:
        raise ImageTooLargeError(
            f"the request has {size} bytes; the limit is {max_message_bytes} (max_message_bytes), "
            "all photos together: send fewer, or smaller ones"
        )


def sized(request: Any, max_message_bytes: int) -> Any:
    """Returns the request, or an error if it is so large that it would break a whole stream."""
    size = request.ByteSize() + _FRAME_BYTES
    if size <= max_message_bytes:
        return request
    return ImageTooLargeError(
        f"the photo makes a message of {size} bytes; the limit is {max_message_bytes} "
        "(max_message_bytes)",
        field="image",
    )


def _target(product_id: str | None, item_id: str | None) -> dict[str, str]:
    if item_id is None and product_id is not None:
        return {"product_id": product_id}
    if product_id is None and item_id is not None:
        return {"item_id": item_id}
    raise InvalidArgumentError("give product_id= or item_id=, and one alone")


def new_request_id() -> str:
    """Returns an id that makes the retries of one write harmless."""
    return uuid.uuid4().hex

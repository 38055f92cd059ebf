"""The client package: `Client` and `AsyncClient` for the gateway and for embedders.

`from lookalike import Client`; docs/client.md tells the rest.
"""

from lookalike.channel import TLS
from lookalike.client.asynchronous import AsyncClient
from lookalike.client.descriptions import (
    CacheStatus,
    EmbedderStatus,
    IndexStatus,
    Limits,
    Model,
    ModelOutput,
    Status,
)
from lookalike.client.photos import Photo
from lookalike.client.results import (
    CategoryScore,
    Classification,
    Classified,
    Deleted,
    Embedding,
    Ingested,
    Listing,
    ListingFilter,
    NearDuplicate,
    NearDuplicateKind,
    Page,
    SearchResult,
    SimilarListing,
    Timings,
)
from lookalike.client.synchronous import Client
from lookalike.errors import LookalikeError

__all__ = [
    "TLS",
    "AsyncClient",
    "CacheStatus",
    "CategoryScore",
    "Classification",
    "Classified",
    "Client",
    "Deleted",
    "EmbedderStatus",
    "Embedding",
    "IndexStatus",
    "Ingested",
    "Limits",
    "Listing",
    "ListingFilter",
    "LookalikeError",
    "Model",
    "ModelOutput",
    "NearDuplicate",
    "NearDuplicateKind",
    "Page",
    "Photo",
    "SearchResult",
    "SimilarListing",
    "Status",
    "Timings",
]

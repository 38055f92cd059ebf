"""The client package: `Client` and `AsyncClient` for the gateway and for embedders.

`IndexClient` and `AsyncIndexClient` are for the index; `lookalike.client.index` has their arguments
and results. `from lookalike import Client`; docs/client.md explains it.
"""

from lookalike.catalogue.listings import (
    CataloguePhoto,
    ListingFilter,
    NearDuplicate,
    NearDuplicateKind,
)
from lookalike.channel import TLS
from lookalike.client.asynchronous import AsyncClient
from lookalike.client.descriptions import (
    CacheStatus,
    EmbedderStatus,
    FittedRanking,
    IndexStatus,
    Limits,
    Model,
    ModelOutput,
    Status,
    TextTower,
)
from lookalike.client.index import AsyncIndexClient, IndexClient
from lookalike.client.mixing import Part
from lookalike.client.photos import Photo
from lookalike.client.results import (
    CategoryScore,
    Classification,
    Classified,
    Deleted,
    Embedding,
    Ingested,
    Page,
    PhotoFailure,
    PriceEstimate,
    PriceOutlier,
    Ranking,
    ReadWords,
    SearchResult,
    SimilarListing,
    TextEmbedding,
    Timings,
)
from lookalike.client.synchronous import Client
from lookalike.errors import LookalikeError
from lookalike.likeness import Likeness
from lookalike.pricing import PriceRange

__all__ = [
    "TLS",
    "AsyncClient",
    "AsyncIndexClient",
    "CacheStatus",
    "CataloguePhoto",
    "CategoryScore",
    "Classification",
    "Classified",
    "Client",
    "Deleted",
    "EmbedderStatus",
    "Embedding",
    "FittedRanking",
    "IndexClient",
    "IndexStatus",
    "Ingested",
    "Likeness",
    "Limits",
    "ListingFilter",
    "LookalikeError",
    "Model",
    "ModelOutput",
    "NearDuplicate",
    "NearDuplicateKind",
    "Page",
    "Part",
    "Photo",
    "PhotoFailure",
    "PriceEstimate",
    "PriceOutlier",
    "PriceRange",
    "Ranking",
    "ReadWords",
    "SearchResult",
    "SimilarListing",
    "Status",
    "TextEmbedding",
    "TextTower",
    "Timings",
]

"""The package that users import and the services share.

    from lookalike import CataloguePhoto, Client, IndexClient, ListingFilter, LookalikeError

The client, and NumPy with it, is imported only when one of its names is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lookalike.client import (
        TLS,
        AsyncClient,
        AsyncIndexClient,
        CataloguePhoto,
        Client,
        Embedding,
        IndexClient,
        ListingFilter,
        LookalikeError,
        Part,
        Photo,
        Ranking,
    )

__version__ = "0.1.0"

__all__ = [
    "TLS",
    "AsyncClient",
    "AsyncIndexClient",
    "CataloguePhoto",
    "Client",
    "Embedding",
    "IndexClient",
    "ListingFilter",
    "LookalikeError",
    "Part",
    "Photo",
    "Ranking",
    "__version__",
]


def __getattr__(name: str) -> object:
    # Services import this package too, and need neither NumPy nor the client.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from lookalike import client  # noqa: PLC0415 - see above

    return getattr(client, name)

"""Listings of the catalogue: one, all, a sample, and away with one."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.budget import Budget
from gateway.listings import Listing, ListingFilter, Page, PhotoVector, Target


@dataclass(frozen=True)
class Deleted:
    """How many photos are gone, by which write, and what could not be done besides."""

    deleted: int
    seq: int
    degraded: str = ""


class Catalogue:
    """Reads and deletes listings."""

    async def get(self, target: Target, budget: Budget) -> list[Listing]:
        """Returns a listing's photos or one photo; raises ItemNotFoundError if there are none."""
        raise NotImplementedError

    async def list(
        self, listing_filter: ListingFilter, page_size: int, page_token: str, budget: Budget
    ) -> Page:
        """Returns a page of photos in the order of writing; a size of 0 means 100."""
        raise NotImplementedError

    async def delete(self, target: Target, budget: Budget, request_id: str = "") -> Deleted:
        """Deletes a listing or a photo; what is not there is no error."""
        raise NotImplementedError

    async def vectors(self, count: int, budget: Budget) -> list[tuple[Listing, PhotoVector]]:
        """Returns up to `count` photos, spread over the catalogue, with their vectors."""
        raise NotImplementedError

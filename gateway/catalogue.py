"""Gets, lists, samples and deletes photos of the catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway import validation
from gateway.deadline import Deadline
from gateway.index import IndexUpstream
from gateway.ingest import Thumbnails, attempt
from gateway.listings import EVERY_LISTING, ItemId, Page, PhotoVector, ProductId, Target
from lookalike.catalogue.listings import CataloguePhoto, ListingFilter
from lookalike.errors import CollectionNotFoundError, ItemNotFoundError

_MOST_PHOTOS = 1000
# The catalogue is read page by page, so a larger one is sampled among its oldest photos.
_SAMPLED_FROM = 20_000


@dataclass(frozen=True)
class Deleted:
    """Result of a deletion: number of photos, the write's `seq`, and what could not be done."""

    deleted: int
    seq: int
    degraded: str = ""


class Catalogue:
    """Reads and deletes listings.

    Args:
        index: The catalogue.
        thumbnails: Thumbnails, deleted with their photos; None if none are kept.
    """

    def __init__(self, index: IndexUpstream, thumbnails: Thumbnails | None = None) -> None:
        self._index = index
        self._thumbnails = thumbnails

    async def get(self, target: Target, deadline: Deadline) -> Sequence[CataloguePhoto]:
        """Returns a listing's photos, at most 1,000, or one photo.

        Raises:
            ItemNotFoundError: There are none.
        """
        target = validation.target(target)
        if isinstance(target, ItemId):
            return [(await self._index.get(target.item_id, deadline)).photo]
        photos, _ = await self._of_product(target, "", deadline)
        if not photos:
            raise ItemNotFoundError(
                f"collection '{self._index.collection}' has no photo of listing "
                f"'{target.product_id}'",
                field="product_id",
                resource=("product", target.product_id),
            )
        return photos

    async def list(
        self, listing_filter: ListingFilter, page_size: int, page_token: str, deadline: Deadline
    ) -> Page:
        """Returns a page of photos in the order of writing; a size of 0 means 100."""
        photos, following = await self._index.page(
            validation.listing_filter(listing_filter),
            validation.page_size(page_size),
            page_token,
            deadline,
        )
        return Page([stored.photo for stored in photos], following)

    async def delete(self, target: Target, deadline: Deadline, request_id: str = "") -> Deleted:
        """Deletes a listing or a photo; one that does not exist is no error.

        Thumbnails are deleted first: afterwards the ids of a listing's photos are unknown.
        """
        target = validation.target(target)
        validation.request_id(request_id)
        degraded = ""
        try:
            if self._thumbnails is not None:
                degraded = await self._remove_thumbnails(self._thumbnails, target, deadline)
            deleted, seq = await self._index.delete(target, deadline, request_id)
        except CollectionNotFoundError:
            return Deleted(0, 0)
        return Deleted(deleted, seq, degraded)

    async def vectors(
        self, count: int, deadline: Deadline
    ) -> Sequence[tuple[CataloguePhoto, PhotoVector]]:
        """Returns up to `count` photos with their vectors, spread evenly over the catalogue."""
        total, _ = await self._index.count(deadline.remaining_s)
        total = min(total, _SAMPLED_FROM)
        step = max(1.0, total / count)
        taken: list[tuple[CataloguePhoto, PhotoVector]] = []
        seen, token = 0, ""
        while seen < total and len(taken) < count:
            photos, token = await self._index.page(
                EVERY_LISTING, _MOST_PHOTOS, token, deadline, vectors=True
            )
            for stored in photos:
                if seen >= len(taken) * step and len(taken) < count and stored.vector:
                    taken.append((stored.photo, stored.vector))
                seen += 1
            if not token:
                break
        return taken

    async def _of_product(
        self, target: ProductId, token: str, deadline: Deadline
    ) -> tuple[Sequence[CataloguePhoto], str]:
        only = ListingFilter(product_ids=(target.product_id,))
        photos, following = await self._index.page(only, _MOST_PHOTOS, token, deadline)
        return [stored.photo for stored in photos], following

    async def _remove_thumbnails(
        self, thumbnails: Thumbnails, target: Target, deadline: Deadline
    ) -> str:
        """Removes thumbnails; returns why they could not be removed, or an empty text."""
        item_ids = await self._item_ids(target, deadline)
        # A read-only index will refuse the deletion, so the thumbnails must stay.
        if not item_ids or (await self._index.state(deadline.remaining_s)).read_only:
            return ""
        work = thumbnails.remove(item_ids)
        return await attempt(work, deadline, "thumbnails not removed", ids=item_ids)

    async def _item_ids(self, target: Target, deadline: Deadline) -> Sequence[str]:
        if isinstance(target, ItemId):
            return [target.item_id]
        photos, token = await self._of_product(target, "", deadline)
        item_ids = [photo.item_id for photo in photos]
        while token:
            photos, token = await self._of_product(target, token, deadline)
            item_ids += [photo.item_id for photo in photos]
        return item_ids

"""Fields of HTTP requests, and their conversion to the gateway's values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from gateway import listings as domain
from lookalike.catalogue import listings as catalogue


class FilterFields(BaseModel):
    """Conditions on listings."""

    model_config = ConfigDict(extra="forbid")

    category: tuple[str, ...] = Field((), description="Only of this category; may be repeated.")
    min_price: float | None = Field(None, description="At least this price.")
    max_price: float | None = Field(None, description="At most this price.")
    location: tuple[str, ...] = Field((), description="Only at this location; may be repeated.")
    product_id: tuple[str, ...] = Field((), description="Only this listing; may be repeated.")
    near_duplicates: bool = Field(
        False, description="Only photos flagged or linked as near duplicates."
    )

    def filter(self) -> catalogue.ListingFilter:
        """Returns the filter."""
        return catalogue.ListingFilter(
            categories=self.category,
            min_price=self.min_price,
            max_price=self.max_price,
            locations=self.location,
            product_ids=self.product_id,
            near_duplicates=self.near_duplicates,
        )


class SearchFields(FilterFields):
    """Fields of a search."""

    k: int = Field(0, description="How many listings, 1 to 1,000; 0 means 10.")
    exclude_product_id: tuple[str, ...] = Field(
        (), description="Not this listing; may be repeated."
    )
    max_distance: float | None = Field(None, description="Nothing farther than this.")
    every_photo: bool = Field(
        False, description="Every near photo, not each listing once with its nearest."
    )
    exact: bool = Field(False, description="Compare every candidate, however many there are.")
    min_seq: int = Field(0, description="Wait for this write (`seq` of an ingest) to be visible.")
    allow_partial: bool = Field(
        False,
        description="If the index is gone, answer photos and `text` with their category alone; if "
        "some of several photos cannot be used, answer by the others and name those in `failures`.",
    )
    # A Literal rather than the enum, whose description /openapi.json would put elsewhere.
    ranking: Literal["blend", "features", "category", "hybrid", "words"] | None = Field(
        None,
        description="By what listings are ranked: `blend` by both outputs of the model, "
        "`features` by what tells two items apart alone, `category` by distance; for `text` also "
        "`hybrid` by what the words mean and what titles and descriptions say, `words` by the "
        "latter alone; the best that model and catalogue allow if it is not given.",
    )
    min_likeness: float | None = Field(
        None, description="Nothing less likely the same item than this, 0 to 1."
    )
    include_price: bool = Field(False, description="Also say what such a thing costs.")
    item_id: str | None = Field(
        None, description="Look for listings like this photo of the catalogue, instead of a photo."
    )
    text: str | None = Field(
        None,
        description="Look for listings that these words describe, or whose titles or descriptions "
        "have them, instead of a photo; at most 1,024 characters.",
    )
    like: tuple[str, ...] = Field(
        (),
        description="Words that lead towards it, beside photos, `item_id` or `text`, or alone: "
        "`blue`, or with a weight above 0, at most 10, `blue^0.5`; may be repeated.",
    )
    unlike: tuple[str, ...] = Field(
        (), description="Words that lead away from it, written likewise; may be repeated."
    )
    like_item: tuple[str, ...] = Field(
        (),
        description="Photos of the catalogue that lead towards it, by their ids, written likewise; "
        "their own listings are left out; may be repeated.",
    )
    unlike_item: tuple[str, ...] = Field(
        (), description="Photos of the catalogue that lead away from it; may be repeated."
    )
    image_weight: tuple[float, ...] = Field(
        (),
        description="How much the photos count beside these, -10 to 10, below 0 away from them: "
        "once for all together (1 if it is not given), or once for each photo.",
    )
    mix: tuple[Any, ...] | None = Field(None, description="The same in JSON; see `query`.")
    vector: tuple[float, ...] | None = Field(
        None, description="Look near this vector, instead of a photo; with `embedding_space`."
    )
    embedding_space: str = Field("", description="Embedding space of `vector`.")
    features: tuple[float, ...] | None = Field(
        None, description="The same photo's `features`, beside `vector`, to rank by."
    )

    def options(self) -> domain.SearchOptions:
        """Returns the options of the search."""
        return domain.SearchOptions(
            k=self.k,
            filter=replace(self.filter(), exclude_product_ids=self.exclude_product_id),
            every_photo=self.every_photo,
            max_distance=self.max_distance,
            exact=self.exact,
            min_seq=self.min_seq,
            allow_partial=self.allow_partial,
            ranking=domain.RankingMethod(self.ranking) if self.ranking else None,
            min_likeness=self.min_likeness,
            include_price=self.include_price,
        )


class PageFields(FilterFields):
    """Fields of a request for a page of the catalogue."""

    page_size: int = Field(0, description="How many photos, at most 1,000; 0 means 100.")
    page_token: str = Field("", description="`next_page_token` of the page before.")


class ClassifyFields(BaseModel):
    """Fields of a classification."""

    model_config = ConfigDict(extra="forbid")

    title: str = Field(
        "", description="The listing's title, beside photos or alone; at most 8,192 characters."
    )
    description: str = Field(
        "",
        description="The listing's description, beside photos or alone; at most 8,192 characters.",
    )
    include_vector: bool = Field(
        False, description="Also return the photo's raw vector; of several photos, their mean."
    )
    allow_partial: bool = Field(
        False,
        description="If some of several photos cannot be used, answer by the others and name "
        "those in `failures`.",
    )


class NoFields(BaseModel):
    """No fields: a photo alone."""

    model_config = ConfigDict(extra="forbid")


class PhotoFields(BaseModel):
    """Fields of a photo to ingest."""

    model_config = ConfigDict(extra="forbid")

    item_id: str = Field(
        description="Unique id of the photo, 1 to 128 characters; not `.` or `..`, which no URL "
        "can name."
    )
    product_id: str = Field(description="Id of its listing; of the same characters.")
    category: str = Field("", description="The seller's category.")
    title: str = Field("", description="The seller's title; at most 8,192 characters.")
    description: str = Field("", description="The seller's description; at most 8,192 characters.")
    price: float | None = Field(None, description="Price, 0 or more.")
    currency: str = Field(
        "", description="Currency of the price, three letters as of ISO 4217, such as GBP."
    )
    location: str = Field("", description="Where it is sold.")
    request_id: str = Field(
        "", description="Key for retries: the same again is answered as before."
    )

    def photo(self) -> catalogue.CataloguePhoto:
        """Returns the photo, without its image."""
        return catalogue.CataloguePhoto(
            item_id=self.item_id,
            product_id=self.product_id,
            category=self.category,
            title=self.title,
            price=self.price,
            location=self.location,
            currency=self.currency,
            description=self.description,
        )

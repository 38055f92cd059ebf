"""Converts request messages to the gateway's values; `validation` checks their limits."""

from __future__ import annotations

from gateway import validation
from gateway.listings import (
    ItemId,
    Mix,
    MixPart,
    Photos,
    PhotoVector,
    ProductId,
    Query,
    RankingMethod,
    SearchOptions,
    Target,
    Words,
)
from gateway.vectors import compact
from lookalike.catalogue.listings import CataloguePhoto, ListingFilter
from lookalike.errors import InvalidArgumentError
from lookalike.gateway.v1 import gateway_pb2 as pb

METHODS = {
    pb.RANKING_METHOD_BLEND: RankingMethod.BLEND,
    pb.RANKING_METHOD_FEATURES: RankingMethod.FEATURES,
    pb.RANKING_METHOD_CATEGORY: RankingMethod.CATEGORY,
    pb.RANKING_METHOD_HYBRID: RankingMethod.HYBRID,
    pb.RANKING_METHOD_WORDS: RankingMethod.WORDS,
}


def query(request: pb.FindSimilarListingsRequest) -> Query:
    """Returns the query of a search."""
    match request.WhichOneof("query"):
        case "image":
            return Photos((request.image,))
        case "images":
            return Photos(tuple(request.images.images))
        case "item_id":
            return ItemId(request.item_id)
        case "vector":
            # Checked before millions of floats become Python objects.
            values = validation.vector_values(request.vector.values)
            features = validation.vector_features(request.vector.features)
            space = request.vector.embedding_space
            return PhotoVector(tuple(values), space, compact(features))
        case "text":
            return Words(request.text)
        case "mix":
            return Mix(tuple(_mix_part(i, part) for i, part in enumerate(request.mix.parts)))
        case _:
            raise InvalidArgumentError(
                "set image, images, item_id, vector, text or mix", field="query"
            )


def _mix_part(number: int, sent: pb.MixPart) -> MixPart:
    weight = sent.weight if sent.HasField("weight") else 1.0
    match sent.WhichOneof("part"):
        case "image":
            return MixPart(sent.image, weight)
        case "text":
            return MixPart(Words(sent.text), weight)
        case "item_id":
            return MixPart(ItemId(sent.item_id), weight)
        case _:
            field = f"mix.parts[{number}]"
            raise InvalidArgumentError(f"{field}: set image, text or item_id", field=field)


def search_options(request: pb.FindSimilarListingsRequest) -> SearchOptions:
    """Returns the options of a search."""
    return SearchOptions(
        k=request.k,
        filter=listing_filter(request.filter),
        every_photo=request.every_photo,
        max_distance=request.max_distance if request.HasField("max_distance") else None,
        exact=request.exact,
        min_seq=request.min_seq,
        allow_partial=request.allow_partial,
        ranking=ranking(request.ranking),
        min_likeness=request.min_likeness if request.HasField("min_likeness") else None,
        include_price=request.include_price,
    )


def ranking(sent: int) -> RankingMethod | None:
    """Returns the ranking method; None for the best available."""
    if sent == pb.RANKING_METHOD_UNSPECIFIED:
        return None
    for number, method in METHODS.items():
        if number == sent:
            return method
    known = ", ".join(map(pb.RankingMethod.Name, METHODS))
    raise InvalidArgumentError(f"ranking is {sent}; it must be one of {known}", field="ranking")


def listing_filter(sent: pb.ListingFilter) -> ListingFilter:
    """Returns the filter on listings."""
    return ListingFilter(
        categories=tuple(sent.categories),
        min_price=sent.min_price if sent.HasField("min_price") else None,
        max_price=sent.max_price if sent.HasField("max_price") else None,
        locations=tuple(sent.locations),
        product_ids=tuple(sent.product_ids),
        exclude_product_ids=tuple(sent.exclude_product_ids),
        near_duplicates=sent.near_duplicates,
    )


def photo(sent: pb.CataloguePhoto) -> CataloguePhoto:
    """Returns the photo to ingest, without output-only fields."""
    return CataloguePhoto(
        item_id=sent.item_id,
        product_id=sent.product_id,
        category=sent.category,
        title=sent.title,
        price=sent.price if sent.HasField("price") else None,
        location=sent.location,
        currency=sent.currency,
        description=sent.description,
    )


def target(request: pb.GetListingRequest | pb.DeleteListingRequest) -> Target:
    """Returns the photo or listing to get or delete."""
    match request.WhichOneof("target"):
        case "product_id":
            return ProductId(request.product_id)
        case "item_id":
            return ItemId(request.item_id)
        case _:
            raise InvalidArgumentError("set product_id or item_id", field="target")

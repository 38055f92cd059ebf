"""What a search found, in words, as a table and as JSON. Asks nobody."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lookalike.cli.console import (
    counted,
    has_room,
    per_cent,
    price,
    say,
    show_line,
    show_table,
)
from lookalike.prices import price_text

if TYPE_CHECKING:
    from lookalike.catalogue.sheets import Card
    from lookalike.client import PriceEstimate, SearchResult, SimilarListing

# By what listings are ranked, by the word for it.
RANKED_BY = {
    "blend": "what tells items apart and what tells categories apart",
    "features": "what tells items apart",
    "category": "what tells categories apart",
    "hybrid": "what tells items apart, and the words of titles and descriptions",
    "words": "the words of titles and descriptions",
}


def show(answer: SearchResult, *, priced: bool) -> None:
    """Writes an answer as lines and a table to stdout, and what it lacks to stderr.

    Args:
        answer: What was found.
        priced: Whether somebody asked for a fair price.
    """
    if answer.classification:
        best = answer.classification.scores[0]
        show_line(f"category {best.category}, confidence {per_cent(best.probability)}")
    if answer.ranking and answer.hits:
        show_line(f"ranked by {answer.ranking}: {RANKED_BY[answer.ranking]}")
    for line in _price_lines(answer.price) if priced else ():
        show_line(line)
    if answer.hits:
        _show_hits(answer.hits, answer.ranking)
    for word in (answer.shortfall, answer.degraded):
        if word:
            say(word)


def as_json(answer: SearchResult) -> dict[str, Any]:
    """Returns what `--json` tells of an answer."""
    seen = answer.classification
    return {
        "category": seen.category if seen else None,
        "probability": seen.probability if seen else None,
        "ranking": answer.ranking,
        "listings": [
            {
                **dataclasses.asdict(hit.photo),
                "distance": hit.distance,
                "likeness": hit.likeness,
                "likeness_words": hit.likeness_words,
                "ranked_by": hit.ranked_by,
            }
            for hit in answer.hits
        ],
        "price": dataclasses.asdict(answer.price) if answer.price else None,
        "shortfall": answer.shortfall,
        "exact": answer.exact,
        "candidates_scanned": answer.candidates_scanned,
        "candidates_ranked": answer.candidates_ranked,
        "cached": answer.cached,
        "degraded": answer.degraded,
    }


def likeness_lines(hit: SimilarListing, ranking: str | None) -> list[str]:
    """Returns how near a listing is, in short lines: per cent and words, or what ranked it."""
    if hit.likeness is None:
        name, value = _measure(hit, ranking)
        return [f"{name} {value:.3f}"]
    return [per_cent(hit.likeness), hit.likeness_words]


def card(
    hit: SimilarListing, picture: Path | bytes | None, category: str, ranking: str | None = None
) -> Card:
    """Returns a listing's tile on a contact sheet; green where it has the category."""
    from lookalike.catalogue.sheets import Card

    photo = hit.photo
    lines = [photo.category, price(photo.price, photo.currency), *likeness_lines(hit, ranking)]
    return Card(
        [picture],
        photo.title or photo.product_id,
        [line for line in lines if line],
        agrees=bool(category) and photo.category == category,
    )


def _measure(hit: SimilarListing, ranking: str | None) -> tuple[str, float]:
    """Returns the name and the value of what ranked a listing; smaller is nearer."""
    if ranking in (None, "category"):
        return "distance", hit.distance
    return str(ranking), hit.ranked_by


def _show_hits(hits: Sequence[SimilarListing], ranking: str | None) -> None:
    calibrated = any(hit.likeness is not None for hit in hits)
    roomy = has_room(120)  # on a narrow terminal words and an id would crowd out the title
    columns = {
        "": [str(rank) for rank, _ in enumerate(hits, 1)],
        "similar listing": [hit.photo.title or hit.photo.product_id for hit in hits],
        "category": [hit.photo.category for hit in hits],
        "price": [price(hit.photo.price, hit.photo.currency) for hit in hits],
    }
    if calibrated:
        columns["same item"] = [_same_item(hit, words=roomy) for hit in hits]
    else:
        measured = [_measure(hit, ranking) for hit in hits]
        columns[measured[0][0]] = [f"{value:.3f}" for _, value in measured]
    # Where words alone rank, no vectors were compared.
    if has_room(140) and ranking != "words":
        columns["distance"] = [f"{hit.distance:.3f}" for hit in hits]
    if roomy:
        columns["photo id"] = [hit.photo.item_id for hit in hits]
    names = list(columns)
    numbers = ("", "price", "distance", *RANKED_BY)
    right = [names.index(name) for name in numbers if name in columns]
    show_table(names, list(zip(*columns.values(), strict=True)), right=right)


def _same_item(hit: SimilarListing, *, words: bool) -> str:
    if hit.likeness is None:
        return ""
    share = f"{per_cent(hit.likeness):>5}"
    return f"{share}  {hit.likeness_words}" if words else share


def _price_lines(estimate: PriceEstimate | None) -> list[str]:
    if estimate is None:
        return ["no similar listing has a price"]
    median, low, high = (
        price_text(amount, estimate.currency, rounded=True)
        for amount in (estimate.median, estimate.low, estimate.high)
    )
    listings = counted(estimate.listings, "listing")
    if estimate.coverage:
        lines = [
            f"such things cost {median} ({low} to {high}, {_in_ten(estimate.coverage)}), "
            f"by {listings}"
        ]
    else:  # nothing was fitted: the range promises nothing
        lines = [f"such things cost {median} ({low} to {high} among {listings})"]
    if estimate.outliers:
        each = ", ".join(
            f"{price_text(outlier.price, estimate.currency)} (photo {outlier.item_id})"
            for outlier in estimate.outliers
        )
        lines.append(f"left out, as it is far from the others: {each}")
    return lines


def _in_ten(share: float) -> str:
    """Returns `8 in 10`, `85 in 100`."""
    in_hundred = round(share * 100)
    return f"{in_hundred} in 100" if in_hundred % 10 else f"{in_hundred // 10} in 10"

"""What `export` fits beside the network, in the manifest: ranking, likeness, price ranges."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from lookalike.likeness import Likeness
from lookalike.limits import MAX_CANDIDATES
from lookalike.pricing import PriceRange

"""The index ranks at most this many per query."""


@dataclass(frozen=True)
class Ranking:
    """How two outputs rank listings, fitted on validation photos.

    Attributes:
        output: The embedding whose cosine distance ranks candidates.
        vector_weight: Weight of the default output's distance beside that cosine distance.
        candidates: Number of nearest listings by the default output that are ranked.
        blend: Likeness of hits ranked by the weighted sum of both distances.
        features: Likeness of hits ranked by the cosine distance of `output` alone.
        category: Likeness of hits ranked by the default output alone.
    """

    output: str
    vector_weight: float
    candidates: int
    blend: Likeness
    features: Likeness
    category: Likeness

    @property
    def order(self) -> dict[str, Any]:
        """The parameters that decide the order of listings: all but the likenesses."""
        return {
            "output": self.output,
            "vector_weight": float(self.vector_weight),
            "candidates": self.candidates,
        }


def read_ranking(raw: Mapping[str, Any]) -> Ranking:
    """Reads a manifest's ranking; raises KeyError, TypeError or ValueError if malformed."""
    curves = {
        name: Likeness(**{key: float(value) for key, value in raw[name].items()})
        for name in ("blend", "features", "category")
    }
    weight, candidates = float(raw["vector_weight"]), int(raw["candidates"])
    return Ranking(str(raw["output"]), weight, candidates, **curves)


def read_price_range(raw: Mapping[str, Any]) -> PriceRange:
    """Reads a manifest's price range; raises as `read_ranking`."""
    numbers = {name: float(raw[name]) for name in ("coverage", "width", "least_spread")}
    return PriceRange(listings=int(raw["listings"]), **numbers)


def check_fitted(
    ranking: Ranking | None, price_range: PriceRange | None, kinds: Mapping[str, str]
) -> None:
    """Raises ValueError naming the first part that is out of its range.

    Args:
        ranking: A manifest's ranking.
        price_range: Its price range.
        kinds: The kind of each of the model's outputs.
    """
    if ranking is not None:
        kind = kinds.get(ranking.output)
        if kind != "embedding":
            what = f"is of kind {kind}" if kind else "the model has not"
            raise ValueError(
                f"ranking.output is '{ranking.output}', which {what}; it must be an embedding"
            )
        _check("ranking", ranking)
        for name in ("blend", "features", "category"):
            _check(f"ranking.{name}", getattr(ranking, name))
    if price_range is not None:
        _check("price_range", price_range)


_Rule: TypeAlias = tuple[str, Callable[[float], bool]]
_ANY: _Rule = ("a number", math.isfinite)
_NOT_NEGATIVE: _Rule = ("a number, 0 or more", lambda value: 0 <= value < math.inf)
_POSITIVE: _Rule = ("a number above 0", lambda value: 0 < value < math.inf)
_RULES: dict[type, dict[str, _Rule]] = {
    Ranking: {
        "vector_weight": _NOT_NEGATIVE,
        "candidates": (f"1 to {MAX_CANDIDATES}", lambda value: 1 <= value <= MAX_CANDIDATES),
    },
    Likeness: {
        "intercept": _ANY,
        # with a negative one the order of hits would not be that of their likeness
        "distance": _NOT_NEGATIVE,
        "margin": _NOT_NEGATIVE,
        "crowd": _POSITIVE,
    },
    PriceRange: {
        "listings": ("1 or more", lambda value: 1 <= value < math.inf),
        "coverage": ("above 0 and below 1", lambda value: 0 < value < 1),
        "width": _POSITIVE,
        "least_spread": _NOT_NEGATIVE,
    },
}


def _check(name: str, part: Ranking | Likeness | PriceRange) -> None:
    for key, (words, holds) in _RULES[type(part)].items():
        value = getattr(part, key)
        if not holds(value):
            raise ValueError(f"{name}.{key} is {value}; it must be {words}")

"""The order of an answer: nearest first, ties in the order of writing, one item a product."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

import numpy as np
import numpy.typing as npt

from index_service.distances import Distances

Places = npt.NDArray[np.intp]


def nearest_first(rows: npt.NDArray[np.int64], *distances: Distances) -> Places:
    """Returns the places of the rows in the order of an answer.

    Args:
        rows: Numbers that grow in the order of writing, shape (n,); they break ties.
        distances: What to sort by, most important first, shape (n,) each.
    """
    return np.lexsort((rows, *reversed(distances)))


def first_of_each_product(products: Iterable[Hashable], count: int | None = None) -> list[int]:
    """Returns the places at which a product comes for the first time.

    Args:
        products: Products of the rows, in the order of the answer.
        count: Stop after so many products; None for all.
    """
    first: dict[Hashable, int] = {}
    for place, product in enumerate(products):
        if product not in first:
            first[product] = place
            if len(first) == count:
                break
    return list(first.values())

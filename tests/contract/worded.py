"""A shop whose listings have titles and texts, to be found by words."""

from __future__ import annotations

from index_service.records import Collection, Metric, Query
from tests.contract.listings import SPACE

TEXTS = Collection(
    "replaced", SPACE, 2, Metric.SQUARED_L2, ("colour",), 2, text_attributes=("title", "text")
)
LISTINGS = [
    # id, product, x, title, text, category, price, colour, features
    ("a", "p1", 0, "Oak table", "seats six", "tables", 50, "brown", (1, 0)),
    ("b", "p1", 1, "Oak table", "seats six", "tables", 50, "brown", (1, 0.1)),
    ("c", "p2", 2, "Red armchairs", "two, oak legs", "chairs", 90, "red", (0, 1)),
    ("d", "p3", 3, "Café chair", "red", "chairs", 20, "red", (0.1, 1)),
    ("e", "p4", 4, "Lamp", "", "lamps", None, "red", ()),
    ("f", "p5", 5, "Bookcase of pine", "unlike oak", "shelves", 10, "brown", (1, 1)),
]


def words(text: str) -> Query:
    return Query(None, (), text)

"""Names the marketplace's 13 root categories. Knows nothing of listings, files or models.

The order is the class order of every classifier trained here, so a name is never moved:
a stored head would then answer with its neighbour's label.
"""

from collections.abc import Iterable
from typing import Final

CATEGORIES: Final[tuple[str, ...]] = (
    "Home & Garden",
    "Baby & Kids Stuff",
    "DIY Tools & Materials",
    "Music, Films, Books & Games",
    "Phones, Mobile Phones & Telecoms",
    "Clothes, Footwear & Accessories",
    "Other Goods",
    "Health & Beauty",
    "Sports, Leisure & Travel",
    "Appliances",
    "Computers & Software",
    "Office Furniture & Equipment",
    "Video Games & Consoles",
)

# between the parts of a path such as "Home & Garden / Lighting & Fittings"
PATH_SEPARATOR = " / "


def root_of(category: str) -> str:
    """Returns the first part of a category's path; of a root category, itself."""
    return category.split(PATH_SEPARATOR, maxsplit=1)[0]


def roots_of(categories: Iterable[str]) -> tuple[str, ...]:
    """Returns the root categories that categories are of, each once."""
    return tuple(dict.fromkeys(map(root_of, categories)))


def leaf_of(category: str) -> str:
    """Returns the last part of a category's path; of a root category, itself."""
    return category.rsplit(PATH_SEPARATOR, maxsplit=1)[-1]

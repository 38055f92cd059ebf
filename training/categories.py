"""Names the marketplace's 13 root categories. Knows nothing of listings, files or models.

The order is the class order of every classifier trained here, so a name is never moved:
a stored head would then answer with its neighbour's label.
"""

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

"""Writes a listing's texts in the style of the marketplace's export."""

from dataclasses import dataclass
from random import Random
from typing import Final

from sample.drawings import Kind, Look
from sample.words import WORDS

OPENINGS: Final = (
    "Selling as we are moving house.",
    "No longer needed.",
    "Having a clear out.",
    "Up for grabs.",
    "Bought last year and hardly used.",
    "Bargain for someone.",
)
CONDITIONS: Final = (
    "Excellent condition.",
    "Good used condition.",
    "A few marks but nothing that shows.",
    "Like new.",
    'Sold "as seen".',
    "Signs of wear, priced to sell.",
)
CLOSINGS: Final = (
    "Collection only.",
    "Cash on collection please.",
    "Can deliver locally for petrol money.",
    "First to see will buy.",
    "No time wasters, please.",
    "Sensible offers, no swaps.",
    "Message me for more photos.",
)
SELLERS: Final = ("Alice", "Dev", "Gwen", "Hamza", "Ian", "Moira", "Niamh", "Owen", "Priya", "Tom")
MONTHS: Final = ("January", "February", "March", "April", "May", "June")
PLACES: Final = (
    ("Leeds", "West Yorkshire"),
    ("Truro", "Cornwall"),
    ("Perth", "Perth and Kinross"),
    ("Swansea", "Swansea"),
    ("Norwich", "Norfolk"),
    ("Hexham", "Northumberland"),
    ("Bangor", "Gwynedd"),
    ("Derry", "County Londonderry"),
    ("Brighton", "East Sussex"),
    ("Kendal", "Cumbria"),
    ("Luton", "Bedfordshire"),
    ("Hackney", "London"),
    ("Stirling", "Stirling"),
    ("Ludlow", "Shropshire"),
    ("Poole", "Dorset"),
    ("Whitby", "North Yorkshire"),
)


@dataclass(frozen=True)
class ListingText:
    """The text fields of one row of Products.csv, before quoting."""

    product_name: str
    category: str
    product_description: str
    price: str
    location: str


def _asked(rng: Random, low: int, high: int) -> str:
    # low prices are commoner than high ones, and sellers like round figures
    pounds = low + (high - low) * rng.random() ** 2
    step = 1 if pounds < 20 else 5 if pounds < 200 else 50
    return f"£{max(1, round(pounds / step) * step):,.2f}"


def write_text(kind: Kind, look: Look, seed: str, *, leaks_category: bool) -> ListingText:
    """Returns the text of a listing of an object with this look; deterministic in the seed.

    `leaks_category` puts the site's `Posted by … in <subcategory>, …` into the description, which
    names the label and must be stripped before training on text.
    """
    rng = Random(f"{seed}/text")
    words = WORDS[kind.name]
    title = rng.choice(words.titles).format(colour=look.main_name, second=look.second_name)
    title = title[0].upper() + title[1:]
    town, county = rng.choice(PLACES)
    lines = [rng.choice(OPENINGS), *rng.sample(words.remarks, rng.randint(1, 2))]
    lines += [rng.choice(CONDITIONS), rng.choice(CLOSINGS)]
    # sellers' line breaks are bare carriage returns in the export
    body = rng.choice((" ", " ", "\r")).join(lines)
    if leaks_category:
        date = f"{rng.randint(1, 28)} {rng.choice(MONTHS)} 2022"
        # no space after the date: the export lost the line break that was there
        body = (
            f"Posted by {rng.choice(SELLERS)} in {', '.join(words.levels)} in {town}. {date}{body}"
        )
    return ListingText(
        product_name=f"{title} | in {town}, {county} | Gumtree",
        category=" / ".join((kind.category, *words.levels)),
        product_description=f"{title}. {body}",
        price=_asked(rng, *words.pounds),
        location=f"{town}, {county}",
    )

"""Which listings look like it? `python examples/find_similar.py PHOTO… --max-price 100`"""

from __future__ import annotations

import argparse

from lookalike import Client, ListingFilter


def main() -> None:
    """Prints the nearest listings; several photos are of one thing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", nargs="+")
    parser.add_argument("--gateway", default="127.0.0.1:50050")
    parser.add_argument("--k", type=int, default=5)
    parser.add_argument("--max-price", type=float)
    parser.add_argument("--category", action="append", default=[])
    arguments = parser.parse_args()

    where = ListingFilter(max_price=arguments.max_price, categories=arguments.category)
    with Client(arguments.gateway) as client:
        found = client.similar(arguments.photos, k=arguments.k, where=where)

    if found.classification:
        print(f"looks like {found.classification.category}")
    for hit in found:
        photo = hit.photo
        price = "" if photo.price is None else f"{photo.price:.2f} {photo.currency}"
        alike = hit.likeness_words or f"distance {hit.distance:.4f}"
        print(f"{photo.item_id:20}  {price:>14}  {photo.title}: {alike}")
    if found.shortfall:
        print(f"no more: {found.shortfall}")


if __name__ == "__main__":
    main()

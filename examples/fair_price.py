"""What is it worth, and is it for sale already? `python examples/fair_price.py PHOTO…`"""

from __future__ import annotations

import argparse

from lookalike import Client


def main() -> None:
    """Prints what similar listings cost, and those that show the same item; photos are of one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", nargs="+")
    parser.add_argument("--gateway", default="127.0.0.1:50050")
    arguments = parser.parse_args()

    with Client(arguments.gateway) as client:
        found = client.similar(arguments.photos, k=20, include_price=True)

    if price := found.price:
        low, high = f"{price.low:,.2f}", f"{price.high:,.2f}"
        print(f"about {price.median:,.2f} {price.currency}, between {low} and {high}")
        if price.coverage:
            print(f"such a range holds {price.coverage:.0%} of prices")
        for outlier in price.outliers:
            print(f"not counted: {outlier.product_id} at {outlier.price:,.2f}")
    else:
        print("no similar listing has a price")
    print(f"ranked by {found.ranking}")
    for hit in found:
        if hit.likeness is not None and hit.likeness >= 0.5:
            print(f"{hit.likeness_words}: {hit.photo.item_id} {hit.photo.title}")


if __name__ == "__main__":
    main()

"""Which category is it? `python examples/classify_photo.py PHOTO…`"""

from __future__ import annotations

import argparse
import sys

from lookalike import Client, LookalikeError


def main() -> int:
    """Prints the likeliest three categories of each photo."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", nargs="+")
    parser.add_argument("--gateway", default="127.0.0.1:50050")
    arguments = parser.parse_args()

    failed = 0
    with Client(arguments.gateway) as client:
        for photo in arguments.photos:
            try:
                found = client.classify(photo)
            except (LookalikeError, OSError) as error:
                print(f"{photo}: {error}", file=sys.stderr)
                failed += 1
                continue
            best = [f"{score.category} {score.probability:.0%}" for score in found.scores[:3]]
            print(f"{photo}: {', '.join(best)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

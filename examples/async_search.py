"""Many searches at a time on one event loop: `python examples/async_search.py PHOTO…`"""

from __future__ import annotations

import argparse
import asyncio

from lookalike import AsyncClient, LookalikeError


async def search(client: AsyncClient, photo: str, turns: asyncio.Semaphore) -> str:
    """Returns a line about the listing nearest to a photo."""
    async with turns:
        try:
            found = await client.similar(photo, k=1, timeout=5.0)
        except (LookalikeError, OSError) as error:
            return f"{photo}: {error}"
    if not found.hits:
        return f"{photo}: nothing ({found.shortfall})"
    return f"{photo}: {found.hits[0].photo.item_id} at {found.hits[0].distance:.4f}"


async def main() -> None:
    """Searches for all photos, sixteen at a time, and prints what comes as it comes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", nargs="+")
    parser.add_argument("--gateway", default="127.0.0.1:50050")
    arguments = parser.parse_args()

    turns = asyncio.Semaphore(16)
    async with AsyncClient(arguments.gateway) as client:
        searches = [search(client, photo, turns) for photo in arguments.photos]
        for line in asyncio.as_completed(searches):
            print(await line)


if __name__ == "__main__":
    asyncio.run(main())

"""What TLS costs: an embedder's throughput and a gateway's query, against plaintext, in turns."""

from __future__ import annotations

import asyncio
import itertools
import statistics
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.embedder.clients import stream
from benchmarks.embedder.model import SMALL, photos_of, served_bundle
from benchmarks.embedder.rounds import BUNDLE
from benchmarks.gateway.rounds import unseen
from benchmarks.operations.fleet import EMBEDDER, GATEWAY, INDEX, Fleet
from benchmarks.operations.rotation import Secrets
from benchmarks.report import Figure
from benchmarks.turns import latencies, median_ratio, rates
from lookalike import TLS, CataloguePhoto, Client
from lookalike.channel import open_channel


def measure(*, quick: bool) -> list[Figure]:
    """Compares them; in fewer rounds if `quick`."""
    photos = photos_of(SMALL, 64)
    bundle = served_bundle(BUNDLE, photos[:32])
    rounds, count, calls = (2, 96, 15) if quick else (9, 512, 100)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        secret = Secrets(folder)
        plain, encrypted = (
            stack.enter_context(Fleet(bundle.path, _made(folder / part))) for part in ("a", "b")
        )

        def nothing(_: str) -> dict[str, object]:
            return {}

        def certificates(module: str) -> dict[str, object]:
            # Tokens and an early end of connections are no part of what TLS costs.
            others = ("tokens", "upstream_token", "max_connection_age_s")
            every = secret.settings(module).items()
            return {name: value for name, value in every if name not in others}

        embedders, gateways = [], []
        for fleet, settings, tls in (
            (plain, nothing, None),
            (encrypted, certificates, secret.tls),
        ):
            embedder = fleet.embedder(precision="int8", **settings(EMBEDDER))
            index = fleet.index(**settings(INDEX))
            gateway = fleet.gateway(embedder.address, index.address, **settings(GATEWAY))
            embedders.append((embedder.address, tls))
            client = stack.enter_context(Client(gateway.address, tls=tls or False))
            for number, photo in enumerate(photos):
                client.ingest(CataloguePhoto(f"photo-{number}", f"listing-{number}"), photo)
            gateways.append(client)
        some = list(itertools.islice(itertools.cycle(photos), count))
        in_plain, in_tls = rates(
            [_rate(address, tls, some) for address, tls in embedders], rounds=rounds
        )
        fresh = unseen(photos)
        works = [_query(client, lambda: next(fresh)) for client in gateways]
        query, query_tls = latencies(works, rounds=rounds, calls=calls)
    return [
        Figure("embedder in plaintext", statistics.median(in_plain), "photos/s"),
        Figure(
            "embedder with TLS / in plaintext",
            median_ratio(in_tls, in_plain),
            "ratio",
            at_least=0.95,
        ),
        Figure("gateway's query in plaintext, p50", query.ms(), "ms"),
        Figure(
            "gateway's query with TLS / in plaintext, p50",
            query_tls.over(query),
            "ratio",
            at_most=1.05,
        ),
    ]


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _rate(address: str, tls: TLS | None, photos: Sequence[bytes]) -> Callable[[], float]:
    async def run() -> float:
        async with open_channel(address, tls=tls) as channel:
            return (await stream(channel, photos)).rate

    return lambda: asyncio.run(run())


def _query(client: Client, photo: Callable[[], bytes]) -> Callable[[int], object]:
    return lambda _: client.similar(photo())

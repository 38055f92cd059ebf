"""`lookalike status`: is everything there, and does it belong together?"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from lookalike.cli import options
from lookalike.cli.console import ExitCode, emit, say, show_table

if TYPE_CHECKING:
    from lookalike.client import EmbedderStatus, Status


def command(
    *,
    json: options.Json = False,
    gateway: options.Gateway = options.DEFAULT_GATEWAY,
    timeout: options.Timeout = None,
    tls: options.Tls = False,
    ca: options.Ca = None,
    cert: options.Cert = None,
    token: options.Token = None,
) -> int:
    """Show gateway, embedder and index, and what is lacking for the best answers.

    Exit status 1 if one of them is not ready, or model and catalogue do not belong together.
    """
    with options.open_client(
        gateway=gateway, timeout=timeout, tls=options.encryption(tls, ca, cert), token=token
    ) as client:
        status = client.status()
    if json:
        content = dataclasses.asdict(status)
        del content["timings"]
        emit({"ready": status.ready, "gateway": gateway, **content})
    else:
        show_table(("service", "address", "state", "details"), _rows(gateway, status))
    if status.mismatch:
        say(f"lookalike: {status.mismatch}")
    if not json:
        for sentence in status.lacking:
            say(f"for better answers: {sentence}")
    return ExitCode.OK if status.ready else ExitCode.FAILED


def _rows(gateway: str, status: Status) -> list[tuple[str, str, str, str]]:
    embedder, index, cache = status.embedder, status.index, status.cache
    asked = cache.hits + cache.misses + cache.coalesced
    features = embedder.features_dimension or index.photos_with_features
    model = [
        f"{embedder.model_name} {embedder.model_version}".strip(),
        f"{embedder.engine} {embedder.precision}".strip(),
        f"space {embedder.embedding_space}" if embedder.embedding_space else "",
        f"features of {embedder.features_dimension} floats" if embedder.features_dimension else "",
        _reads(embedder) if embedder.embedding_space else "",
    ]
    catalogue = [
        index.collection + (_arrow(index.serving_collection, index.collection)),
        f"{index.photos:,} photos of {index.listings:,} listings",
        f"{index.photos_with_features:,} photos with features" if features else "",
        f"space {index.embedding_space}" if index.embedding_space else "no catalogue yet",
        f"finds {'' if index.finds_words else 'no '}words" if index.serving_collection else "",
        f"{index.backend}{', read only' if index.read_only else ''}",
    ]
    kept = [
        f"version {status.version}",
        f"ranks by {status.ranking}" if status.ranking else "",
        f"cache: {cache.entries:,} photos, {cache.bytes / 2**20:.1f} MiB",
        f"found in it: {100 * cache.hits / asked:.0f} % of {asked:,}" if asked else "",
    ]
    return [
        ("gateway", gateway, "ready", _lines(kept)),
        ("embedder", embedder.target, _state(embedder.ready), _lines(model)),
        ("index", index.target, _state(index.ready), _lines(catalogue if index.ready else [])),
    ]


def _reads(embedder: EmbedderStatus) -> str:
    return f"reads words: {embedder.text_encoder}" if embedder.text_encoder else "reads no words"


def _arrow(serving: str, collection: str) -> str:
    return f" → {serving}" if serving and serving != collection else ""


def _state(ready: bool) -> str:
    return "ready" if ready else "not ready"


def _lines(parts: list[str]) -> str:
    return "\n".join(part for part in parts if part)

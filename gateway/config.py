"""The gateway's settings, read once at start from LOOKALIKE_GATEWAY_* variables."""

from __future__ import annotations

from dataclasses import dataclass

from lookalike.server import ServerSettings
from lookalike.settings import setting

PREFIX = "LOOKALIKE_GATEWAY_"


@dataclass(frozen=True, kw_only=True)
class GatewaySettings(ServerSettings):
    """What the gateway can be told."""

    port: int = setting(50050, "TCP port; 0 takes a free one.", minimum=0, maximum=65535)
    embedder: str = setting(
        "127.0.0.1:50051",
        "The embedder: host:port, or dns:///name:port to spread calls over all its addresses.",
    )
    index: str = setting("127.0.0.1:50052", "The index: host:port.")
    collection: str = setting(
        "listings", "The index's collection that holds the catalogue; made at the first ingest."
    )
    default_timeout_s: float = setting(
        30.0,
        "Time for a call whose caller set no deadline; abandoned calls hold memory this long.",
        minimum=0.001,
    )
    http_port: int = setting(
        8080,
        "TCP port of HTTP/JSON and the web page, on the same host; 0 takes a free one, -1 none.",
        minimum=-1,
        maximum=65535,
    )
    max_http_bodies: int = setting(
        64,
        "HTTP requests with a body that are taken at a time; each may hold MAX_MESSAGE_BYTES.",
        minimum=1,
    )
    max_image_bytes: int = setting(
        12 << 20,
        "Largest encoded photo sent over HTTP; the embedder has a limit of its own.",
        minimum=1024,
    )
    thumbnails: str = setting(
        "",
        "Where thumbnails of ingested photos are kept: a directory, or s3://bucket/prefix (extra "
        "`s3`), or another URL that fsspec knows; empty for none. Each takes some 8 KB.",
    )

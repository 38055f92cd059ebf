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

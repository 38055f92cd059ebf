"""The gateway's settings, read once at start from LOOKALIKE_GATEWAY_* variables."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.duplicates import NearDuplicatePolicy
from lookalike.channel import is_target
from lookalike.errors import StartupError
from lookalike.serving.server_settings import ServerSettings
from lookalike.serving.settings import cut, setting

PREFIX = "LOOKALIKE_GATEWAY_"
# Short enough to have the digits of an embedding space appended.
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,50}")


@dataclass(frozen=True, kw_only=True)
class GatewaySettings(ServerSettings):
    """The gateway's settings."""

    port: int = setting(50050, "TCP port; 0 takes a free one.", minimum=0, maximum=65535)
    metrics_port: int = setting(
        50070,
        "TCP port of Prometheus's metrics, /metrics, on the same host; 0 takes a free one, -1 "
        "measures nothing.",
        minimum=-1,
        maximum=65535,
    )
    embedder: str = setting(
        "127.0.0.1:50051",
        "The embedders: host:port, dns:///name:port to spread calls over all its addresses, or "
        "several address:port with commas between them.",
    )
    index: str = setting("127.0.0.1:50052", "The index: host:port, or dns:///name:port.")
    upstream_ca: str = setting(
        "",
        "PEM file of the authorities of the upstreams' certificates; they are called by TLS then, "
        "and TLS_CERTIFICATE is shown to them. Empty for plaintext.",
    )
    upstream_token: str = setting(
        "", "File of the token that is sent to both upstreams; read again when it changes."
    )
    collection: str = setting(
        "listings",
        "The index's alias (or collection) that holds the catalogue; made at the first ingest.",
    )
    default_timeout_s: float = setting(
        30.0,
        "Time for a call without a deadline; abandoned calls hold memory this long.",
        minimum=0.001,
        maximum=3600,
    )
    restart_wait_s: float = setting(
        5.0,
        "How long calls wait for an upstream that was just lost, as in its restart, before they "
        "are refused; each holds its photo in memory. Once it has been away for longer, they are "
        "refused at once.",
        minimum=0,
        maximum=600,
    )
    max_stream_in_flight: int = setting(
        64,
        "Unanswered photos of one StreamIngestListings at which reading pauses; each takes up to "
        "2.5 times its size of memory.",
        minimum=1,
        maximum=10_000,
    )
    cache_bytes: int = setting(
        64 << 20,
        "Memory for cached vectors of photos: about 1.4 KB each with 128 features, 0.8 KB without; "
        "0 caches none.",
        minimum=0,
    )
    hedge_after_ms: float = setting(
        0.0,
        "How long to wait for an embedder before the photo is sent to another as well; 0 never "
        "does. Less than a photo usually takes uses up the share below at once.",
        minimum=0,
        maximum=60_000,
    )
    hedge_share: float = setting(
        0.05,
        "Most photos that are sent twice, as a share of all; the embedders' additional work.",
        minimum=0,
        maximum=1,
    )
    near_duplicate_policy: str = setting(
        "flag",
        "What ingest does with a photo that another listing has: off does not check, which saves a "
        "search; flag and link write and mark it; refuse does not write it.",
        choices=tuple(policy.value for policy in NearDuplicatePolicy),
    )
    near_duplicate_distance: float = setting(
        0.0,
        "Distance, squared L2 by default, up to which another listing's photo counts as nearly the "
        "same; 0 for identical bytes alone. Higher values give more false positives.",
        minimum=0,
    )
    near_duplicate_nearness: float = setting(
        0.1,
        "How near another listing's photo within that distance must be by both outputs of the "
        "model, where catalogue and model have them: as a share of the usual distance of the 11th "
        "to 20th search result. 1 lets the distance decide alone; higher values give more false "
        "positives.",
        minimum=0,
        maximum=1,
    )
    lineage_check_s: float = setting(
        10.0,
        "How often to compare the model's and the catalogue's embedding space, in seconds; until a "
        "mismatch is noticed, photos are embedded in vain.",
        minimum=0.1,
        maximum=3600,
    )
    http_port: int = setting(
        8080,
        "TCP port of HTTP/JSON and the web page, on the same host; 0 takes a free one, -1 none.",
        minimum=-1,
        maximum=65535,
    )
    max_http_bodies: int = setting(
        64,
        "HTTP requests with a body that are accepted at a time; while its body is parsed each may "
        "hold twice MAX_MESSAGE_BYTES, and more for numbers in JSON.",
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
        "`s3`), or another URL that fsspec supports; empty for none. Each takes some 8 KB.",
    )

    def __post_init__(self) -> None:
        """Refuses a name from which no collection's name can be made, and what is no address."""
        for name, target in (("EMBEDDER", self.embedder), ("INDEX", self.index)):
            if not is_target(target):
                raise StartupError(
                    f"{PREFIX}{name} is '{cut(target)}'; it must be host:port, dns:///name:port, "
                    "or several address:port of IP addresses with commas between them"
                )
        if not _NAME.fullmatch(self.collection):
            raise StartupError(
                f"{PREFIX}COLLECTION is '{cut(self.collection)}'; it must be 1 to 51 of a-z, 0-9, "
                "_ and -, starting with a letter"
            )

"""The embedder's settings, read once at start from LOOKALIKE_EMBEDDER_* variables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from lookalike.serving.server_settings import ServerSettings
from lookalike.serving.settings import setting

PREFIX = "LOOKALIKE_EMBEDDER_"


@dataclass(frozen=True, kw_only=True)
class EmbedderSettings(ServerSettings):
    """The embedder's settings; each field becomes an environment variable."""

    port: int = setting(50051, "TCP port; 0 takes a free one.", minimum=0, maximum=65535)
    metrics_port: int = setting(
        50071,
        "TCP port of Prometheus's metrics, /metrics, on the same host; 0 takes a free one, -1 "
        "measures nothing.",
        minimum=-1,
        maximum=65535,
    )
    admin_host: str = setting("127.0.0.1", "Address of the admin service.")
    admin_port: int = setting(
        50061, "TCP port of the admin service; 0 takes a free one.", minimum=0, maximum=65535
    )
    bundle: Path = setting(Path("var/demo/bundle"), "Directory of the model bundle.")
    bundle_poll_s: float = setting(
        5.0,
        "How often to look for another bundle in that directory, in seconds; 0 never looks.",
        minimum=0,
        maximum=3600,
    )
    compile_cache: str = setting(
        "",
        "Directory of compiled models, with which a restart is faster; empty for none. A model "
        "takes as much disk there as in its bundle.",
    )
    stuck_after_s: float = setting(
        60.0,
        "How long a forward pass may take before liveness fails, in seconds.",
        minimum=1,
        maximum=3600,
    )
    engine: str = setting(
        "openvino",
        "openvino is the fast one on CPUs; torch is the reference and runs on CUDA.",
        choices=("openvino", "torch"),
    )
    precision: str = setting(
        "auto",
        "auto takes the fastest in which the bundle keeps its answers: int8, bf16 where the CPU "
        "computes in it natively, fp32. int8 is for openvino alone, fp16 for torch.",
        choices=("auto", "fp32", "bf16", "fp16", "int8"),
    )
    inference_threads: int = setting(
        0,
        "Threads of one forward pass, 0 for one a CPU core; more than cores slows everything.",
        minimum=0,
        maximum=1024,
    )
    decode_threads: int = setting(
        0,
        "Photos decoded at a time, 0 for one a CPU core; each holds its decoded pixels, and takes "
        "time from inference.",
        minimum=0,
        maximum=1024,
    )
    max_batch: int = setting(
        8,
        "Most photos of one forward pass; more raises everyone's latency under load.",
        minimum=1,
        maximum=256,
    )
    max_batch_delay_ms: float = setting(
        0.0,
        "How long an idle engine waits for more photos; every lone photo waits as long.",
        minimum=0,
        maximum=1000,
    )
    max_queue: int = setting(
        256,
        "Photos in the service with which EmbedImage is refused; of bulk photos half as many are "
        "taken, and others wait. The last one waits for all before it.",
        minimum=1,
    )
    max_queue_bytes: int = setting(
        256 << 20,
        "Bytes of these photos, encoded, with which EmbedImage is refused; they are in memory.",
        minimum=1,
    )
    max_batch_items: int = setting(
        256, "Most photos of one BatchEmbedImages or ModelInfer call.", minimum=1, maximum=1 << 16
    )
    max_stream_in_flight: int = setting(
        64,
        "Most unanswered photos of one stream; each holds its bytes.",
        minimum=1,
        maximum=(1 << 31) - 1,
    )
    max_image_bytes: int = setting(
        12 << 20, "Largest encoded photo; must fit into a message.", minimum=1
    )
    max_image_pixels: int = setting(
        64_000_000,
        "Largest decoded photo; one may hold 8 bytes for every pixel while it is decoded.",
        minimum=1,
    )

    def admin(self) -> Self:
        """Returns the settings of the admin port."""
        return self.of_port(self.admin_host, self.admin_port)

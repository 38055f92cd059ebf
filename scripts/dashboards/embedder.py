"""The embedder's dashboard."""

from __future__ import annotations

from scripts.dashboards.panels import CALLS, Dashboard, Panel, per_process, quantiles, rate

EMBEDDER = Dashboard(
    "lookalike-embedder",
    "Lookalike / Embedder",
    "Photos and words into vectors: how many, and where their time goes.",
    [
        (
            "Load",
            [
                Panel(
                    title="Photos and texts a second",
                    queries=[rate("embedder_batch_size_sum", "kind", "{{kind}}")],
                    unit="ops",
                    text="What forward passes have answered.",
                ),
                Panel(
                    title="Queue",
                    queries=[
                        ("sum by (instance, kind) (embedder_queue_depth)", "{{instance}} {{kind}}")
                    ],
                    unit="short",
                    text="In the service: waiting, being decoded or embedded. EmbedImage is "
                    "refused at LOOKALIKE_EMBEDDER_MAX_QUEUE.",
                ),
                Panel(
                    title="Queue wait",
                    queries=quantiles("embedder_queue_wait_seconds", "kind"),
                    unit="s",
                    text="For a place to be decoded and for the engine; without decoding, and "
                    "without a bulk photo's wait for room. The autoscaler holds its mean, an alert "
                    "watches p95.",
                ),
            ],
        ),
        (
            "Where the time goes",
            [
                Panel(
                    title="Batches",
                    queries=[
                        (
                            "sum by (kind) (rate(embedder_batch_size_sum[$__rate_interval])) / "
                            "sum by (kind) (rate(embedder_batch_size_count[$__rate_interval]))",
                            "{{kind}}",
                        )
                    ],
                    unit="short",
                    text="Mean size of a forward pass. At LOOKALIKE_EMBEDDER_MAX_BATCH all the "
                    "time there is more work than processors.",
                ),
                Panel(
                    title="Forward pass",
                    queries=quantiles("embedder_inference_seconds", "kind"),
                    unit="s",
                    text="Of a whole batch.",
                ),
                Panel(
                    title="Decoding",
                    queries=quantiles("embedder_decode_seconds"),
                    unit="s",
                    text="Bytes to pixels, of one photo.",
                ),
            ],
        ),
        (
            "Answers",
            [
                Panel(
                    title="Calls by method and status",
                    queries=[
                        rate(
                            CALLS,
                            "grpc_method, grpc_status",
                            "{{grpc_method}} {{grpc_status}}",
                            '{job="embedder"}',
                        )
                    ],
                    unit="reqps",
                    text="A stream is one call, counted when it ends.",
                ),
                Panel(
                    title="Refused by reason",
                    queries=[
                        (
                            "sum by (reason) (rate("
                            "embedder_requests_dropped_total[$__rate_interval])) > 0",
                            "{{reason}}",
                        )
                    ],
                    unit="reqps",
                    text="QUEUE_FULL and DEADLINE_UNREACHABLE: more load than processors.",
                ),
                Panel(
                    title="Models",
                    queries=[
                        (
                            "count by (model, version, embedding_space, engine, precision) "
                            "(embedder_model_info)",
                            "{{model}} {{version}} {{engine}} {{precision}} {{embedding_space}}",
                        )
                    ],
                    unit="short",
                    text="Embedders that serve it. Two embedding spaces are a rollout under way.",
                    kind="table",
                ),
            ],
        ),
        per_process("embedder"),
    ],
)

"""The gateway's dashboard."""

from __future__ import annotations

from scripts.dashboards.panels import CALLS, HTTP, Dashboard, Panel, per_process, rate

GATEWAY = Dashboard(
    "lookalike-gateway",
    "Lookalike / Gateway",
    "What callers ask, what the cache spares, and how the upstreams answer.",
    [
        (
            "Callers",
            [
                Panel(
                    title="RPCs by method and status",
                    queries=[
                        rate(
                            CALLS,
                            "grpc_method, grpc_status",
                            "{{grpc_method}} {{grpc_status}}",
                            '{job="gateway"}',
                        )
                    ],
                    unit="reqps",
                    text="A stream is one call, counted when it ends.",
                ),
                Panel(
                    title="HTTP by route and status",
                    queries=[
                        rate(
                            f"{HTTP}_count",
                            "http_request_method, http_route, http_response_status_code",
                            "{{http_request_method}} {{http_route}} {{http_response_status_code}}",
                        )
                    ],
                    unit="reqps",
                    text="499 are callers who left.",
                ),
                Panel(
                    title="Slowest methods and routes",
                    queries=[
                        (
                            "histogram_quantile(0.95, sum by (grpc_method, le) (rate("
                            'grpc_server_call_duration_seconds_bucket{job="gateway", '
                            'grpc_method!~".*Stream.*"}[$__rate_interval])))',
                            "{{grpc_method}} p95",
                        ),
                        (
                            f"histogram_quantile(0.95, sum by (http_route, le) (rate({HTTP}_bucket"
                            "[$__rate_interval])))",
                            "{{http_route}} p95",
                        ),
                    ],
                    unit="s",
                    text="Without streams.",
                ),
            ],
        ),
        (
            "What is spared",
            [
                Panel(
                    title="Photos by where their vector came from",
                    queries=[
                        ("sum(rate(gateway_cache_hits_total[$__rate_interval]))", "cache"),
                        (
                            "sum(rate(gateway_coalesced_total[$__rate_interval]))",
                            "another caller's",
                        ),
                        ("sum(rate(gateway_cache_misses_total[$__rate_interval]))", "embedder"),
                    ],
                    unit="ops",
                    text="Only the last needs an embedder.",
                    stacked=True,
                ),
                Panel(
                    title="Cache",
                    queries=[("sum by (instance) (gateway_cache_bytes)", "{{instance}}")],
                    unit="bytes",
                    text="Up to LOOKALIKE_GATEWAY_CACHE_BYTES.",
                ),
                Panel(
                    title="Second calls",
                    queries=[("sum(rate(gateway_hedged_total[$__rate_interval]))", "hedged")],
                    unit="ops",
                    text="Photos sent to another embedder too: LOOKALIKE_GATEWAY_HEDGE_AFTER_MS.",
                ),
            ],
        ),
        (
            "Upstreams",
            [
                Panel(
                    title="Calls by method and status",
                    queries=[
                        rate(
                            "grpc_client_call_duration_seconds_count",
                            "grpc_method, grpc_status",
                            "{{grpc_method}} {{grpc_status}}",
                        )
                    ],
                    unit="reqps",
                    text="As the gateway saw them.",
                ),
                Panel(
                    title="How long they take",
                    queries=[
                        (
                            "histogram_quantile(0.95, sum by (grpc_method, le) "
                            "(rate(grpc_client_call_duration_seconds_bucket[$__rate_interval])))",
                            "{{grpc_method}} p95",
                        )
                    ],
                    unit="s",
                    text="With the way there and back, and retries.",
                ),
                Panel(
                    title="Ready",
                    queries=[
                        ("gateway_upstream_ready", "{{instance}} {{upstream}}"),
                    ],
                    unit="bool",
                    text="Whether it can be reached and says that it serves.",
                    top=1,
                ),
            ],
        ),
        per_process("gateway"),
    ],
)

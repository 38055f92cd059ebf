"""The dashboard to begin with."""

from __future__ import annotations

from scripts.dashboards.panels import (
    CALLS,
    DROPPED,
    FAILED,
    FAILED_HTTP,
    HTTP,
    OURS,
    Dashboard,
    Panel,
    per_process,
    quantiles,
    rate,
    stat,
)

OVERVIEW = Dashboard(
    "lookalike-overview",
    "Lookalike / Overview",
    "Whether users are served, and which service to look at when they are not.",
    [
        (
            "Now",
            [
                stat("Embedders", 'sum(up{job="embedder"})', "short", "Those that answer."),
                stat("Indexes", 'sum(up{job="index"})', "short", "Those that answer."),
                stat("Gateways", 'sum(up{job="gateway"})', "short", "Those that answer."),
                stat("Listings' photos", "sum(index_items)", "short", "Items of all collections."),
                stat(
                    "Failed calls of an hour",
                    'round(sum(increase(lookalike_calls_failed_total{job="gateway"}[1h])))',
                    "short",
                    "Of the gateway, over gRPC and HTTP. The budget is one in a thousand.",
                ),
                stat(
                    "Photos found in the cache",
                    "sum(rate(gateway_cache_hits_total[5m])) / sum("
                    "rate(gateway_cache_hits_total[5m]) + rate(gateway_cache_misses_total[5m]))",
                    "percentunit",
                    "Of the last five minutes; none of these needs an embedder.",
                ),
            ],
        ),
        (
            "Calls",
            [
                Panel(
                    title="Calls by service",
                    queries=[
                        rate(CALLS, "job", "{{job}} gRPC", f"{{{OURS}}}"),
                        rate(f"{HTTP}_count", "job", "{{job}} HTTP", f"{{{OURS}}}"),
                    ],
                    unit="reqps",
                    text="Calls that ended. The embedder's and the index's are the gateway's, and "
                    "those of bulk clients.",
                ),
                Panel(
                    title="Failed calls by method and status",
                    queries=[
                        rate(
                            CALLS,
                            "job, grpc_method, grpc_status",
                            "{{grpc_method}} {{grpc_status}}",
                            FAILED,
                        ),
                        rate(
                            f"{HTTP}_count",
                            "http_route, http_response_status_code",
                            "{{http_route}} {{http_response_status_code}}",
                            FAILED_HTTP,
                        ),
                    ],
                    unit="reqps",
                    text="What the services could not do. Empty is good. What fails for the first "
                    "time is in the log alone.",
                ),
                Panel(
                    title="Refused by service and reason",
                    queries=[
                        (
                            f"sum by (job, reason) (rate({DROPPED}[$__rate_interval])) > 0",
                            "{{job}} {{reason}}",
                        )
                    ],
                    unit="reqps",
                    text="Refused at once: for want of room or time, a token, or an upstream.",
                ),
            ],
        ),
        (
            "How long people wait",
            [
                Panel(
                    title="Gateway, gRPC",
                    queries=quantiles(
                        "grpc_server_call_duration_seconds",
                        where='{job="gateway", grpc_method!~".*Stream.*"}',
                    ),
                    unit="s",
                    text="Without streams, which last as long as their callers like.",
                ),
                Panel(
                    title="Gateway, HTTP",
                    queries=quantiles(HTTP),
                    unit="s",
                    text="From a request's begin to the end of its answer.",
                ),
                Panel(
                    title="Where the gateway waits",
                    queries=[
                        (
                            "histogram_quantile(0.95, sum by (grpc_method, le) "
                            "(rate(grpc_client_call_duration_seconds_bucket[$__rate_interval])))",
                            "{{grpc_method}} p95",
                        )
                    ],
                    unit="s",
                    text="The gateway's calls to its upstreams: what of its time is not its own.",
                ),
            ],
        ),
        per_process("embedder|index|gateway"),
    ],
)

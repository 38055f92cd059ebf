"""The index's dashboard."""

from __future__ import annotations

from scripts.dashboards.panels import CALLS, Dashboard, Panel, per_process, quantiles, rate

INDEX = Dashboard(
    "lookalike-index",
    "Lookalike / Index",
    "Searches and writes, how good the answers are, and room.",
    [
        (
            "Searches and writes",
            [
                Panel(
                    title="Calls by method and status",
                    queries=[
                        rate(
                            CALLS,
                            "grpc_method, grpc_status",
                            "{{grpc_method}} {{grpc_status}}",
                            '{job="index"}',
                        )
                    ],
                    unit="reqps",
                    text="A stream is one call, counted when it ends.",
                ),
                Panel(
                    title="Search",
                    queries=quantiles("index_search_seconds"),
                    unit="s",
                    text="Inside the index, without converting messages.",
                ),
                Panel(
                    title="Writes",
                    queries=[
                        ("sum by (instance) (index_write_queue_depth)", "{{instance}} waiting"),
                        (
                            "sum by (instance) (rate(index_applied_seq[$__rate_interval]))",
                            "{{instance}} applied a second",
                        ),
                    ],
                    unit="short",
                    text="Writes are refused at LOOKALIKE_INDEX_MAX_WAITING_WRITES.",
                ),
            ],
        ),
        (
            "Answers",
            [
                Panel(
                    title="Recall",
                    queries=[
                        ("index_recall", "{{collection}}"),
                        ("index_recall_target", "{{collection}} target"),
                    ],
                    unit="percentunit",
                    text="Share of the true neighbours that graphs found, by the index's own "
                    "check. Collections that are searched exactly have none.",
                    top=1,
                ),
                Panel(
                    title="Items",
                    queries=[("sum by (collection) (index_items)", "{{collection}}")],
                    unit="short",
                    text="Photos of listings.",
                ),
                Panel(
                    title="Collections",
                    queries=[
                        (
                            "count by (collection, embedding_space) (index_collection_info)",
                            "{{collection}} {{embedding_space}}",
                        )
                    ],
                    unit="short",
                    text="And the model that made their vectors.",
                    kind="table",
                ),
            ],
        ),
        (
            "Room",
            [
                Panel(
                    title="Memory of collections",
                    queries=[("sum by (collection) (index_memory_bytes)", "{{collection}}")],
                    unit="bytes",
                    text="Vectors, features and graphs.",
                    stacked=True,
                ),
                Panel(
                    title="Disk",
                    queries=[
                        ("sum by (instance) (index_disk_free_bytes)", "{{instance}} free"),
                        ("sum by (instance) (index_store_bytes)", "{{instance}} store"),
                    ],
                    unit="bytes",
                    text="A snapshot needs room for another store.",
                ),
                Panel(
                    title="Age of the newest snapshot",
                    queries=[("max by (instance) (index_snapshot_age_seconds)", "{{instance}}")],
                    unit="s",
                    text="An alert says so after 26 hours. +Inf, which is not drawn, is none.",
                ),
            ],
        ),
        per_process("index"),
    ],
)

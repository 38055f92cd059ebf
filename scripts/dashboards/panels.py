"""What a panel is, and the queries that dashboards share. Knows nothing of Grafana's JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lookalike.serving import failures


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One panel.

    Args:
        title: Its name, which docs/runbook.md uses.
        queries: PromQL and the legend of its series.
        unit: Grafana's name for what is counted.
        text: What to see in it.
        kind: `timeseries`, `stat` or `table`.
        stacked: Whether series are added up.
        top: The highest value that there can be.
    """

    title: str
    queries: Sequence[tuple[str, str]]
    unit: str
    text: str
    kind: str = "timeseries"
    stacked: bool = False
    top: float | None = None


@dataclass(frozen=True)
class Dashboard:
    """One file; rows of panels, which share a row's width."""

    uid: str
    title: str
    text: str
    rows: Sequence[tuple[str, Sequence[Panel]]]


def stat(title: str, query: str, unit: str, text: str) -> Panel:
    """One number, as it is now."""
    return Panel(title=title, queries=[(query, "")], unit=unit, text=text, kind="stat")


def quantiles(histogram: str, by: str = "", where: str = "") -> list[tuple[str, str]]:
    """Queries of three quantiles of a histogram, for each value of a label."""
    labels, legend = (f"{by}, le", f"{{{{{by}}}}} ") if by else ("le", "")
    rate = f"sum by ({labels}) (rate({histogram}_bucket{where}[$__rate_interval]))"
    return [
        (f"histogram_quantile({share}, {rate})", f"{legend}p{share * 100:.0f}")
        for share in (0.5, 0.95, 0.99)
    ]


def rate(counter: str, by: str, legend: str, where: str = "") -> tuple[str, str]:
    """The query of a counter's growth a second, by labels."""
    return f"sum by ({by}) (rate({counter}{where}[$__rate_interval]))", legend


OURS = 'job=~"embedder|index|gateway"'
CALLS = "grpc_server_call_duration_seconds_count"
HTTP = "http_server_request_duration_seconds"
FAILED = f'{{{OURS}, grpc_status=~"{"|".join(sorted(failures.STATUSES))}"}}'
FAILED_HTTP = (
    f'{{{OURS}, http_response_status_code=~"{"|".join(map(str, sorted(failures.HTTP_STATUSES)))}"}}'
)
DROPPED = '{__name__=~"(embedder|index|gateway)_requests_dropped_total"}'


def per_process(job: str) -> tuple[str, list[Panel]]:
    """The row of what processes of a job take of their machine."""
    where = f'{{job=~"{job}"}}'
    name = "{{job}} {{instance}}"
    return "Processes", [
        Panel(
            title="Processors",
            queries=[(f"rate(process_cpu_seconds_total{where}[$__rate_interval])", name)],
            unit="short",
            text="Processor seconds a second: 2 is two processors at work.",
        ),
        Panel(
            title="Memory",
            queries=[(f"process_resident_memory_bytes{where}", name)],
            unit="bytes",
            text="Resident memory. It should be flat after the first minutes.",
        ),
        Panel(
            title="Open files",
            queries=[(f"process_open_fds{where}", name)],
            unit="short",
            text="File descriptors, which are connections most of all. They should be flat.",
        ),
    ]

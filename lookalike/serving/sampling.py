"""Which spans are recorded. Imported only where there is a collector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import sampling
from opentelemetry.trace import Link


class Sampler(sampling.Sampler):
    """A share of the traces that begin here, and what others decided of theirs.

    A span that is linked to requests and has no parent, which a batch is, was asked for by those
    that are recorded.

    Args:
        share: Of the traces that begin here.
    """

    def __init__(self, share: float) -> None:
        self._usual = sampling.ParentBased(sampling.TraceIdRatioBased(share))

    def should_sample(  # noqa: PLR0917
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: Any = None,
        attributes: Any = None,
        links: Sequence[Link] | None = None,
        *more: Any,
        **named: Any,
    ) -> sampling.SamplingResult:
        """Decides of one span."""
        parent = trace.get_current_span(parent_context).get_span_context()
        if links and not parent.is_valid:
            return sampling.SamplingResult(sampling.Decision.RECORD_AND_SAMPLE, attributes)
        return self._usual.should_sample(
            parent_context, trace_id, name, kind, attributes, links, *more, **named
        )

    def get_description(self) -> str:
        """Names it."""
        return "Lookalike"

"""What the embedder alone tells of itself: batches, the stages of photos and texts, the model.

The batcher and the embedders hand over what they measure anyway; they know neither metrics nor
spans.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from opentelemetry.trace import SpanContext
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from embedder_service.admission import Admission
from embedder_service.batching import BatchObserver
from embedder_service.embedding import EmbeddedPhoto
from embedder_service.hosting import ModelHost
from embedder_service.words import EmbeddedWords
from lookalike.serving import tracing
from lookalike.serving.metrics import Metrics
from lookalike.serving.telemetry import Telemetry
from lookalike.serving.tracing import Tracing

PHOTO, TEXT = "photo", "text"
# Below it, a photo that takes its place at once would have a span that says nothing.
_LEAST_WAIT_NS = 100_000
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class EmbedderTelemetry:
    """The embedder's metrics, and spans of what a request goes through.

    Args:
        telemetry: The process's.
    """

    def __init__(self, telemetry: Telemetry) -> None:
        self._tracing = telemetry.tracing
        self._measured = _Measured(telemetry.metrics) if telemetry.metrics else None

    def batches(self, kind: str) -> BatchObserver | None:
        """Returns what watches the batches of photos or of texts; None if nothing does."""
        if self._measured is None and not self._tracing.recording:
            return None
        return _Batches(kind, self._tracing, self._measured)

    def embedded(self, embedded: EmbeddedPhoto | EmbeddedWords) -> None:
        """Notes a photo or a text of the current request that was just embedded."""
        kind = PHOTO if isinstance(embedded, EmbeddedPhoto) else TEXT
        if self._measured is not None:
            self._measured.waits(kind).observe(embedded.queue_ns / 1e9)
            if isinstance(embedded, EmbeddedPhoto):
                self._measured.decode_seconds.observe(embedded.decode_ns / 1e9)
        if tracing.here() is not None:
            self._trace(embedded)

    def watch(self, host: ModelHost, admissions: Mapping[str, Admission]) -> None:
        """Reads the model and how much is in the service, by kind, when it is asked for."""
        if self._measured is None:
            return

        def collect() -> Iterator[Metric]:
            depth = GaugeMetricFamily(
                "embedder_queue_depth",
                "Photos or texts in the service: waiting, being decoded or embedded.",
                labels=["kind"],
            )
            for kind, admission in admissions.items():
                depth.add_metric([kind], admission.photos)
            yield depth
            manifest, engine = host.manifest, host.model.photos.engine
            model = {
                "model": manifest.name,
                "version": manifest.version,
                "embedding_space": manifest.embedding_space,
                "engine": engine.name,
                "precision": engine.precision,
            }
            info = GaugeMetricFamily(
                "embedder_model_info", "The model that is served; always 1.", labels=list(model)
            )
            info.add_metric(list(model.values()), 1)
            yield info
            yield GaugeMetricFamily(
                "embedder_bundle_refused",
                "Whether the bundle on disk was refused, and an older one is served: 1 or 0.",
                float(host.refused),
            )

        self._measured.metrics.read(collect)

    def _trace(self, embedded: EmbeddedPhoto | EmbeddedWords) -> None:
        # Laid out backwards from now, from the times that each stage took.
        ended_ns = tracing.now_ns()
        batch = embedded.batch if isinstance(embedded.batch, SpanContext) else None
        if isinstance(embedded, EmbeddedPhoto):
            waited_ns, first, first_ns = embedded.waited_ns, "decode", embedded.decode_ns
        else:
            waited_ns, first, first_ns = 0, "tokenise", embedded.tokenise_ns
        stages = [
            ("inference", embedded.inference_ns, batch),
            ("queue", embedded.queue_ns - waited_ns, None),
            (first, first_ns, None),
        ]
        for name, took_ns, link in stages:
            self._tracing.stage(name, ended_ns=ended_ns, took_ns=took_ns, link=link)
            ended_ns -= took_ns
        if waited_ns > _LEAST_WAIT_NS:
            self._tracing.stage("wait", ended_ns=ended_ns, took_ns=waited_ns)


class _Measured:
    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics
        self.waits = metrics.observer(
            "embedder_queue_wait_seconds",
            "Seconds that a photo or text waited, for a place to be decoded and for the engine.",
            ("kind",),
        )
        self.decode_seconds = metrics.histogram(
            "embedder_decode_seconds", "Seconds in which a photo was decoded and resized."
        )
        self.inference_seconds = metrics.observer(
            "embedder_inference_seconds", "Seconds of a batch's forward pass.", ("kind",)
        )
        self.batch_size = metrics.observer(
            "embedder_batch_size", "Photos or texts of a forward pass.", ("kind",), _SIZES
        )
        for kind in (PHOTO, TEXT):  # so that each is there from the start
            for histogram in (self.waits, self.inference_seconds, self.batch_size):
                histogram(kind)


class _Batches:
    """Watches the batches of one batcher; see `BatchObserver`."""

    def __init__(self, kind: str, tracing: Tracing, measured: _Measured | None) -> None:
        self._kind = kind
        self._tracing = tracing
        self._seconds = measured.inference_seconds(kind) if measured else None
        self._sizes = measured.batch_size(kind) if measured else None

    @staticmethod
    def caller() -> SpanContext | None:
        return tracing.here()

    def ran(self, callers: Sequence[object], run_ns: int) -> object:
        if self._seconds is not None and self._sizes is not None:
            self._seconds.observe(run_ns / 1e9)
            self._sizes.observe(len(callers))
        requests = [caller for caller in callers if isinstance(caller, SpanContext)]
        return self._tracing.batch(
            "batch",
            requests,
            ended_ns=tracing.now_ns(),
            took_ns=run_ns,
            attributes={"embedder.kind": self._kind, "embedder.batch_size": len(callers)},
        )

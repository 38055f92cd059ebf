"""The answers that people get, beside those that the model can give: served and offline.

All photos of a catalogue are ingested through the gateway; then each photo of the test split is
taken out, asked about through the gateway, and put back. The catalogue must be the one that the
bundle was trained on, prepared with the defaults, so that its test split is what training has not
seen. Offline are the same figures from the bundle's engine and NumPy, without a service.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from benchmarks.report import Figure
from demo import quality
from demo.catalogue import fill
from demo.quality import KnownPhoto, Served, known_photos
from lookalike import Client
from lookalike.cpu import available_cores
from lookalike.model import bundle as bundles
from lookalike.model.bundle import Bundle
from lookalike.model.engines import load_engine
from lookalike.serving.local_stack import LocalStack
from training.answers import judge_answers
from training.judging import Predictions, predictions_of_bundle
from training.metrics import listing_metrics
from training.prepare import prepare

_QUICK = 100
# Of what the targets speak: fewer photos say too little.
_ENOUGH = 1000
# Served and offline may differ by the batch that a photo was in, and by features in bytes.
_MOST_DIFFERENCE = 0.005
# At least, at most.
_TARGETS: dict[str, tuple[float | None, float | None]] = {
    quality.RECALL_5: (0.58, None),
    quality.RECALL_10: (0.63, None),
    quality.PRECISION_5: (0.535, None),
    quality.ACCURACY_OF_LISTINGS: (0.61, None),
    quality.LIKENESS_ERROR: (None, 0.05),
    quality.PRICE_COVERAGE: (0.77, 0.83),
}


def measure(*, quick: bool, data: Path, bundle: Path) -> list[Figure]:
    """Returns the figures; `quick` asks about 100 photos and computes nothing offline.

    Args:
        quick: Whether to.
        data: The raw catalogue: Products.csv, Images.csv and images/.
        bundle: A model bundle with a ranking.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        everything = known_photos(prepare(data, folder / "prepared"), data)
        asked = [photo for photo in everything if photo.split == "test"]
        asked = asked[:_QUICK] if quick else asked
        served = _served(data, bundle, folder, everything, asked)
    offline = {} if quick else _offline(data, bundle, asked)
    figures = [
        Figure("photos asked about", served.photos, "photos", note=f"ranked by {served.ranking}")
    ]
    targets = _TARGETS if len(asked) >= _ENOUGH else {}
    for name, value in served.figures.items():
        at_least, at_most = targets.get(name, (None, None))
        figures.append(Figure(f"served: {name}", value, "share", at_most, at_least))
        if name in offline:
            figures.append(Figure(f"offline: {name}", offline[name], "share"))
            gap = abs(value - offline[name])
            figures.append(Figure("  between the two", gap, "share", at_most=_MOST_DIFFERENCE))
    return figures


def _served(
    data: Path,
    bundle: Path,
    folder: Path,
    everything: Sequence[KnownPhoto],
    asked: Sequence[KnownPhoto],
) -> Served:
    stack = LocalStack(bundle=bundle, index_dir=folder / "index", log_dir=folder / "logs")
    gateway = stack.start()
    try:
        if not fill(gateway, data, folder / "ingest.jsonl"):
            raise RuntimeError("some photos were refused")
        with Client(gateway) as client, Progress() as bars:
            bar = bars.add_task("Asking", total=len(asked))
            return quality.measure(client, everything, asked, lambda: bars.advance(bar))
    finally:
        stack.stop()


def _offline(data: Path, path: Path, asked: Sequence[KnownPhoto]) -> dict[str, float]:
    bundle = bundles.load(path)
    engine = load_engine(bundle, name="openvino", precision="auto", threads=available_cores())
    everything, _ = predictions_of_bundle(engine, bundle, data)
    names = {photo.file.name for photo in asked}
    queries = np.array([Path(photo).name in names for photo in everything.photos.tolist()])
    return _offline_figures(bundle, everything, np.flatnonzero(queries))


def _offline_figures(
    bundle: Bundle, everything: Predictions, queries: NDArray[np.int64]
) -> dict[str, float]:
    manifest = bundle.manifest
    if manifest.ranking is None:
        raise RuntimeError(f"{bundle.path}: has no ranking; export it again")
    answers = judge_answers(manifest.ranking, manifest.price_range, everything, queries).metrics
    judged = everything.only(np.isin(np.arange(len(everything)), queries))
    together = listing_metrics(judged.logits, judged.labels, judged.listings)
    ranked, price = answers["ranked"]["blend"], answers.get("price", {})
    likeness = answers["likeness"]["blend"]
    return {
        quality.RECALL_5: ranked["same_listing_recall_at_5"],
        quality.RECALL_10: ranked["same_listing_recall_at_10"],
        quality.PRECISION_5: ranked["precision_at_5"],
        quality.ACCURACY: float((judged.logits.argmax(1) == judged.labels).mean()),
        quality.ACCURACY_OF_LISTINGS: together["accuracy"],
        quality.LIKENESS_ERROR: likeness["calibration_error"],
        quality.FIRST_LIKENESS_ERROR: likeness["calibration_error_of_first"],
        quality.PRICE_ERROR: price.get("median_error", math.nan),
        quality.PRICE_COVERAGE: price.get("coverage", math.nan),
    }

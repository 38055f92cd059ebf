"""Compares a variant of the network with the fp32 reference: figures and limits.

Agreement is on the first category, which is harder to keep for a model that is often undecided
between two; cosines show how far the vectors themselves move.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.table import Table

from lookalike.model.bundle import Parity, Variant
from lookalike.model.engines import Engine
from lookalike.progress import track_photos
from training.config import CATEGORY_OUTPUT
from training.dataset import load_pixels
from training.errors import TrainingError
from training.images import in_threads
from training.prepare import Prepared

LEAST_AGREEMENT = 0.985
LEAST_COSINE_MEAN = 0.995
MOST_ACCURACY_LOST = 0.005

# Enough to tell a loss of half a point from chance.
MAX_PHOTOS = 2000
BATCH = 16

Outputs = Mapping[str, NDArray[np.float32]]


def measure(
    reference: Engine,
    variants: Mapping[str, Engine],
    prepared: Prepared,
    photos: pd.DataFrame,
    size: int,
) -> dict[str, Parity]:
    """Runs all engines on the same photos and returns each variant's figures.

    Args:
        reference: The engine to compare with.
        variants: Engines by precision.
        prepared: The data set of the photos.
        photos: Columns sha256 and label.
        size: Side of the networks' input, in pixels.
    """
    engines = [reference, *variants.values()]
    answers: list[list[Outputs]] = [[] for _ in engines]

    def work() -> Iterator[int]:
        names = photos["sha256"].tolist()
        pixels = in_threads(lambda name: load_pixels(prepared, name, size), names)
        while batch := list(itertools.islice(pixels, BATCH)):
            for engine, outputs in zip(engines, answers, strict=True):
                outputs.append(engine.infer(np.stack(batch)))
            yield from range(len(batch))

    for _ in track_photos(work(), "Comparing with fp32", total=len(photos)):
        pass
    expected, *found = (
        {name: np.concatenate([some[name] for some in outputs]) for name in outputs[0]}
        for outputs in answers
    )
    labels = photos["label"].to_numpy()
    return {
        precision: parity_of(expected, outputs, labels)
        for precision, outputs in zip(variants, found, strict=True)
    }


def parity_of(expected: Outputs, found: Outputs, labels: NDArray[np.int64]) -> Parity:
    """Returns the figures of one variant.

    Args:
        expected: The reference's outputs by name, of shape (photos, dimension).
        found: The variant's.
        labels: The photos' categories, of shape (photos,).
    """
    first, theirs = (outputs[CATEGORY_OUTPUT].argmax(1) for outputs in (found, expected))
    cosines = {name: _cosines(values, found[name]) for name, values in expected.items()}
    hits, their_hits = int((first == labels).sum()), int((theirs == labels).sum())
    return Parity(
        photos=len(labels),
        top1_agreement=float((first == theirs).mean()),
        accuracy=hits / len(labels),
        # of whole numbers, so that rounding does not push a loss of exactly the limit over it
        accuracy_difference=(hits - their_hits) / len(labels),
        cosine_mean={name: float(values.mean()) for name, values in cosines.items()},
        cosine_worst={name: float(values.min()) for name, values in cosines.items()},
    )


def like_torch(
    expected: Outputs,
    found: Outputs,
    labels: NDArray[np.int64],
    *,
    tolerance: float,
    what: str,
    of: str,
) -> tuple[float, Parity]:
    """Returns the largest difference of a value relative to its output's spread, and the parity.

    Args:
        expected: Torch's outputs by name.
        found: Those of the export in fp32.
        labels: The categories of what went in.
        tolerance: The largest difference that is due to rounding.
        what: What was exported, for messages.
        of: What went in: `photos` or `listings`.

    Raises:
        TrainingError: The export does not answer as torch.
    """
    worst = 0.0
    for name, values in expected.items():
        difference = float(np.abs(values - found[name]).max() / (values.std() + 1e-9))
        if not difference <= tolerance:
            raise TrainingError(
                f"{what}'s output '{name}' differs from torch's by {difference:.2g} standard "
                f"deviations on {len(values)} {of}; the limit is {tolerance:g}"
            )
        worst = max(worst, difference)
    parity = parity_of(expected, found, labels)
    if missed := violations(parity):
        raise TrainingError(f"{what} does not answer as torch: {'; '.join(missed)}")
    return worst, parity


def judged(precision: str, parity: Parity, *, float_file: str, int8_file: str) -> Variant:
    """Returns the verdict on a precision; bf16 shares the file of fp32, and is shipped with it."""
    passed = not violations(parity)
    file = float_file if precision == "bf16" else int8_file
    return Variant(file if passed or precision == "bf16" else "", passed, parity)


def violations(parity: Parity) -> list[str]:
    """Describes each figure that misses its limit; empty if the variant may be served."""
    wrong = []
    if parity.top1_agreement < LEAST_AGREEMENT:
        wrong.append(
            f"agreement on the first category is {parity.top1_agreement:.4f}, "
            f"the least is {LEAST_AGREEMENT}"
        )
    for name, cosine in parity.cosine_mean.items():
        if cosine < LEAST_COSINE_MEAN:
            wrong.append(f"mean cosine of {name} is {cosine:.4f}, the least is {LEAST_COSINE_MEAN}")
    if parity.accuracy_difference < -MOST_ACCURACY_LOST:
        wrong.append(
            f"accuracy lost is {-parity.accuracy_difference:.4f}, the most is {MOST_ACCURACY_LOST}"
        )
    return wrong


def verdicts(variants: Mapping[str, Variant], what: str) -> tuple[Table, list[str]]:
    """Returns a table of the variants, and a line for each that missed a limit or is not known.

    Args:
        variants: By precision.
        what: What they were compared on: `photos` or `words`.
    """
    table = Table("variant", what, "agreement", "cosine", "worst", "accuracy", "verdict")
    for column in table.columns[1:-1]:
        column.justify = "right"
    lines = []
    for precision, variant in variants.items():
        parity = variant.parity
        table.add_row(
            precision,
            str(parity.photos),
            f"{parity.top1_agreement:.4f}",
            f"{min(parity.cosine_mean.values()):.4f}",
            f"{min(parity.cosine_worst.values()):.4f}",
            f"{parity.accuracy:.3f} ({100 * parity.accuracy_difference:+.2f})",
            "passed" if variant.passed else "missed",
        )
        if not variant.passed:
            outcome = "`auto` will not choose it" if variant.file else "it is not in the bundle"
            lines.append(f"{precision} misses: {'; '.join(violations(parity))}: {outcome}")
    if "bf16" not in variants:
        lines.append("bf16 was not measured, as this CPU cannot: `auto` will not choose it")
    return table, lines


def _cosines(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
    a, b = one.astype(np.float64), other.astype(np.float64)
    with np.errstate(invalid="ignore"):
        lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        cosines: NDArray[np.float64] = (a * b).sum(axis=1) / lengths
    # What has no direction, of length 0 or with NaN in it, points nowhere near the reference; and
    # JSON knows no NaN.
    return np.nan_to_num(cosines, nan=0.0)

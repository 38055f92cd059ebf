"""The figures that judge a variant, the limits they are held to, and the photos they are of."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from lookalike.model.bundle import Parity, Variant
from training.dataset import load_pixels
from training.errors import TrainingError
from training.parity import measure, parity_of, verdicts, violations
from training.prepare import Prepared, load_prepared, sample_photos

GOOD = Parity(200, 0.985, 0.5, -0.005, {"category": 0.995, "features": 0.995}, {"category": 0.1})
LABELS = np.array([0, 1, 2, 0])
LOGITS = np.array([[9, 1, 1], [1, 9, 1], [1, 9, 1], [9, 1, 1]], np.float32)


class Telling:
    """An engine whose first value tells of the photo; it remembers what it was given."""

    name = "openvino"
    precision = "fp32"

    def __init__(self, sign: float = 1) -> None:
        self.batches: list[NDArray[np.uint8]] = []
        self._sign = sign

    def infer(self, batch: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        self.batches.append(batch)
        mean = batch.mean((1, 2, 3), dtype=np.float32)
        return {"category": self._sign * np.stack([mean, 99 - mean, mean / 2], axis=1)}


@pytest.fixture(scope="module")
def prepared(data: Path) -> Prepared:
    return load_prepared(data)


def test_the_reference_beside_itself_has_nothing_to_be_blamed_for() -> None:
    parity = parity_of({"category": LOGITS}, {"category": LOGITS}, LABELS)

    one = {"category": pytest.approx(1)}
    assert parity == Parity(4, 1.0, 0.75, 0.0, one, one)  # type: ignore[arg-type]
    assert violations(parity) == []


def test_figures_are_of_what_a_variant_says_otherwise() -> None:
    found = LOGITS.copy()
    found[0] = [1, 1, 9]  # was right
    found[2] = [1, 1, 9]  # was wrong
    found[3] = [1, 9, 1]  # was right
    style = np.eye(4, dtype=np.float32)
    parity = parity_of(
        {"category": LOGITS, "style": style}, {"category": found, "style": style[::-1]}, LABELS
    )

    turned = (9 + 9 + 1) / (81 + 1 + 1)
    assert (parity.photos, parity.top1_agreement) == (4, 0.25)
    assert (parity.accuracy, parity.accuracy_difference) == (0.5, -0.25)
    assert parity.cosine_mean == {"category": pytest.approx((1 + 3 * turned) / 4), "style": 0}
    assert parity.cosine_worst == {"category": pytest.approx(turned), "style": 0}


def test_figures_just_at_their_limits_pass() -> None:
    assert violations(GOOD) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"top1_agreement": 0.9849},
            "agreement on the first category is 0.9849, the least is 0.985",
        ),
        (
            {"cosine_mean": {"category": 0.999, "features": 0.99}},
            "mean cosine of features is 0.9900, the least is 0.995",
        ),
        ({"accuracy_difference": -0.0051}, "accuracy lost is 0.0051, the most is 0.005"),
    ],
)
def test_a_figure_that_misses_is_told_with_its_limit(change: dict[str, object], said: str) -> None:
    assert violations(dataclasses.replace(GOOD, **change)) == [said]  # type: ignore[arg-type]


def test_a_gain_in_accuracy_is_no_miss() -> None:
    assert violations(dataclasses.replace(GOOD, accuracy_difference=0.2)) == []


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [np.nan, 0])
def test_values_that_are_no_numbers_and_vectors_of_length_0_miss(value: float) -> None:
    broken = np.full_like(LOGITS, value)
    parity = parity_of({"category": LOGITS}, {"category": broken}, LABELS)

    assert parity.cosine_mean == parity.cosine_worst == {"category": 0}, "no NaN, for JSON"
    assert "mean cosine of category is 0.0000, the least is 0.995" in violations(parity)


def test_photos_are_drawn_from_the_split_alone_each_once_and_the_same_each_time(
    prepared: Prepared,
) -> None:
    table = prepared.photos
    everything = sample_photos(prepared, "validation", 10_000)
    split = table[table["split"] == "validation"]

    assert sorted(everything["sha256"]) == sorted(split["sha256"].unique())
    assert everything["sha256"].tolist() != split["sha256"].drop_duplicates().tolist(), "shuffled"
    assert sample_photos(prepared, "validation", 5).equals(everything[:5])


def test_a_split_without_photos_is_refused(prepared: Prepared) -> None:
    only = dataclasses.replace(prepared, photos=prepared.photos[:0])
    with pytest.raises(TrainingError, match="the validation split holds no photo"):
        sample_photos(only, "validation", 5)


def test_every_engine_sees_the_same_photos_and_is_compared_on_all_of_them(
    prepared: Prepared,
) -> None:
    photos = sample_photos(prepared, "train", 37)  # two full batches and a rest
    reference, same, opposite = Telling(), Telling(), Telling(-1)
    found = measure(reference, {"bf16": same, "int8": opposite}, prepared, photos, 32)

    pixels = np.stack([load_pixels(prepared, name, 32) for name in photos["sha256"]])
    for engine in (reference, same, opposite):
        np.testing.assert_array_equal(np.concatenate(engine.batches), pixels)
    assert [found[name].photos for name in ("bf16", "int8")] == [37, 37]
    assert found["bf16"].cosine_worst == {"category": pytest.approx(1)}
    assert found["int8"].cosine_mean == {"category": pytest.approx(-1)}
    first = reference.infer(pixels)["category"].argmax(1)
    assert found["bf16"].accuracy == (first == photos["label"]).mean()


def test_verdicts_are_a_row_each_and_a_line_for_what_missed() -> None:
    bad = dataclasses.replace(GOOD, top1_agreement=0.9, accuracy_difference=-0.01)
    table, lines = verdicts(
        {
            "fp32": Variant("openvino/model.xml", True, GOOD),
            "bf16": Variant("openvino/model.xml", False, bad),
            "int8": Variant("", False, bad),
        },
        "photos",
    )

    console = Console(width=100)
    with console.capture() as captured:
        console.print(table)
    shown = captured.get()
    assert [shown.count(word) for word in ("passed", "missed", "0.9850", "(-1.00)")] == [1, 2, 1, 2]
    why = (
        "agreement on the first category is 0.9000, the least is 0.985; "
        "accuracy lost is 0.0100, the most is 0.005"
    )
    assert lines == [
        f"bf16 misses: {why}: `auto` will not choose it",
        f"int8 misses: {why}: it is not in the bundle",
    ]


def test_bf16_that_no_cpu_measured_is_told() -> None:
    _, lines = verdicts({"fp32": Variant("openvino/model.xml", True, GOOD)}, "photos")

    assert lines == ["bf16 was not measured, as this CPU cannot: `auto` will not choose it"]

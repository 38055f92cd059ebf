"""The report on photos and words: what its plots count, and its pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.report.disagreement import disagreements, draw_disagreements
from training.report.towers import (
    accuracy_at_coverage,
    draw_abilities,
    draw_classes,
    draw_reliabilities,
    f1_by_class,
    top_accuracies,
)
from training.text.judged import BOTH, PHOTOS, WORDS, Judged

# Right or not by photos, words and both, one listing each.
CASES = (
    (True, True, True), (True, False, True), (False, True, True), (False, False, True),
    (False, True, False), (True, False, False), (False, False, False), (True, True, False),
)  # fmt: skip


@pytest.fixture
def judged(tmp_path: Path) -> Judged:
    labels = np.arange(len(CASES)) % 3
    logits = {}
    for number, way in enumerate((PHOTOS, WORDS, BOTH)):
        right = np.array([case[number] for case in CASES])
        logits[way] = 4 * np.eye(3, dtype=np.float32)[np.where(right, labels, (labels + 1) % 3)]
    Image.new("RGB", (20, 20), "red").save(tmp_path / "photo.png")
    pictures = np.array([str(tmp_path / "photo.png")] * len(CASES))
    return Judged(("Desks", "Lamps", "Vans"), labels, ["A title"] * len(CASES), pictures, logits)


def test_the_surest_are_answered_first() -> None:
    coverage, accuracy = accuracy_at_coverage(
        np.array([0.2, 0.9, 0.5, 0.4]), np.array([False, True, False, True])
    )
    assert coverage.tolist() == [0.25, 0.5, 0.75, 1]
    assert accuracy.tolist() == pytest.approx([1, 1 / 2, 2 / 3, 1 / 2])


def test_more_guesses_are_right_more_often() -> None:
    logits = np.array([[3, 2, 1], [3, 2, 1], [3, 2, 1]], np.float32)
    assert top_accuracies(logits, np.array([0, 1, 2]), 3) == pytest.approx([1 / 3, 2 / 3, 1])


def test_disagreements_are_counted_by_who_is_right(judged: Judged) -> None:
    counts, sentence = disagreements(judged)
    assert "| ✓ | ✗ | ✓ | photos corrected the words | 1 | 0.125 |" in counts
    assert "| ✓ | ✓ | ✗ | both together are wrong where each alone is right | 1 | 0.125 |" in counts
    assert "none is right" in counts
    assert "0.750" in sentence
    means = {way: np.mean(list(f1_by_class(judged, way).values())) for way in (PHOTOS, WORDS, BOTH)}
    assert 0 < means[PHOTOS] < 1


@pytest.mark.long
def test_pictures_are_drawn(judged: Judged, tmp_path: Path) -> None:
    for draw in (draw_abilities, draw_classes, draw_reliabilities):
        out = tmp_path / f"{draw.__name__}.png"
        draw(judged, out)
        with Image.open(out) as picture:
            assert picture.width > 500
    assert len(draw_disagreements(judged, tmp_path / "sheet.png")) == 5
    alike = Judged(
        judged.classes, judged.labels, judged.titles, judged.pictures,
        dict.fromkeys((PHOTOS, WORDS, BOTH), judged.logits[BOTH]),
    )  # fmt: skip
    assert draw_disagreements(alike, tmp_path / "none.png") == []
    assert not (tmp_path / "none.png").exists()

"""The report: every picture is there and shows something, and its figures are the real ones."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from lookalike.files import write_json
from tests.unit.training.conftest import fit_few
from training.evaluate import evaluate
from training.judging import Predictions
from training.report import embedding_map, write_report
from training.report.curves import draw_curves, panels, read_scalars
from training.report.embedding_map import LEAST, plane_of, spread
from training.report.plots import confusion
from training.report.sheets import chosen, ranked
from training.report.style import COLOURS, SHAPES, look

pytestmark = pytest.mark.long  # pictures take long to draw

PICTURES = {
    "confusion.png",
    "calibration.png",
    "likeness.png",
    "curves.png",
    "map.png",
    "category-best.png",
    "category-worst.png",
    "features-best.png",
    "features-worst.png",
}


@pytest.fixture(scope="module")
def report(workshop: Path, data: Path, run: Path) -> Path:
    """The report of a copy of the run, in it; others compare the run's own figures."""
    copy = workshop / "reported"
    ignored = shutil.ignore_patterns("checkpoints", "model.safetensors", "metrics.json")
    shutil.copytree(run, copy, ignore=ignored)
    (copy / "model.safetensors").symlink_to(run / "model.safetensors")
    with pytest.MonkeyPatch.context() as patched:  # of few photos nothing else would be fitted
        fit_few(patched)
        evaluate(data, copy, all_photos=True, report=copy / "report")
    return copy / "report"


@pytest.fixture(scope="module")
def metrics(report: Path) -> dict[str, Any]:
    figures: dict[str, Any] = json.loads((report / "metrics.json").read_text())
    return figures


def links(report: Path) -> list[str]:
    return re.findall(r"!?\[[^\]]*\]\(([^)]*)\)", (report / "report.md").read_text())


def tables(report: Path) -> list[list[list[str]]]:
    """The cells of each table, the header first."""
    blocks = (report / "report.md").read_text().split("\n\n")
    rows = [block.splitlines() for block in blocks if block.startswith("| ")]
    return [
        [[cell.strip() for cell in row.strip("|").split(" | ")] for row in [head, *body]]
        for head, _, *body in rows
    ]


def toy(
    vectors: list[list[float]], categories: str, listings: str, photos: list[Path] | None = None
) -> Predictions:
    """Photos of two categories, a and b, whose vectors are their logits too."""
    values = np.array(vectors, np.float32)
    files = [str(photo) for photo in photos or [Path(f"{row}.jpg") for row in range(len(values))]]
    return Predictions(
        ("a", "b"),
        {"category": values, "features": values},
        np.array(categories.split()),
        np.array(listings.split()),
        np.array(files),
        np.array(files),
        np.ones(len(files)),
    )


def drawn(folder: Path, number: int) -> list[Path]:
    """Photos of one colour each."""
    files = [folder / f"photo-{row}.jpg" for row in range(number)]
    for row, file in enumerate(files):
        Image.new("RGB", (40, 30), (20 * row, 200, 100)).save(file)
    return files


def test_every_picture_is_there_and_shows_something(report: Path) -> None:
    files = {file.name for file in report.iterdir()}
    assert files == PICTURES | {"report.md", "metrics.json"}
    for name in PICTURES:
        with Image.open(report / name) as picture:
            assert picture.format == "PNG"
            assert 700 <= picture.width <= 3000, name
            assert 500 <= picture.height <= 3000, name
            pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3)
        assert pixels.std() > 10, f"{name} is not blank"
        assert len(np.unique(pixels[::7], axis=0)) > 50, name


def test_every_link_leads_to_a_file_and_every_picture_is_linked(report: Path) -> None:
    found = links(report)

    assert sorted(found) == sorted(PICTURES)
    assert all((report / link).is_file() for link in found)


def test_nothing_is_left_beside_the_report(report: Path) -> None:
    assert not [file for file in report.parent.iterdir() if file.name.startswith(".report")]


def test_the_reports_figures_are_those_of_metrics_json_which_are_the_runs(
    report: Path, metrics: dict[str, Any]
) -> None:
    summary, search, everywhere, ranked, ranked_everywhere, likeness, price, _, classes = tables(
        report
    )

    assert json.loads((report.parent / "metrics.json").read_text()) == metrics
    assert (report / "report.md").read_text().startswith("# reported, test split\n")
    values = {name: value for name, value, _ in summary[1:]}
    assert values == {
        "photos": str(metrics["photos"]),
        "accuracy": f"{metrics['accuracy']:.3f}",
        "accuracy, top 3": f"{metrics['accuracy_top3']:.3f}",
        "calibration error": f"{metrics['calibration_error']:.3f}",
        "temperature": f"{metrics['temperature']:.3f}",
        "calibration error, scaled": f"{metrics['calibration_error_scaled']:.3f}",
        "accuracy by listing": f"{metrics['by_listing']['accuracy']:.3f}",
    }
    for table, key in (
        (search, "outputs"),
        (everywhere, "outputs_all_photos"),
        (ranked, "ranked"),
        (ranked_everywhere, "ranked_all_photos"),
    ):
        assert {name: figures for name, *figures in table[1:]} == {
            name: [f"{figure:.3f}" for figure in figures.values()]
            for name, figures in metrics[key].items()
        }
    errors = ("calibration_error", "calibration_error_of_first")
    assert {name: figures for name, *figures in likeness[1:]} == {
        name: [str(row["pairs"]), *(f"{row[error]:.3f}" for error in errors)]
        for name, row in metrics["likeness"].items()
    }
    names = ("median_error", "linear_median_error", "log_linear_median_error")
    shown = [metrics["price"][name] for name in (*names, "coverage", "median_range")]
    values = [str(metrics["price"]["photos"]), *(f"{figure:.3f}" for figure in shown)]
    assert [value for _, value in price[1:]] == values
    told = {name: figures for name, *figures in classes[1:]}
    assert told == {
        name: [f"{row[key]:.3f}" for key in ("precision", "recall", "f1")] + [str(row["photos"])]
        for name, row in metrics["per_class"].items()
        if row["photos"]
    }
    scores = [metrics["per_class"][name]["f1"] for name in told]
    assert scores == sorted(scores, reverse=True)


def test_the_commonest_mistakes_are_counted(report: Path, metrics: dict[str, Any]) -> None:
    mistakes = tables(report)[-2][1:]
    wrong = round((1 - metrics["accuracy"]) * metrics["photos"])

    counts = [int(photos) for _, _, photos, _ in mistakes]
    assert counts == sorted(counts, reverse=True)
    assert 0 < sum(counts) <= wrong
    for truth, guess, photos, share in mistakes:
        assert truth != guess
        assert float(share) == pytest.approx(
            int(photos) / metrics["per_class"][truth]["photos"], abs=6e-4
        )


@pytest.mark.parametrize("photos", [1, 2, LEAST])
def test_a_few_photos_give_a_report_with_what_can_be_drawn(
    tmp_path: Path, report: Path, metrics: dict[str, Any], photos: int
) -> None:
    rows = list(range(photos))
    judged = toy(
        [[row, 1] for row in rows],
        "a " * photos,
        " ".join(map(str, rows)),
        drawn(tmp_path, photos),
    )
    folder = tmp_path / "report"
    folder.mkdir()
    write_report(folder, judged, metrics, title="Few")

    found = links(folder)
    assert all((folder / link).is_file() for link in found)
    assert ("map.png" in found) == (photos >= LEAST)
    assert ("category-best.png" in found) == (photos >= 2)
    assert "curves.png" not in found


def test_hundreds_of_leaf_categories_are_confused_by_root_and_told_by_pair(
    tmp_path: Path, metrics: dict[str, Any]
) -> None:
    leaves = tuple(f"{root} / leaf {number}" for root in ("Beds", "Cars") for number in range(20))
    logits = np.eye(40, dtype=np.float32)[[0, 1, 1, 25]]
    judged = Predictions(
        leaves,
        {"category": logits},
        np.array([leaves[0], leaves[0], leaves[0], "Boats / new | odd"]),
        np.array(["1", "2", "3", "4"]),
        np.array([str(file) for file in drawn(tmp_path, 4)]),
        np.array(["1", "2", "3", "4"]),
        np.ones(4),
    )
    folder = tmp_path / "report"
    folder.mkdir()
    write_report(folder, judged, metrics, title="Leaves")
    text = (folder / "report.md").read_text()

    assert "Each row is a true root category" in text
    with Image.open(folder / "confusion.png") as picture:
        assert picture.width < 1500, "of three roots, not of forty leaves"
    assert f"| {leaves[0]} | {leaves[1]} | 2 | 0.667 |" in text
    assert f"| Boats / new \\| odd | {leaves[25]} | 1 | 1.000 |" in text


def test_a_run_without_logs_has_a_report_without_curves(tmp_path: Path) -> None:
    assert read_scalars(tmp_path / "tensorboard") == {}
    assert draw_curves(tmp_path, tmp_path / "curves.png") == []
    assert not (tmp_path / "curves.png").exists()


def test_a_resumed_runs_logs_are_read_as_one_and_the_later_value_stands(tmp_path: Path) -> None:
    for number, steps in enumerate([(9, 19, 29), (19, 29, 39)]):
        with SummaryWriter(str(tmp_path / "tensorboard"), filename_suffix=f".{number}") as writer:
            for step in steps:
                writer.add_scalar("validation/accuracy", number + step / 100, step, walltime=number)
                writer.add_scalar("epoch", step // 10, step, walltime=number)
    assert len(list((tmp_path / "tensorboard").iterdir())) == 2
    scalars = read_scalars(tmp_path / "tensorboard")

    np.testing.assert_allclose(
        scalars["validation/accuracy"], [[9, 0.09], [19, 1.19], [29, 1.29], [39, 1.39]]
    )
    write_json(tmp_path / "run.json", {"best_epoch": 2})
    assert draw_curves(tmp_path, tmp_path / "curves.png") == ["Accuracy"]
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.width > 1000


def test_what_a_run_logs_is_drawn_by_kind() -> None:
    tags = ["validation/loss", "train/loss", "train/cross_entropy", "train/contrastive/features"]
    tags += ["validation/accuracy", "lr-AdamW", "epoch", "hp_metric"]

    assert panels(tags) == {
        "Loss": ["train/cross_entropy", "train/loss", "validation/loss"],
        "Contrastive loss": ["train/contrastive/features"],
        "Accuracy": ["validation/accuracy"],
        "Learning rate": ["lr-AdamW"],
    }


def test_a_confusion_matrix_counts_truth_by_guess() -> None:
    counts = confusion(np.array(["a", "a", "b", "c"]), np.array(["a", "b", "b", "a"]), "abc")

    assert counts.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]


@pytest.mark.parametrize("photos", [LEAST, 40])
def test_a_map_of_any_size_is_a_plane_and_the_same_one_again(photos: int) -> None:
    vectors = np.random.default_rng(1).normal(size=(photos, 13)).astype(np.float32)
    places = plane_of(vectors)

    assert places.shape == (photos, 2)
    assert np.isfinite(places).all()
    assert places.min() == 0
    assert places.max() == 1
    np.testing.assert_array_equal(places, plane_of(vectors))


def test_a_map_keeps_together_what_is_together() -> None:
    dice = np.random.default_rng(1)
    centres = np.repeat(np.array([[0, 0, 0], [50, 0, 0], [0, 50, 0]]), 20, axis=0)
    places = plane_of((centres + dice.normal(size=(60, 3))).astype(np.float32))
    groups = np.arange(60) // 20
    distances = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.fill_diagonal(distances, np.inf)

    assert (groups[distances.argmin(axis=1)] == groups).all()


@pytest.mark.parametrize("vectors", [np.ones((20, 13)), np.arange(20.0)[:, None]])
def test_a_map_of_vectors_without_two_directions_is_a_plane_too(
    vectors: NDArray[np.float64],
) -> None:
    places = plane_of(vectors.astype(np.float32))

    assert np.isfinite(places).all()
    assert places.max() == 1


def test_a_map_of_many_photos_draws_some_always_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding_map, "MOST", 10)
    rows = embedding_map.sampled(50)

    assert len(set(rows.tolist())) == 10
    assert rows.tolist() == sorted(rows.tolist()) == embedding_map.sampled(50).tolist()
    assert embedding_map.sampled(4).tolist() == [0, 1, 2, 3]


def test_thumbnails_cover_the_plane_and_none_covers_another() -> None:
    places = np.random.default_rng(1).uniform(size=(300, 2))
    rows = spread(places, 0.1)
    gaps = np.abs(places[rows][:, None] - places[rows][None]).max(axis=2)
    np.fill_diagonal(gaps, np.inf)

    assert gaps.min() >= 0.1
    nearest = np.abs(places[:, None] - places[rows][None]).max(axis=2).min(axis=1)
    assert nearest.max() < 0.1, "every photo is at a thumbnail or near one"


def test_places_that_coincide_have_one_thumbnail() -> None:
    assert len(spread(np.zeros((7, 2)), 0.1)) == 1


def test_groups_have_looks_of_their_own_as_far_as_there_are() -> None:
    most = len(COLOURS) * len(SHAPES)

    assert len({look(number) for number in range(most)}) == most
    assert look(most) == look(most + 5)


def test_searches_are_ranked_by_category_then_by_distance() -> None:
    # On a line: two a, far from three b of which one is apart, and an a among them.
    judged = toy([[0], [1], [20], [21], [30], [22.5]], "a a b b b a", "1 2 3 4 5 6")
    found = ranked(judged, "category")

    assert found.neighbours[0].tolist() == [1, 2, 3, 5, 4]
    # Each finds all the other five, so two of its category: distance decides.
    line = np.array([0, 1, 20, 21, 30, 22.5])
    sums = np.abs(line[:, None] - line).sum(axis=1)
    assert found.best_first.tolist() == found.worst_first.tolist()
    ordered = sums[found.best_first].tolist()
    assert ordered == sorted(ordered)
    assert ordered[0] < ordered[-1]


def test_the_best_search_finds_its_category_and_the_worst_does_not() -> None:
    angles = np.radians([0, 1, 2, 3, 4, 5, 90, 91, 92, 93, 94, 45])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1) * 3
    judged = toy(vectors.tolist(), "a a a a a a b b b b b a", "0 1 2 3 4 5 6 7 8 9 10 11")
    found = ranked(judged, "features")

    assert found.best_first[0] in {2, 3}, "all five are a, and nobody has them nearer"
    assert sorted(found.neighbours[2].tolist()) == [0, 1, 3, 4, 5]
    assert found.worst_first[0] in {7, 8, 9}, "of the b that find four b, and an a"


def test_rows_of_a_sheet_are_of_other_categories_and_listings() -> None:
    judged = toy([[0]] * 6, "a a a b b b", "1 1 2 3 3 4")

    assert chosen([0, 1, 2, 3, 4, 5], judged, rows=2) == [0, 3]
    assert chosen([0, 1, 2, 3, 4, 5], judged, rows=3) == [0, 3, 2], "no third category"
    assert chosen([1, 0], judged) == [1], "0 is of the same listing"

"""Judging a bundle on raw catalogues: the run's own figures, more neighbours, skipped photos."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lookalike.model import bundle as bundles
from lookalike.model.bundle import Bundle, Output
from training.calibration import calibration
from training.errors import TrainingError
from training.evaluate import evaluate, evaluate_bundle
from training.prepare import load_prepared
from training.tabular import read_images

HEADER = ",id,product_name,category,product_description,price,location"


class Catalogue:
    """A raw catalogue of a listing a line; their photos are drawn by seed."""

    def __init__(self, folder: Path, draw_photo: Any) -> None:
        self.folder = folder
        self._draw = draw_photo
        self._listings: dict[str, str] = {}
        self._photos: list[str] = []
        (folder / "images").mkdir(parents=True)

    def add(self, photo: str, listing: str, seed: int | None, category: str = "category 4") -> None:
        """Adds a photo; one without a seed is not readable."""
        self._listings[listing] = f"0,{listing},Oven,{category},Hot.,£3.00,Leeds"
        self._photos.append(f"0,{photo},{listing}")
        data = b"no photo" if seed is None else self._draw(seed)
        (self.folder / f"images/{photo}.jpg").write_bytes(data)
        tables = {"Products": [HEADER, *self._listings.values()]}
        tables["Images"] = [",id,product_id", *self._photos]
        for name, lines in tables.items():
            (self.folder / f"{name}.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture
def catalogue(tmp_path: Path, draw_photo: Any) -> Catalogue:
    return Catalogue(tmp_path / "catalogue", draw_photo)


@pytest.fixture
def gallery(tmp_path: Path, draw_photo: Any) -> Catalogue:
    return Catalogue(tmp_path / "gallery", draw_photo)


def relabelled(bundle: Bundle, out: Path, **changes: Any) -> Path:
    """Writes a bundle again with something else in its manifest."""
    names = ("name", "labels", "architecture", "preprocessing", "outputs", "metrics")
    facts = {name: getattr(bundle.manifest, name) for name in names}
    files = {name: bundle.file(name) for name in bundle.manifest.files}
    return bundles.write(out, **(facts | {"version": "", "files": files} | changes)).path


def test_a_bundle_has_the_figures_of_its_run_on_the_same_photos(
    data: Path, run: Path, bundle: Path, marketplace: Path, scratch: Path
) -> None:
    prepared = load_prepared(data)
    photos = prepared.photos[prepared.photos["split"] == "test"]
    (scratch / "raw/images").mkdir(parents=True)
    shutil.copyfile(marketplace / "Products.csv", scratch / "raw/Products.csv")
    rows = [f"0,{i},{p}" for i, p in zip(photos["image_id"], photos["product_id"], strict=True)]
    (scratch / "raw/Images.csv").write_text("\n".join([",id,product_id", *rows]) + "\n")
    for image_id, sha256 in zip(photos["image_id"], photos["sha256"], strict=True):
        source = prepared.image_folder / f"{sha256}.jpg"  # the very pixels that the run is given
        (scratch / f"raw/images/{image_id}.jpg").symlink_to(source)
    theirs = evaluate(data, run)
    mine = evaluate_bundle(bundle, scratch / "raw", file=scratch / "figures.json")

    assert json.loads((scratch / "figures.json").read_text()) == mine
    assert mine["skipped"] == []
    assert mine["photos"] == theirs["photos"] == len(photos)
    assert list(mine["per_class"]) == list(theirs["per_class"])
    counts = [[row["photos"] for row in m["per_class"].values()] for m in (mine, theirs)]
    assert counts[0] == counts[1]
    assert mine["temperature"] == pytest.approx(theirs["temperature"])
    assert list(mine["outputs"]) == ["category", "features"], "pooled features are no output"
    # bf16, where the CPU has it, keeps three digits: a photo or two may be guessed otherwise
    tolerance = 2.01 / len(photos)
    for name in ("accuracy", "accuracy_top3"):
        assert mine[name] == pytest.approx(theirs[name], abs=tolerance)
    for name in ("calibration_error", "calibration_error_scaled"):
        assert mine[name] == pytest.approx(theirs[name], abs=0.05)
    for output, figures in mine["outputs"].items():
        assert list(figures) == list(theirs["outputs"][output])
        for name, figure in figures.items():
            assert figure == pytest.approx(theirs["outputs"][output][name], abs=2 * tolerance)


def test_a_gallery_is_searched_too_without_the_judged_photos_themselves(
    tiny_bundle: Bundle, catalogue: Catalogue, gallery: Catalogue
) -> None:
    for number in range(3):
        catalogue.add(f"photo-{number}", f"listing-{number}", number)
        gallery.add(f"photo-{number}", f"listing-{number}", number)  # itself, so no neighbour
    # Listing 0's other photo looks the same; 1's is there, but beside copies of others' photos.
    gallery.add("twin-0", "listing-0", 0)
    gallery.add("twin-1", "listing-1", 50)
    for number in range(5):
        gallery.add(f"copy-{number}", f"other-{number}", 1, "category 5")
    alone = evaluate_bundle(tiny_bundle.path, catalogue.folder)
    more = evaluate_bundle(tiny_bundle.path, catalogue.folder, gallery=gallery.folder)

    assert "gallery" not in alone
    assert more["gallery"] == {"photos": 7, "skipped": []}
    assert alone["photos"] == more["photos"] == 3
    assert alone["accuracy"] == more["accuracy"]
    for output in ("category", "style"):
        assert alone["outputs"][output]["same_listing_recall_at_5"] == 0, "nobody has a twin"
        assert more["outputs"][output]["same_listing_recall_at_1"] == 0.5, "0's, of 0 and 1"
        assert more["outputs"][output]["same_listing_recall_at_10"] == 1
        # the others of the three are each other's only neighbours, and of the same category
        assert alone["outputs"][output]["precision_at_5"] == 1
        assert more["outputs"][output]["precision_at_5"] < 1, "the copies are of another"


def test_photos_that_cannot_be_read_are_skipped_and_listed(
    tiny_bundle: Bundle, catalogue: Catalogue, gallery: Catalogue, capsys: pytest.CaptureFixture
) -> None:
    catalogue.add("good", "listing", 1)
    catalogue.add("bad", "listing", None)
    catalogue.add("gone", "listing", 2)
    (catalogue.folder / "images/gone.jpg").unlink()
    gallery.add("worse", "another", None)
    gallery.add("fine", "another", 3)
    metrics = evaluate_bundle(tiny_bundle.path, catalogue.folder, gallery=gallery.folder)

    assert metrics["photos"] == 1
    bad, gone = metrics["skipped"]
    assert bad.startswith("bad.jpg: image is not one of JPEG, ")
    assert gone == "gone.jpg: no such file"
    assert metrics["gallery"]["photos"] == 1
    assert metrics["gallery"]["skipped"][0].startswith("worse.jpg: ")


def test_a_catalogue_without_a_readable_photo_is_refused_with_the_reason(
    tiny_bundle: Bundle, catalogue: Catalogue
) -> None:
    catalogue.add("gone", "listing", 2)
    (catalogue.folder / "images/gone.jpg").unlink()
    with pytest.raises(TrainingError) as refused:
        evaluate_bundle(tiny_bundle.path, catalogue.folder)

    folder = catalogue.folder
    assert str(refused.value) == (
        f"{folder}: no photo of a complete listing to judge: gone.jpg: no such file"
    )


def test_a_listing_that_is_not_complete_is_not_judged(
    tiny_bundle: Bundle, catalogue: Catalogue
) -> None:
    catalogue.add("one", "whole", 1)
    catalogue.add("two", "priceless", 2)
    products = catalogue.folder / "Products.csv"
    lines = products.read_text().splitlines()
    lines[2] = lines[2].replace("£3.00", "N/A")
    products.write_text("\n".join(lines) + "\n")

    assert evaluate_bundle(tiny_bundle.path, catalogue.folder)["photos"] == 1


def test_a_bundle_of_leaf_categories_is_judged_by_them_and_an_unknown_one_is_wrong(
    tiny_bundle: Bundle, catalogue: Catalogue, scratch: Path
) -> None:
    leaves = tuple(f"Appliances / leaf {number}" for number in range(12))
    labels = (*leaves, "Home & Garden / Beds & Bedroom Furniture / Beds")
    path = relabelled(tiny_bundle, scratch / "leaves", labels=labels)
    catalogue.add("bed", "bed", 1, labels[-1])
    catalogue.add("leaf", "leaf", 2, "Appliances / leaf 3 ")
    catalogue.add("new", "new", 3, "Appliances / Kettles")
    catalogue.add("newer", "newer", 4, "Appliances / Kettles")
    catalogue.add("root", "root", 5, "Video Games & Consoles / Games")
    metrics = evaluate_bundle(path, catalogue.folder)

    counted = {name: row["photos"] for name, row in metrics["per_class"].items() if row["photos"]}
    assert counted == {labels[-1]: 1, leaves[3]: 1}
    assert metrics["photos"] == 5
    assert metrics["accuracy_top3"] <= 2 / 5, "three cannot be right"
    # Two kettles are of one category, though the model has no name for it: 1 of 4 neighbours each.
    assert metrics["outputs"]["style"]["precision_at_5"] == pytest.approx(2 / (5 * 4))


def test_the_bundles_own_temperature_scales_its_confidences(
    tiny_bundle: Bundle, catalogue: Catalogue, scratch: Path
) -> None:
    for number in range(4):
        catalogue.add(f"photo-{number}", f"listing-{number}", number)
    plain = evaluate_bundle(tiny_bundle.path, catalogue.folder, precision="fp32")
    path = relabelled(tiny_bundle, scratch / "hot", metrics={"temperature": 1000.0})
    scaled = evaluate_bundle(path, catalogue.folder, precision="fp32")

    assert "temperature" not in plain
    assert "calibration_error_scaled" not in plain
    assert plain["precision"] == "fp32"
    assert scaled["temperature"] == 1000
    # Every confidence is then 1/13.
    even = calibration(np.zeros((4, 13), np.float32), np.zeros(4, np.int64)).confidence
    expected = abs(scaled["accuracy"] - np.nanmax(even))
    assert scaled["calibration_error_scaled"] == pytest.approx(expected, abs=1e-3)


def test_a_bundle_that_does_not_classify_is_refused(
    tiny_bundle: Bundle, catalogue: Catalogue, scratch: Path
) -> None:
    outputs = (Output("category", 13, "embedding"), Output("style", 4, "embedding"))
    path = relabelled(tiny_bundle, scratch / "other", outputs=outputs)
    catalogue.add("photo", "listing", 1)
    with pytest.raises(TrainingError) as refused:
        evaluate_bundle(path, catalogue.folder)

    assert str(refused.value) == f"{path}: the bundle has no logits named 'category'"


def test_a_report_of_a_bundle_lists_what_was_skipped(
    tiny_bundle: Bundle, catalogue: Catalogue, scratch: Path
) -> None:
    for number in range(3):
        catalogue.add(f"photo-{number}", f"listing-{number}", number)
    catalogue.add("bad", "listing-1", None)
    metrics = evaluate_bundle(tiny_bundle.path, catalogue.folder, report=scratch / "report")
    text = (scratch / "report/report.md").read_text()

    assert text.startswith(f"# {tiny_bundle.manifest.name} ")
    assert f"\n- {metrics['skipped'][0]}\n" in text
    assert "How training went" not in text
    assert json.loads((scratch / "report/metrics.json").read_text()) == metrics
    assert len(read_images(catalogue.folder / "Images.csv")) == 4

"""A run becomes a bundle that computes what torch computes, or nothing is written at all."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openvino
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

import training.export
import training.parity
from lookalike.catalogue.categories import CATEGORIES
from lookalike.files import FileError, read_json
from lookalike.model import bundle as bundles
from lookalike.model.bundle import Parity, Variant
from lookalike.model.engines import load_engine
from training.dataset import load_pixels
from training.errors import TrainingError
from training.evaluate import evaluate_bundle, load_run
from training.export import NOT_FITTED, PARITY_TOLERANCE, export
from training.prepare import load_prepared

Change = Callable[[dict[str, torch.Tensor]], object]


@pytest.fixture(scope="module")
def photos(data: Path) -> NDArray[np.uint8]:
    prepared = load_prepared(data)
    return np.stack([load_pixels(prepared, name, 32) for name in prepared.photos["sha256"][:40]])


@pytest.fixture
def no_conversion(converted: openvino.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Saves the seconds of a conversion, and of making and judging variants.

    Each conversion is said to give the network of the run, and int8 is said to have missed.
    """
    parity = Parity(9, 0.9, 0.5, 0.0, {"category": 1.0}, {"category": 1.0})
    monkeypatch.setattr(training.export, "to_openvino", lambda *_: converted)
    monkeypatch.setattr(training.export, "quantise", lambda *_: None)
    monkeypatch.setattr(training.export, "_judged", lambda *_: {"int8": Variant("", False, parity)})


@pytest.fixture
def own_bundle(bundle: Path, scratch: Path) -> Path:
    """A bundle that the test may change."""
    shutil.copytree(bundle, scratch / "bundle")
    return scratch / "bundle"


def times(folder: Path) -> dict[Path, int]:
    return {file: file.stat().st_mtime_ns for file in folder.rglob("*")}


def change_weights(run: Path, change: Change) -> None:
    """Changes weights of a run whose weights are a link."""
    weights = run / "model.safetensors"
    state = load_file(weights)
    change(state)
    weights.unlink()
    save_file(state, weights)


def test_the_bundle_loads_and_tells_where_it_comes_from(bundle: Path, run: Path) -> None:
    manifest = bundles.load(bundle).manifest

    assert manifest.labels == CATEGORIES
    assert [(o.name, o.dimension, o.kind) for o in manifest.outputs] == [
        ("category", 13, "logits"),
        ("features", 128, "embedding"),
    ]
    assert (manifest.preprocessing.size, manifest.architecture.head_units) == (32, 16)
    assert manifest.version == manifest.embedding_space[:12]
    assert (bundle / bundles.WEIGHTS).read_bytes() == (run / "model.safetensors").read_bytes()
    evaluated = read_json(run / "metrics.json", "metrics")
    difference = manifest.metrics["export_max_difference"]
    assert manifest.metrics == {**evaluated, "export_max_difference": difference}
    assert 0 <= difference <= PARITY_TOLERANCE


@pytest.mark.usefixtures("no_conversion")
def test_fp32_that_misses_a_limit_is_an_error_and_nothing_is_written(
    data: Path, run: Path, own_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = times(own_bundle)
    # A bundle that was judged by other limits is not kept, so it is judged once more.
    monkeypatch.setattr(training.parity, "LEAST_COSINE_MEAN", 1.1)
    with pytest.raises(TrainingError, match=r"does not answer as torch: mean cosine of category"):
        export(data, run, own_bundle)

    assert times(own_bundle) == before


def test_openvino_and_torch_agree_on_the_bundle(
    bundle: Path, run: Path, photos: NDArray[np.uint8]
) -> None:
    loaded = bundles.load(bundle)
    exported, reference = (
        load_engine(loaded, name=name, precision="fp32", threads=2).infer(photos)["category"]
        for name in ("openvino", "torch")
    )
    with torch.inference_mode():
        trained = load_run(run, len(CATEGORIES))[1](torch.from_numpy(photos))["category"].numpy()

    np.testing.assert_array_equal(reference, trained)
    np.testing.assert_allclose(exported, reference, atol=PARITY_TOLERANCE * reference.std())
    assert (exported.argmax(1) == reference.argmax(1)).mean() > 0.9


def test_the_same_run_again_keeps_the_bundle_and_converts_nothing(
    data: Path, run: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = times(bundle)
    monkeypatch.delattr(training.export, "to_openvino")
    kept = export(data, run, bundle)

    assert kept == bundles.load(bundle)
    assert times(bundle) == before


@pytest.mark.usefixtures("no_conversion")
def test_another_version_is_written_and_then_kept(
    data: Path,
    run: Path,
    own_bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = bundles.load(own_bundle).manifest
    export(data, run, own_bundle, version="2")
    second = bundles.load(own_bundle).manifest
    assert (second.version, second.embedding_space) == ("2", first.embedding_space)

    monkeypatch.delattr(training.export, "to_openvino")
    for version in ("", "2"):
        assert export(data, run, own_bundle, version=version).manifest == second


@pytest.mark.usefixtures("no_conversion")
def test_other_weights_replace_the_bundle_by_one_of_another_space(
    data: Path, own_run: Path, own_bundle: Path
) -> None:
    before = bundles.load(own_bundle).manifest
    change_weights(own_run, lambda state: state["heads.category.4.bias"].add_(1e-6))
    export(data, own_run, own_bundle)

    assert bundles.load(own_bundle).manifest.embedding_space != before.embedding_space
    weights = (own_run / "model.safetensors").read_bytes()
    assert (own_bundle / bundles.WEIGHTS).read_bytes() == weights
    assert list(own_bundle.parent.glob(".bundle*")) == [], "nothing is left aside"


def test_with_few_pairs_the_bundle_has_no_ranking_and_that_is_said(
    data: Path, run: Path, own_bundle: Path, no_conversion: None, capsys: pytest.CaptureFixture[str]
) -> None:
    export(data, run, own_bundle, version="3")

    manifest = bundles.load(own_bundle).manifest
    assert (manifest.ranking, manifest.price_range) == (None, None)
    told = capsys.readouterr().out
    assert "no ranking, likeness or range of prices is fitted: " in told
    assert "validation photos have another one of their listing; it takes 50" in told


@pytest.mark.usefixtures("no_conversion", "fits_few")
def test_a_bundle_without_the_ranking_that_can_be_fitted_is_made_anew_and_then_kept(
    data: Path,
    run: Path,
    own_bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = bundles.load(own_bundle).manifest
    assert before.ranking is None
    made = export(data, run, own_bundle).manifest

    assert bundles.load(own_bundle).manifest == made
    assert made.ranking is not None
    assert made.ranking.output == "features"
    assert made.price_range is not None
    assert made.embedding_space != before.embedding_space, "it ranks in another way"
    told = capsys.readouterr().out.splitlines()
    starts = ("ranking: features + ", "likeness: log-odds ", "prices: ")
    assert all(line.startswith(start) for line, start in zip(told, starts, strict=False))

    monkeypatch.delattr(training.export, "to_openvino")
    assert export(data, run, own_bundle).manifest == made


@pytest.mark.usefixtures("no_conversion", "fits_few")
def test_a_bundle_whose_likeness_cannot_be_fitted_is_made_once(
    data: Path, run: Path, own_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("training.fitting.fit_likeness", lambda *_: None)
        made = export(data, run, own_bundle).manifest
        assert made.ranking is None
        patched.delattr(training.export, "to_openvino")
        assert export(data, run, own_bundle).manifest == made

    monkeypatch.setattr("training.fitting.LEAST_SIBLINGS", 10**6)
    again = export(data, run, own_bundle).manifest
    assert again.metrics.keys() == made.metrics.keys() - {NOT_FITTED}, "it is not even tried"


@pytest.mark.usefixtures("no_conversion", "fits_few")
def test_a_bundle_is_judged_by_the_ranking_that_it_was_exported_with(
    data: Path, run: Path, own_bundle: Path, marketplace: Path
) -> None:
    ranking = export(data, run, own_bundle).manifest.ranking
    metrics = evaluate_bundle(own_bundle, marketplace)

    assert ranking is not None
    assert metrics["ranking"] == dataclasses.asdict(ranking)
    assert list(metrics["ranked"]) == list(metrics["likeness"]) == ["category", "features", "blend"]
    assert metrics["price"]["photos"] > 0.8 * metrics["photos"]
    assert "linear_median_error" not in metrics["price"], "nothing says what it learnt from"


@pytest.mark.usefixtures("no_conversion")
def test_a_damaged_bundle_is_made_anew(
    data: Path, run: Path, own_bundle: Path, bundle: Path
) -> None:
    (own_bundle / bundles.OPENVINO_WEIGHTS).write_bytes(b"damaged")
    export(data, run, own_bundle)

    space = bundles.load(bundle).manifest.embedding_space
    assert bundles.load(own_bundle).manifest.embedding_space == space


@pytest.mark.parametrize("name", ["photo.jpg", "nested/photo.jpg"])
def test_a_directory_that_is_no_bundle_is_not_replaced(
    data: Path, run: Path, scratch: Path, name: str
) -> None:
    out = scratch / "photos"
    (out / name).parent.mkdir(parents=True)
    (out / name).write_text("precious")
    with pytest.raises(TrainingError) as refused:
        export(data, run, out)

    assert str(refused.value) == f"{out}: is there already, and is not a bundle; name another --out"
    assert (out / name).read_text() == "precious"
    assert list(scratch.iterdir()) == [out.parent / "photos"]


def test_a_file_is_not_replaced(data: Path, run: Path, scratch: Path) -> None:
    (scratch / "bundle").write_text("precious")
    with pytest.raises(TrainingError, match="is not a bundle; name another --out"):
        export(data, run, scratch / "bundle")

    assert (scratch / "bundle").read_text() == "precious"


def test_a_run_that_was_not_evaluated_is_refused(data: Path, own_run: Path, scratch: Path) -> None:
    (own_run / "metrics.json").unlink()
    with pytest.raises(FileError) as refused:
        export(data, own_run, scratch / "bundle")

    assert str(refused.value) == (
        f"{own_run / 'metrics.json'}: missing; "
        "expected a run's metrics; run `training evaluate` first"
    )
    assert not (scratch / "bundle").exists()


def shift_one_weight(state: dict[str, torch.Tensor]) -> None:
    state["heads.category.4.bias"][3] += 0.1


def lose_one_weight(state: dict[str, torch.Tensor]) -> None:
    state["heads.category.4.weight"][3, 0] = float("nan")


@pytest.mark.parametrize("change", [shift_one_weight, lose_one_weight])
@pytest.mark.usefixtures("no_conversion")
def test_an_export_that_computes_something_else_is_refused_and_not_written(
    data: Path,
    own_run: Path,
    own_bundle: Path,
    change: Change,
) -> None:
    # The conversion is of the weights before the change.
    change_weights(own_run, change)
    before, folder = times(own_bundle), sorted(own_bundle.parent.iterdir())
    with pytest.raises(TrainingError, match=r"'category' differs from torch's by \S+ .*0\.01"):
        export(data, own_run, own_bundle)

    assert times(own_bundle) == before
    assert sorted(own_bundle.parent.iterdir()) == folder


@pytest.mark.usefixtures("no_conversion")
def test_a_disk_that_fills_up_leaves_the_old_bundle_and_nothing_half_written(
    data: Path,
    run: Path,
    own_bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    copied: list[Path] = []

    def copy_until_full(source: Path, target: Path) -> None:
        if copied:
            raise OSError(28, "No space left on device")
        copied.append(target)
        target.write_bytes(source.read_bytes()[:10])

    before = times(own_bundle)
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfile", copy_until_full)
        with pytest.raises(FileError, match="bundle: cannot be written: No space left"):
            export(data, run, own_bundle, version="2")

    assert copied
    assert times(own_bundle) == before
    assert list(own_bundle.parent.iterdir()) == [own_bundle]

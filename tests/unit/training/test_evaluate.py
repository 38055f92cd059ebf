"""Judging a run: on which photos, by which weights, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import training.report
from tests.unit.training.conftest import NEAREST
from training.config import TrainConfig
from training.errors import TrainingError
from training.evaluate import evaluate, evaluate_bundle, load_run
from training.judging import Predictions, comparable_prices, predictions_of_run
from training.prepare import Prepared, load_prepared, prepare
from training.splits import SPLITS


def rows_of(prepared: Prepared, split: str) -> np.ndarray:
    return (prepared.photos["split"] == split).to_numpy(copy=True)


def refusal(data: Path, run: Path) -> str:
    with pytest.raises(TrainingError) as refused:
        evaluate(data, run)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_the_photos_of_the_split_are_judged_and_no_others(
    data: Path, own_run: Path, split: str
) -> None:
    metrics = evaluate(data, own_run, split=split)
    photos = load_prepared(data).photos
    side = photos[photos["split"] == split]

    assert metrics["split"] == split
    assert metrics["photos"] == len(side)
    counted = [row["photos"] for row in metrics["per_class"].values()]
    assert counted == [(side["label"] == label).sum() for label in range(13)]
    assert json.loads((own_run / "metrics.json").read_text()) == metrics


def test_accuracy_is_that_of_the_runs_own_network(data: Path, own_run: Path) -> None:
    prepared = load_prepared(data)
    config, network = load_run(own_run, len(prepared.categories))
    judged = predictions_of_run(network, config, prepared, rows_of(prepared, "train"))

    accuracy = float((judged.outputs["category"].argmax(1) == judged.labels).mean())
    assert evaluate(data, own_run, split="train")["accuracy"] == pytest.approx(accuracy)


def test_frozen_features_and_the_whole_network_judge_alike(data: Path, run: Path) -> None:
    prepared = load_prepared(data)
    rows = rows_of(prepared, "test")
    config, network = load_run(run, len(prepared.categories))
    frozen = predictions_of_run(network, config, prepared, rows).outputs
    unfrozen = dataclasses.replace(config, stage="all")
    whole = predictions_of_run(network, unfrozen, prepared, rows).outputs

    assert list(frozen) == list(whole) == ["category", "features", "pooled"]
    for name, dimension in (("category", 13), ("features", 128), ("pooled", 2048)):
        assert frozen[name].shape == whole[name].shape == (rows.sum(), dimension)
        # bf16, where the CPU has it, keeps three digits
        np.testing.assert_allclose(frozen[name], whole[name], atol=0.05 * np.abs(whole[name]).max())


def test_every_output_is_judged_by_what_it_finds(data: Path, own_run: Path) -> None:
    metrics = evaluate(data, own_run)

    assert list(metrics["outputs"]) == ["category", "features", "pooled"]
    for figures in metrics["outputs"].values():
        assert list(figures) == [
            "precision_at_5",
            *(f"same_listing_recall_at_{k}" for k in (1, 5, 10)),
        ]
        recalls = list(figures.values())[1:]
        assert 0 <= recalls[0] <= recalls[1] <= recalls[2] <= 1
    assert 0 <= metrics["calibration_error_scaled"] <= 1
    assert metrics["temperature"] > 0


def test_the_temperature_is_fitted_to_validation_photos_alone(data: Path, own_run: Path) -> None:
    temperatures = {evaluate(data, own_run, split=split)["temperature"] for split in SPLITS}

    assert len(temperatures) == 1


def test_a_loaded_run_drops_nothing_out(data: Path, run: Path) -> None:
    _, network = load_run(run, 13)

    assert not any(module.training for module in network.modules())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("config.json", "missing; is this the directory of a run?"),
        ("run.json", "the run is not complete; `train` goes on with it"),
        ("model.safetensors", "cannot be loaded: "),
    ],
)
def test_a_run_that_lacks_a_file_is_refused(
    data: Path, own_run: Path, name: str, message: str
) -> None:
    (own_run / name).unlink()  # of the weights, the link alone
    refused = refusal(data, own_run)

    assert refused.startswith(str(own_run))
    assert message in refused


def test_weights_that_were_cut_short_are_refused_by_file(data: Path, own_run: Path) -> None:
    weights = own_run / "model.safetensors"
    half = weights.read_bytes()[:1000]
    weights.unlink()
    weights.write_bytes(half)

    assert refusal(data, own_run).startswith(f"{weights}: cannot be loaded: ")


def test_weights_of_another_head_are_refused_by_file(
    data: Path, own_run: Path, config: TrainConfig
) -> None:
    dataclasses.replace(config, head_units=8).save(own_run / "config.json")

    assert refusal(data, own_run).startswith(f"{own_run / 'model.safetensors'}: cannot be loaded: ")


def test_a_split_without_photos_is_refused(data: Path, run: Path, scratch: Path) -> None:
    for name in ("report.json", "categories.json", "listings.parquet"):
        (scratch / "data").mkdir(exist_ok=True)
        shutil.copyfile(data / name, scratch / "data" / name)
    photos = pd.read_parquet(data / "photos.parquet")
    photos[photos["split"] != "test"].to_parquet(scratch / "data/photos.parquet")

    assert refusal(scratch / "data", run) == f"{scratch / 'data'}: the test split holds no photo"


def test_other_data_than_the_runs_are_refused_since_it_may_have_seen_them(
    marketplace: Path, run: Path, scratch: Path
) -> None:
    prepare(marketplace, scratch / "data", image_size=32, seed=8)
    before = (run / "metrics.json").read_text()
    refused = refusal(scratch / "data", run)

    assert refused.startswith(f"{run / 'data.json'}: ")
    assert "(another seed)" in refused
    assert (run / "metrics.json").read_text() == before


def test_photos_that_were_replaced_are_other_data_too(
    data: Path, own_run: Path, scratch: Path
) -> None:
    known = json.loads((own_run / "data.json").read_text())
    (own_run / "data.json").write_text(json.dumps(known | {"photos": "others"}))
    assert "(another photos)" in refusal(data, own_run)

    del known["photos"]  # as in runs that were started before photos were remembered
    (own_run / "data.json").write_text(json.dumps(known))
    assert evaluate(data, own_run)["split"] == "test"


def test_all_photos_are_searched_for_the_splits_own(data: Path, own_run: Path) -> None:
    metrics = evaluate(data, own_run, all_photos=True)
    prepared = load_prepared(data)
    config, network = load_run(own_run, len(prepared.categories))
    everything = predictions_of_run(network, config, prepared, np.ones(len(prepared.photos), bool))
    vectors = everything.outputs["pooled"] / np.linalg.norm(
        everything.outputs["pooled"], axis=1, keepdims=True
    )
    distances = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    first = distances.argmin(axis=1)
    listings = everything.listings
    twins = np.array([(listings == listing).sum() > 1 for listing in listings])
    asked = rows_of(prepared, "test") & twins

    assert list(metrics["outputs_all_photos"]) == list(metrics["outputs"])
    by_hand = (listings[first] == listings)[asked].mean()
    # rounding may turn around two neighbours that are as near
    found = metrics["outputs_all_photos"]["pooled"]["same_listing_recall_at_1"]
    assert found == pytest.approx(by_hand, abs=1.01 / asked.sum())
    for name, figures in metrics["outputs"].items():
        more = metrics["outputs_all_photos"][name]
        assert more["same_listing_recall_at_10"] <= figures["same_listing_recall_at_10"]
    assert "outputs_all_photos" not in evaluate(data, own_run)


def test_with_few_pairs_to_fit_by_the_reason_is_told_and_the_rest_judged(
    data: Path, own_run: Path
) -> None:
    metrics = evaluate(data, own_run, all_photos=True)

    assert "validation photos have another one of their listing" in metrics["not_fitted"]
    assert not {"ranking", "ranked", "ranked_all_photos", "likeness", "price"} & set(metrics)


def test_a_ranking_is_fitted_to_validation_photos_alone_and_judged_on_the_split(
    data: Path, own_run: Path, fits_few: None
) -> None:
    by_split = {split: evaluate(data, own_run, split=split, all_photos=True) for split in SPLITS}
    test, train = by_split["test"], by_split["train"]

    for name in ("ranking", "price_range"):
        assert test[name] == train[name] == by_split["validation"][name]
    assert "not_fitted" not in test
    for metrics in by_split.values():
        for where in ("", "_all_photos"):
            ranked, outputs = metrics[f"ranked{where}"], metrics[f"outputs{where}"]
            assert list(ranked) == ["category", "features", "blend"]
            assert ranked["category"]["precision_at_5"] == pytest.approx(
                outputs["category"]["precision_at_5"], abs=0.01
            )
        assert metrics["likeness"]["blend"]["pairs"] == NEAREST * metrics["photos"]
        # the sample's cost something, but for a few
        assert 0.8 * metrics["photos"] <= metrics["price"]["photos"] <= metrics["photos"]
        assert {"linear_median_error", "log_linear_median_error"} < set(metrics["price"])
    assert test["likeness"] != train["likeness"]


def test_listings_are_judged_by_all_their_photos(data: Path, own_run: Path) -> None:
    metrics = evaluate(data, own_run)
    photos = load_prepared(data).photos.query("split == 'test'")

    assert metrics["by_listing"]["listings"] == photos["product_id"].nunique()
    assert 0 <= metrics["by_listing"]["accuracy"] <= 1


def test_prices_in_another_currency_than_most_are_not_compared() -> None:
    listings = pd.DataFrame({"price": [1.0, 2.0, 3.0], "currency": ["GBP", "EUR", "GBP"]})

    assert comparable_prices(listings).tolist() == [1, 0, 3]
    assert comparable_prices(listings.drop(columns="currency")).tolist() == [1, 2, 3]
    assert comparable_prices(listings[:0]).tolist() == []


def test_a_report_that_fails_leaves_the_figures_and_nothing_half_written(
    data: Path, own_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(folder: Path, *_: object, **__: object) -> None:
        (folder / "report.md").write_text("half")
        raise MemoryError

    (own_run / "metrics.json").unlink()
    (own_run / "report").mkdir()
    (own_run / "report/report.md").write_text("of earlier figures")
    before = {file.name for file in own_run.iterdir()}
    monkeypatch.setattr(training.report, "write_report", fail)
    with pytest.raises(MemoryError):
        evaluate(data, own_run, report=own_run / "report")

    assert json.loads((own_run / "metrics.json").read_text())["split"] == "test"
    assert {file.name for file in own_run.iterdir()} == before - {"report"} | {"metrics.json"}


def test_a_directory_that_is_no_report_is_not_replaced(data: Path, own_run: Path) -> None:
    photos = own_run / "photos"
    photos.mkdir()
    (photos / "precious.jpg").write_text("")
    before = (own_run / "metrics.json").stat().st_mtime_ns
    expected = f"{photos}: is there already, and is not a report of `evaluate`"
    with pytest.raises(TrainingError) as refused:
        evaluate(data, own_run, report=photos)
    assert str(refused.value) == expected
    with pytest.raises(TrainingError) as refused:
        evaluate_bundle(own_run, data, report=photos)

    assert str(refused.value) == expected
    assert (photos / "precious.jpg").exists()
    assert (own_run / "metrics.json").stat().st_mtime_ns == before


def test_a_category_that_is_no_class_is_labelled_as_none() -> None:
    judged = Predictions(
        ("a / b", "a / c"),
        {"category": np.array([[1, 0], [0, 1], [0, 1]], np.float32)},
        np.array(["a / b", "a / d", "a / c"]),
        np.array(["1", "2", "3"]),
        np.array(["1.jpg", "2.jpg", "3.jpg"]),
        np.array(["x", "y", "z"]),
        np.array([5.0, 0.0, 7.0]),
    )

    assert judged.labels.tolist() == [0, -1, 1]
    assert judged.guesses.tolist() == ["a / b", "a / c", "a / c"]
    kept = judged.only(np.array([False, True, True]))
    assert kept.labels.tolist() == [-1, 1]
    assert kept.photos.tolist() == ["2.jpg", "3.jpg"]
    assert kept.contents.tolist() == ["y", "z"]
    assert kept.prices.tolist() == [0, 7]
    assert len(kept) == 2

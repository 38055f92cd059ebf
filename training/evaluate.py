"""Evaluates a run on held-out photos, or a bundle on any catalogue."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load_file

from lookalike.cpu import available_cores
from lookalike.files import whole_directory, write_json
from lookalike.model import bundle as bundles
from lookalike.model.bundle import Preprocessing
from lookalike.model.engines import load_engine
from lookalike.model.engines.torch_network import Network
from training.answers import Answers, found_in_order, judge_answers
from training.calibration import calibration, fit_temperature
from training.config import CATEGORY_OUTPUT, TrainConfig
from training.errors import TrainingError
from training.fitting import Fitted, fit
from training.judging import Predictions, predictions_of_bundle, predictions_of_run
from training.metrics import classification_metrics, listing_metrics
from training.model import architecture_of, outputs_of
from training.prepare import check_same_data, load_prepared
from training.retrieval import Catalogue, retrieval_metrics
from training.splits import SPLITS

REPORT = "report.md"


def evaluate(
    data: Path,
    run: Path,
    *,
    split: str = "test",
    all_photos: bool = False,
    report: Path | None = None,
) -> dict[str, Any]:
    """Evaluates a run on a split; returns the figures and writes them to the run's metrics.json.

    Args:
        data: The prepared data set that the run was trained on.
        run: A complete run.
        split: `train`, `validation` or `test`.
        all_photos: Also search among the photos of all splits.
        report: Directory for a report with plots; an earlier report there is replaced.
    """
    check_replaceable(report)
    prepared = load_prepared(data).labelled(TrainConfig.load(run / "config.json").labels)
    # Another split could evaluate the run on its training photos.
    check_same_data(prepared, run, "give the data set that it was trained on")
    config, network = load_run(run, len(prepared.categories))
    splits = prepared.photos["split"].to_numpy().astype(np.str_)
    for name in (split, "validation"):
        if name not in splits:
            raise TrainingError(f"{prepared.path}: the {name} split holds no photo")
    whole = all_photos or bool(config.embeddings)  # a ranking is fitted among all photos
    needed = np.isin(splits, SPLITS if whole else (split, "validation"))
    everything, splits = predictions_of_run(network, config, prepared, needed), splits[needed]
    judged, chosen = everything.only(splits == split), everything.only(splits == "validation")
    # On validation photos: nothing may be fitted to the evaluated ones.
    temperature = fit_temperature(chosen.logits, chosen.labels)
    fitted = fit(everything, splits)
    metrics = {"split": split, **_figures(judged, temperature), **_about(fitted)}
    if all_photos:
        metrics["outputs_all_photos"] = _found(judged, everything.only(splits != split))
    answers = Answers()
    if fitted.ranking is not None:
        metrics["ranked"] = found_in_order(fitted.ranking, judged)
        queries, learnt = np.flatnonzero(splits == split), splits == "train"
        answers = judge_answers(
            fitted.ranking, fitted.price_range, everything, queries, learnt=learnt
        )
        among_all = answers.metrics.pop("ranked")
        metrics |= answers.metrics
        if all_photos:
            metrics["ranked_all_photos"] = among_all
    title = f"{run.resolve().name}, {split} split"
    _write(metrics, judged, answers, run / "metrics.json", report, title=title, run=run)
    return metrics


def evaluate_bundle(
    bundle_path: Path,
    data: Path,
    *,
    gallery: Path | None = None,
    file: Path | None = None,
    report: Path | None = None,
    precision: str = "auto",
) -> dict[str, Any]:
    """Evaluates a bundle on a raw catalogue, all of whose listings count as unseen.

    Args:
        bundle_path: The model bundle, used with its own temperature, ranking and price range.
        data: The catalogue: Products.csv, Images.csv and images/.
        gallery: A catalogue to search as well; its photos with the id of an evaluated photo are
            left out, since they are the same.
        file: JSON to write.
        report: As for `evaluate`.
        precision: As the embedder's setting.
    """
    check_replaceable(report)
    try:
        bundle = bundles.load(bundle_path)
    except bundles.BundleError as error:
        raise TrainingError(str(error)) from None
    manifest = bundle.manifest
    engine = load_engine(bundle, name="openvino", precision=precision, threads=available_cores())
    judged, skipped = predictions_of_bundle(engine, bundle, data)
    more = None
    about: dict[str, Any] = {
        "model": f"{manifest.name} {manifest.version}",
        "embedding_space": manifest.embedding_space,
        "precision": engine.precision,
        "skipped": skipped,
    }
    if gallery is not None:
        more, unread = predictions_of_bundle(engine, bundle, gallery)
        names = {Path(photo).name for photo in judged.photos.tolist()}
        others = np.array([Path(photo).name not in names for photo in more.photos.tolist()], bool)
        more = more.only(others)
        about["gallery"] = {"photos": len(more), "skipped": unread}
    metrics = {
        **about,
        **_figures(judged, manifest.metrics.get("temperature"), more),
        **_about(Fitted(manifest.ranking, manifest.price_range)),
    }
    answers = Answers()
    if manifest.ranking is not None:
        pool = judged if more is None else judged.and_then(more)
        queries = np.arange(len(judged))
        answers = judge_answers(manifest.ranking, manifest.price_range, pool, queries)
        metrics |= answers.metrics
    title = f"{manifest.name} {manifest.version} on {data.resolve().name}"
    _write(metrics, judged, answers, file, report, title=title)
    return metrics


def load_run(run: Path, classes: int) -> tuple[TrainConfig, Network]:
    """Loads a complete run's settings and trained network."""
    config = TrainConfig.load(run / "config.json")
    if not (run / "run.json").exists():
        raise TrainingError(f"{run}: the run is not complete; `train` goes on with it")
    preprocessing = Preprocessing(config.image_size)
    network = Network(architecture_of(config), preprocessing, outputs_of(config, classes))
    try:
        network.load_state_dict(load_file(run / "model.safetensors"))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise TrainingError(f"{run / 'model.safetensors'}: cannot be loaded: {reason}") from None
    return config, network.eval()


def _figures(
    judged: Predictions, temperature: float | None, gallery: Predictions | None = None
) -> dict[str, Any]:
    """Returns the figures that exist for any model."""
    metrics = {
        **classification_metrics(judged.logits, judged.labels, judged.classes),
        "calibration_error": calibration(judged.logits, judged.labels).error,
    }
    if temperature is not None:
        scaled = calibration(judged.logits, judged.labels, temperature)
        metrics |= {"temperature": temperature, "calibration_error_scaled": scaled.error}
    together = listing_metrics(judged.logits, judged.labels, judged.listings)
    return {**metrics, "by_listing": together, "outputs": _found(judged, gallery)}


def _about(fitted: Fitted) -> dict[str, Any]:
    """Returns the fitted ranking and price range for metrics.json, or why they are missing."""
    about: dict[str, Any] = {}
    if fitted.ranking is not None:
        about["ranking"] = dataclasses.asdict(fitted.ranking)
    if fitted.price_range is not None:
        about["price_range"] = dataclasses.asdict(fitted.price_range)
    if fitted.lacking:
        about["not_fitted"] = fitted.lacking
    return about


def _found(judged: Predictions, gallery: Predictions | None) -> dict[str, dict[str, float]]:
    """Returns the retrieval figures of each output."""

    def catalogue(photos: Predictions, output: str) -> Catalogue:
        return Catalogue(photos.outputs[output], photos.categories, photos.listings)

    return {
        output: retrieval_metrics(
            catalogue(judged, output),
            # Logits are searched by distance, as in the index; embeddings are unit vectors.
            cosine=output != CATEGORY_OUTPUT,
            gallery=None if gallery is None else catalogue(gallery, output),
        )
        for output in judged.outputs
    }


def _write(
    metrics: dict[str, Any],
    judged: Predictions,
    answers: Answers,
    file: Path | None,
    report: Path | None,
    *,
    title: str,
    run: Path | None = None,
) -> None:
    """Writes the figures first, since they took longest, and then the report."""
    if report is not None:
        remove_report(report)  # stale, should drawing the new one fail
    if file is not None:
        write_json(file, metrics)
    if report is not None:
        # Plotting libraries take seconds to import, and `export` needs this module too.
        from training.report import write_report

        with whole_directory(report) as aside:
            write_report(aside, judged, metrics, title=title, likeness=answers.likeness, run=run)


def check_replaceable(report: Path | None) -> None:
    """Raises TrainingError unless the directory is free or a report, since it gets replaced."""
    if report is None or not report.exists() or (report / REPORT).is_file():
        return
    if not report.is_dir() or any(report.iterdir()):
        raise TrainingError(f"{report}: is there already, and is not a report of `evaluate`")


def remove_report(report: Path) -> None:
    check_replaceable(report)
    if report.exists():
        shutil.rmtree(report)

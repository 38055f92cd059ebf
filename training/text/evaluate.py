"""Evaluates photos, words and both together on the same held-out listings."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lookalike.catalogue.words import cleaned
from lookalike.files import whole_directory, write_json
from training.calibration import calibration
from training.config import CATEGORY_OUTPUT, FEATURES_OUTPUT, TrainConfig
from training.errors import TrainingError
from training.evaluate import check_replaceable, load_run, remove_report
from training.judging import Predictions, predictions_of_run
from training.metrics import mean_by_listing
from training.prepare import Prepared, check_same_data, load_prepared
from training.text.config import TextConfig
from training.text.data import Texts, texts_of
from training.text.encoder import load_encoder
from training.text.frozen import fit_projection, projected, sentence_vectors
from training.text.fusion import fit_fusion
from training.text.judged import BOTH, PHOTOS, WORDS, Judged
from training.text.train import load_text_run, text_outputs

RECALL_AT = 10
REPORT = "report"

Outputs = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class _Side:
    """A split's listings that have a photo in it.

    Attributes:
        photos: What the photos' network says, one row a photo.
        place: The row of each photo's listing.
        texts: The row of each listing among the texts.
        labels: Of each listing.
        means: The mean logits of each listing's photos.
        words: What the text tower says of each listing.
        titles: The same of its title alone.
    """

    photos: Predictions
    place: NDArray[np.intp]
    texts: NDArray[np.intp]
    labels: NDArray[np.int64]
    means: NDArray[np.float32]
    words: Outputs
    titles: Outputs


def evaluate_text(
    data: Path, run: Path, text: Path, *, split: str = "test", report: bool = False
) -> dict[str, Any]:
    """Evaluates both towers of a split; returns the figures and writes the text run's metrics.json.

    The fusion is fitted on the validation split.

    Args:
        data: The prepared data set that both were trained on.
        run: The run of the photos' network.
        text: The complete text run.
        split: `train`, `validation` or `test`.
        report: Write a report with plots into the text run's report/; an earlier one is replaced.
    """
    folder = text / REPORT
    if report:
        check_replaceable(folder)
    prepared = load_prepared(data).labelled(TrainConfig.load(run / "config.json").labels)
    check_same_data(prepared, run, "give the data set that it was trained on")
    config, network = load_run(run, len(prepared.categories))
    tower, tokenizer = load_text_run(text, run, len(prepared.categories))
    splits = prepared.photos["split"].to_numpy().astype(np.str_)
    for name in (split, "validation"):
        if name not in splits:
            raise TrainingError(f"{prepared.path}: the {name} split holds no photo")
    texts = texts_of(prepared, tokenizer)

    def side(name: str) -> _Side:
        photos = predictions_of_run(network, config, prepared, splits == name)
        return _side(photos, texts, tower)

    fitted, judged = side("validation"), side(split)
    fusion = fit_fusion(fitted.means, fitted.words[CATEGORY_OUTPUT], fitted.labels)
    words = judged.words[CATEGORY_OUTPUT]
    said = {
        PHOTOS: fusion(judged.means, None),
        "title": fusion(None, judged.titles[CATEGORY_OUTPUT]),
        WORDS: fusion(None, words),
        BOTH: fusion(judged.means, words),
    }
    metrics = {
        "split": split,
        "listings": len(judged.labels),
        "photos": len(judged.photos),
        "fusion": dataclasses.asdict(fusion),
        "temperature": 1 / fusion.words_alone,
        "by": {
            "one photo": _of_one_photo(judged.photos, fusion(judged.photos.logits, None)),
            **{name: _figures(judged, logits) for name, logits in said.items()},
        },
    }
    if FEATURES_OUTPUT in judged.words:
        known = predictions_of_run(network, config, prepared, splits == "train")
        metrics["own_photo"] = _own_photo(judged, known, texts, text)
    write_json(text / "metrics.json", metrics)
    if report:
        shown = _judged(prepared, texts, judged, {way: said[way] for way in (PHOTOS, WORDS, BOTH)})
        remove_report(folder)
        # Plotting libraries take seconds to import.
        from training.report.words import write_words_report

        title = f"{text.resolve().name} beside {run.resolve().name}, {split} split"
        with whole_directory(folder) as aside:
            write_words_report(aside, shown, metrics, title=title, run=text)
    return metrics


def own_photo_found(words: NDArray[np.float32], photos: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Returns which photos are among the first 10 found by their listing's words.

    Args:
        words: Unit vectors of shape (photos, dimension).
        photos: Likewise; row by row those of the same listing.
    """
    cosines = words @ photos.T
    nearer = (cosines > cosines.diagonal()[:, None]).sum(axis=1)
    found: NDArray[np.bool_] = nearer < RECALL_AT
    return found


def _side(photos: Predictions, texts: Texts, tower: Any) -> _Side:
    listings, first, place = np.unique(photos.listings, return_index=True, return_inverse=True)
    number = {product: row for row, product in enumerate(texts.products.tolist())}
    rows = np.array([number[listing] for listing in listings.tolist()], np.intp)

    def outputs(tokens: list[list[int]]) -> Outputs:
        return text_outputs(tower, [tokens[row] for row in rows])

    sums = np.zeros((len(rows), photos.logits.shape[1]), np.float32)
    np.add.at(sums, place, photos.logits)
    sums /= np.bincount(place)[:, None]
    labels = photos.labels[first]
    return _Side(photos, place, rows, labels, sums, outputs(texts.whole), outputs(texts.titles))


def _figures(side: _Side, logits: NDArray[np.float32]) -> dict[str, float]:
    """Returns the figures of what is said of listings."""
    right = logits.argmax(axis=1) == side.labels
    return {
        "accuracy": float(right[side.place].mean()),
        "accuracy_by_listing": float(right.mean()),
        "accuracy_by_listing_top3": float(_among_first(logits, side.labels).mean()),
        "calibration_error": calibration(logits, side.labels).error,
    }


def _of_one_photo(photos: Predictions, logits: NDArray[np.float32]) -> dict[str, float]:
    """Returns the figures of what is said of each photo; of a listing, the mean over its own."""
    right = logits.argmax(axis=1) == photos.labels
    top = _among_first(logits, photos.labels)
    return {
        "accuracy": float(right.mean()),
        "accuracy_by_listing": mean_by_listing(right, photos.listings),
        "accuracy_by_listing_top3": mean_by_listing(top, photos.listings),
        "calibration_error": calibration(logits, photos.labels).error,
    }


def _among_first(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    ranked = np.argsort(-logits, axis=1, kind="stable")[:, :3]
    among: NDArray[np.bool_] = (ranked == labels[:, None]).any(axis=1)
    return among


def _own_photo(
    judged: _Side, known: Predictions, texts: Texts, text: Path
) -> dict[str, dict[str, float]]:
    photos = judged.photos.outputs[FEATURES_OUTPUT]
    ways = {"title": judged.titles[FEATURES_OUTPUT], "words": judged.words[FEATURES_OUTPUT]}
    ways["title, frozen towers"] = _by_frozen_towers(judged, known, texts, text)
    found = {}
    for name, vectors in ways.items():
        hits = own_photo_found(vectors[judged.place], photos)
        any_of = np.bincount(judged.place, hits) > 0
        found[name] = {"photos": float(hits.mean()), "listings": float(any_of.mean())}
    return found


def _by_frozen_towers(
    judged: _Side, known: Predictions, texts: Texts, text: Path
) -> NDArray[np.float32]:
    """Returns vectors of titles as a projection of a language model as it was downloaded."""
    config = TextConfig.load(text / "config.json")
    encoder = load_encoder(config.encoder)
    number = {product: row for row, product in enumerate(texts.products.tolist())}
    listings, owners = np.unique(known.listings, return_inverse=True)
    vectors = partial(sentence_vectors, encoder.model)
    rows = [number[listing] for listing in listings.tolist()]
    weights = fit_projection(
        vectors([texts.titles[row] for row in rows]),
        known.outputs[FEATURES_OUTPUT],
        owners,
        config.temperature,
    )
    titles = vectors([texts.titles[row] for row in judged.texts])
    return projected(torch.from_numpy(titles), torch.from_numpy(weights)).numpy()


def _judged(
    prepared: Prepared, texts: Texts, side: _Side, logits: dict[str, NDArray[np.float32]]
) -> Judged:
    titles = prepared.listings.set_index("product_id")["title"]
    _, first = np.unique(side.place, return_index=True)
    return Judged(
        prepared.categories,
        side.labels,
        [cleaned(titles[product]) for product in texts.products[side.texts].tolist()],
        side.photos.photos[first],
        logits,
    )

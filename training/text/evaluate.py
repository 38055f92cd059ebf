"""Evaluates photos, words and both together on the same held-out listings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lookalike.files import write_json
from training.calibration import calibration, fit_temperature
from training.config import CATEGORY_OUTPUT, FEATURES_OUTPUT, TrainConfig
from training.errors import TrainingError
from training.evaluate import load_run
from training.judging import Predictions, predictions_of_run
from training.metrics import mean_by_listing
from training.prepare import check_same_data, load_prepared
from training.text.data import Texts, texts_of
from training.text.fusion import Fusion, fit_fusion
from training.text.train import load_text_run, text_outputs

RECALL_AT = 10

Outputs = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class _Side:
    """A split: its photos, and the words of the listing of each.

    Attributes:
        photos: What the photos' network says.
        words: What the text tower says of each photo's listing, one row a photo.
        titles: The same of its title alone.
        together: The mean logits of all photos of each photo's listing.
    """

    photos: Predictions
    words: Outputs
    titles: Outputs
    together: NDArray[np.float32]


def evaluate_text(data: Path, run: Path, text: Path, *, split: str = "test") -> dict[str, Any]:
    """Evaluates both towers of a split; returns the figures and writes the text run's metrics.json.

    Temperatures and the fusion are fitted on the validation split.

    Args:
        data: The prepared data set that both were trained on.
        run: The run of the photos' network.
        text: The complete text run.
        split: `train`, `validation` or `test`.
    """
    prepared = load_prepared(data).labelled(TrainConfig.load(run / "config.json").labels)
    check_same_data(prepared, run, "give the data set that it was trained on")
    config, network = load_run(run, len(prepared.categories))
    tower, tokenizer = load_text_run(text, run, len(prepared.categories))
    splits = prepared.photos["split"].to_numpy().astype(np.str_)
    for name in (split, "validation"):
        if name not in splits:
            raise TrainingError(f"{prepared.path}: the {name} split holds no photo")
    texts = texts_of(prepared, tokenizer)
    rows = {product: row for row, product in enumerate(texts.products.tolist())}

    def side(name: str) -> _Side:
        photos = predictions_of_run(network, config, prepared, splits == name)
        return _side(photos, texts, np.array([rows[key] for key in photos.listings]), tower)

    fitted, judged = side("validation"), side(split)
    words = 1 / fit_temperature(fitted.words[CATEGORY_OUTPUT], fitted.photos.labels)
    alone = 1 / fit_temperature(fitted.photos.logits, fitted.photos.labels)
    fusion = fit_fusion(fitted.together, fitted.words[CATEGORY_OUTPUT], fitted.photos.labels)
    metrics = {
        "split": split,
        "listings": len(np.unique(judged.photos.listings)),
        "photos": len(judged.photos),
        "fusion": {"photos": fusion.photos, "words": fusion.words},
        "temperature": 1 / words,
        "by": {
            "one photo": _figures(judged, judged.photos.logits * np.float32(alone)),
            "all photos": _figures(judged, judged.together * np.float32(alone)),
            "title": _figures(judged, judged.titles[CATEGORY_OUTPUT] * np.float32(words)),
            "words": _figures(judged, judged.words[CATEGORY_OUTPUT] * np.float32(words)),
            "words and photos": _figures(judged, _both(judged, fusion)),
        },
    }
    if FEATURES_OUTPUT in judged.words:
        metrics["own_photo"] = {
            name: own_photo_recall(found[FEATURES_OUTPUT], judged.photos.outputs[FEATURES_OUTPUT])
            for name, found in (("title", judged.titles), ("words", judged.words))
        }
    write_json(text / "metrics.json", metrics)
    return metrics


def own_photo_recall(words: NDArray[np.float32], photos: NDArray[np.float32]) -> float:
    """Returns the share of photos that are among the first 10 found by their listing's words.

    Args:
        words: Unit vectors of shape (photos, dimension).
        photos: Likewise; row by row those of the same listing.
    """
    cosines = words @ photos.T
    nearer = (cosines > cosines.diagonal()[:, None]).sum(axis=1)
    return float((nearer < RECALL_AT).mean())


def _side(photos: Predictions, texts: Texts, rows: NDArray[np.intp], tower: Any) -> _Side:
    wanted, place = np.unique(rows, return_inverse=True)

    def outputs(tokens: list[list[int]]) -> Outputs:
        found = text_outputs(tower, [tokens[row] for row in wanted])
        return {name: values[place] for name, values in found.items()}

    sums = np.zeros((len(wanted), photos.logits.shape[1]), np.float32)
    np.add.at(sums, place, photos.logits)
    sums /= np.bincount(place)[:, None]
    return _Side(photos, outputs(texts.whole), outputs(texts.titles), sums[place])


def _both(side: _Side, fusion: Fusion) -> NDArray[np.float32]:
    return fusion(side.together, side.words[CATEGORY_OUTPUT])


def _figures(side: _Side, logits: NDArray[np.float32]) -> dict[str, float]:
    labels = side.photos.labels
    right = logits.argmax(axis=1) == labels
    return {
        "accuracy": float(right.mean()),
        "accuracy_by_listing": mean_by_listing(right, side.photos.listings),
        "calibration_error": calibration(logits, labels).error,
    }

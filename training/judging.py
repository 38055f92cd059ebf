"""Predictions: of a run's network on prepared photos, of a bundle on any raw catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from lookalike.catalogue.categories import CATEGORIES, PATH_SEPARATOR, roots_of
from lookalike.catalogue.photo_files import photo_path
from lookalike.model.bundle import Bundle
from lookalike.model.engines import Engine
from lookalike.model.engines.torch_network import LEVELS, Network
from lookalike.progress import track_photos
from training.config import CATEGORY_OUTPUT, TrainConfig
from training.embed import photo_vectors
from training.errors import TrainingError
from training.features import pooled_features
from training.prepare import Prepared
from training.ranking import Pool
from training.tabular import read_images, read_listings

POOLED = "pooled"


@dataclass(frozen=True)
class Predictions:
    """A model's outputs for photos, one row per photo, with the ground truth."""

    classes: tuple[str, ...]  # in the order of the logits
    outputs: dict[str, NDArray[np.float32]]  # (photos, dimension) by name
    categories: NDArray[np.str_]  # (photos,), true ones; may be missing among the classes
    listings: NDArray[np.str_]  # (photos,), ids
    photos: NDArray[np.str_]  # (photos,), files
    contents: NDArray[np.str_]  # (photos,), equal for files of the same bytes
    prices: NDArray[np.float64]  # (photos,), of their listings; 0 if not comparable

    def __len__(self) -> int:
        return len(self.listings)

    @property
    def logits(self) -> NDArray[np.float32]:
        """Of shape (photos, classes)."""
        return self.outputs[CATEGORY_OUTPUT]

    @property
    def labels(self) -> NDArray[np.int64]:
        """The index of each photo's true class, of shape (photos,).

        -1 if the model lacks that class, so that every prediction counts as wrong.
        """
        index = {name: number for number, name in enumerate(self.classes)}
        return np.array([index.get(name, -1) for name in self.categories.tolist()], np.int64)

    @property
    def guesses(self) -> NDArray[np.str_]:
        """The predicted class of each photo, of shape (photos,)."""
        guesses: NDArray[np.str_] = np.array(self.classes)[self.logits.argmax(axis=1)]
        return guesses

    def only(self, rows: NDArray[np.bool_]) -> Predictions:
        """Selects photos."""
        return Predictions(
            self.classes,
            {name: values[rows] for name, values in self.outputs.items()},
            self.categories[rows],
            self.listings[rows],
            self.photos[rows],
            self.contents[rows],
            self.prices[rows],
        )

    def and_then(self, others: Predictions) -> Predictions:
        """Appends other predictions of the same model."""
        mine, theirs = self.outputs, others.outputs
        return Predictions(
            self.classes,
            {name: np.concatenate([values, theirs[name]]) for name, values in mine.items()},
            np.concatenate([self.categories, others.categories]),
            np.concatenate([self.listings, others.listings]),
            np.concatenate([self.photos, others.photos]),
            np.concatenate([self.contents, others.contents]),
            np.concatenate([self.prices, others.prices]),
        )

    def pool(self, output: str) -> Pool:
        """Returns the photos as the index holds them, with an output to rank by."""
        return Pool(
            self.logits, self.outputs[output], self.categories, self.listings, self.contents
        )


def predictions_of_run(
    network: Network, config: TrainConfig, prepared: Prepared, rows: NDArray[np.bool_]
) -> Predictions:
    """Computes a run's outputs for prepared photos, and the last layer's pooled features.

    Args:
        network: The run's network.
        config: Its settings.
        prepared: The data set.
        rows: Mask of its photos.
    """
    pooled = torch.from_numpy(pooled_features(network, config, prepared, rows))
    with torch.inference_mode():
        outputs = {**network.heads_of(pooled), POOLED: pooled[:, -LEVELS["layer4"] :]}
    photos = prepared.photos[rows]
    listings = prepared.listings.assign(price=comparable_prices(prepared.listings))
    prices = listings.set_index("product_id")["price"]
    folder = prepared.image_folder
    return Predictions(
        prepared.categories,
        {name: np.asarray(values) for name, values in outputs.items()},
        np.array(prepared.categories)[photos["label"].to_numpy()],
        photos["product_id"].to_numpy().astype(np.str_),
        np.array([str(photo_path(folder, sha256)) for sha256 in photos["sha256"]], np.str_),
        photos["sha256"].to_numpy().astype(np.str_),
        photos["product_id"].map(prices).to_numpy(np.float64),
    )


def predictions_of_bundle(
    engine: Engine, bundle: Bundle, data: Path
) -> tuple[Predictions, list[str]]:
    """Computes a bundle's outputs for a raw catalogue; also returns why photos were skipped.

    Photos without a complete listing are left out, as in `embed`.

    Args:
        engine: The bundle's engine.
        bundle: The bundle; its `category` output must be logits.
        data: Holds Products.csv, Images.csv and images/.

    Raises:
        TrainingError: The bundle does not classify, the tables are unreadable, a root category is
            unknown, or no photo is left.
    """
    manifest = bundle.manifest
    if not any(o.name == CATEGORY_OUTPUT and o.kind == "logits" for o in manifest.outputs):
        raise TrainingError(f"{bundle.path}: the bundle has no logits named '{CATEGORY_OUTPUT}'")
    photos = _catalogue(data, manifest.labels)
    ids = photos["image_id"].tolist()
    judged = photo_vectors(engine, bundle, data / "images", ids)
    what = f"Judging {data.name} ({engine.precision})"
    found = list(track_photos(judged, what, total=len(ids)))
    problems = [photo.problem for photo in found if photo.problem]
    good = np.array([not photo.problem for photo in found], bool)
    if not good.any():
        reason = f": {problems[0]}" if problems else ""
        raise TrainingError(f"{data}: no photo of a complete listing to judge{reason}")
    photos = photos[good]
    files = [photo_path(data / "images", image_id) for image_id in photos["image_id"]]
    return Predictions(
        manifest.labels,
        {
            o.name: np.stack([photo.vectors[o.name] for photo in found if not photo.problem])
            for o in manifest.outputs
        },
        photos["category"].to_numpy().astype(np.str_),
        photos["product_id"].to_numpy().astype(np.str_),
        np.array([str(file) for file in files], np.str_),
        np.array([photo.sha256 for photo in found if not photo.problem], np.str_),
        photos["price"].to_numpy(np.float64),
    ), problems


def _catalogue(data: Path, classes: Sequence[str]) -> pd.DataFrame:
    """Returns image_id, product_id, category and price of each photo of a complete listing.

    The category is the listing's root, or its whole path for a model trained on paths.
    """
    by_path = any(PATH_SEPARATOR in name for name in classes)
    # A path unknown to the model counts as wrong, even under an unknown root.
    roots = roots_of([*classes, *CATEGORIES] if by_path else classes)
    listings = read_listings(data / "Products.csv", roots).table
    listings["category"] = listings["category"] if by_path else listings["root"]
    listings["price"] = comparable_prices(listings)
    return read_images(data / "Images.csv").merge(listings[["product_id", "category", "price"]])


def comparable_prices(listings: pd.DataFrame) -> pd.Series:
    """Returns the listings' prices; 0 for those not in the most frequent currency."""
    if "currency" not in listings or listings.empty:
        return listings["price"]
    currencies = listings["currency"]
    return listings["price"].where(currencies == currencies.mode().iloc[0], 0.0)

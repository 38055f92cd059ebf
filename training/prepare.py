"""Prepares raw listings and photos as a clean data set with splits.

categories.json   encoder and decoder between category and index
listings.parquet  one row per listing: product_id, title, category, root, label, price, …
photos.parquet    one row per good photo: image_id, product_id, label, sha256, split
images/<size>/    the photos, letterboxed, each named by the SHA-256 of its source file
report.json       what was read and dropped, and why; written last, it marks a complete data set
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lookalike.catalogue.categories import CATEGORIES
from lookalike.catalogue.photo_files import PhotoFolder
from lookalike.files import FileError, read_json, replacing, write_json
from lookalike.model.bundle import sha256_of
from lookalike.progress import track_photos
from training.errors import TrainingError
from training.images import CheckedPhoto, in_threads, prepare_photo
from training.inputs import none_usable, photo_states, state_of
from training.splits import PARTS, SPLITS, Parts, assign_splits, check_rule
from training.tabular import read_images, read_listings

PHOTOS_STATE = "photos_state"
PHOTOS_CONTENT = "photos_sha256"


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A prepared data set on disk."""

    path: Path
    listings: pd.DataFrame
    photos: pd.DataFrame
    categories: tuple[str, ...]
    report: dict[str, Any]

    @property
    def image_folder(self) -> Path:
        """The folder of the letterboxed photos, each named by its sha256."""
        return self.path / "images" / str(self.image_size)

    @property
    def image_size(self) -> int:
        """Side of the letterboxed photos, in pixels."""
        return int(self.report["options"]["image_size"])

    @property
    def identity(self) -> dict[str, Any]:
        """The options and a hash over all photos, which a run records."""
        identity = dict(self.report["options"])
        if PHOTOS_CONTENT in self.report:  # older data sets lack it
            identity["photos"] = self.report[PHOTOS_CONTENT]
        return identity

    def labelled(self, by: str) -> Prepared:
        """Returns the data set with `root` categories as labels, or whole paths (`leaf`)."""
        if by == "root":
            return self
        paths = self.listings.set_index("product_id")["category"]
        leaves = self.photos["product_id"].map(paths)
        categories = sorted(leaves.unique())
        labels = leaves.map({category: i for i, category in enumerate(categories)})
        return dataclasses.replace(
            self, photos=self.photos.assign(label=labels), categories=tuple(categories)
        )


def prepare(
    data: Path,
    out: Path,
    *,
    image_size: int = 256,
    split_by: str = "listing",
    split: Parts = PARTS,
    seed: int = 7,
) -> Prepared:
    """Cleans the catalogue in `data` into `out`; keeps finished work.

    Args:
        data: Holds Products.csv, Images.csv and images/.
        out: The prepared data set.
        image_size: Side of the letterboxed photos, in pixels.
        split_by: `listing` or `image`; see `assign_splits`.
        split: Shares of train, validation and test, of any sum.
        seed: Of the split.
    """
    if image_size < 1:
        raise TrainingError(f"image size is {image_size}; it must be at least 1")
    check_rule(split_by, split)
    options = {
        "products_sha256": sha256_of_input(data / "Products.csv"),
        "images_sha256": sha256_of_input(data / "Images.csv"),
        "image_size": image_size,
        "split_by": split_by,
        "split": list(split),
        "seed": seed,
    }
    state = state_of(photo_states(data / "images"))
    with contextlib.suppress(TrainingError, FileError):  # missing or damaged: prepare it again
        prepared = load_prepared(out)
        if prepared.report["options"] == options:
            if prepared.report.get(PHOTOS_STATE) == state:
                return prepared
            print(
                f"{out}: prepared anew, since photos in {data / 'images'} have changed (by name, "
                "size or time of change)"
            )
    listings = read_listings(data / "Products.csv", CATEGORIES)
    rows = read_images(data / "Images.csv")
    known = rows["product_id"].isin(listings.table["product_id"])
    rows = rows[known].reset_index(drop=True)
    if rows.empty:
        raise TrainingError(f"{data}: no photo of a complete listing to prepare")
    PhotoFolder(data / "images")  # says so if there is none
    folder = out / "images" / str(image_size)
    folder.mkdir(parents=True, exist_ok=True)
    (out / "report.json").unlink(missing_ok=True)

    def check(image_id: str) -> CheckedPhoto:
        return prepare_photo(image_id, data / "images", folder, image_size)

    ids = rows["image_id"].tolist()
    checked = list(track_photos(in_threads(check, ids), "Checking photos", total=len(ids)))
    rows["sha256"] = [photo.sha256 for photo in checked]
    problems = [photo.problem for photo in checked if photo.problem]
    if len(problems) == len(checked):
        raise none_usable(data / "images", problems)
    photos = rows[rows["sha256"] != ""].merge(listings.table[["product_id", "label"]])
    photos["split"] = assign_splits(photos, seed=seed, by=split_by, parts=split)
    with_photo = listings.table["product_id"].isin(photos["product_id"])
    report = {
        "options": options,
        PHOTOS_STATE: state,
        PHOTOS_CONTENT: hashlib.sha256("".join(photos["sha256"]).encode()).hexdigest(),
        "listings": len(listings.table),
        "listings_dropped": listings.dropped,
        "photos": len(photos),
        "photos_of_dropped_listings": int((~known).sum()),
        "photos_rejected": problems,
        "listings_without_photo": int((~with_photo).sum()),
        "photos_by_split": {s: int((photos["split"] == s).sum()) for s in SPLITS},
        "photos_by_category": _by_category(photos),
    }
    write_json(
        out / "categories.json",
        {
            "index_to_category": list(CATEGORIES),
            "category_to_index": {category: i for i, category in enumerate(CATEGORIES)},
        },
    )
    for name, table in (("listings", listings.table), ("photos", photos)):
        with replacing(out / f"{name}.parquet") as aside:
            table.to_parquet(aside, index=False)
    write_json(out / "report.json", report)
    return load_prepared(out)


def load_prepared(path: Path) -> Prepared:
    """Loads a prepared data set; TrainingError if it is missing, incomplete or damaged."""
    what = "a data set made by `training prepare`"
    report = read_json(path / "report.json", what)
    categories = read_json(path / "categories.json", what)
    for file, content, key in (
        ("report.json", report, "options"),
        ("categories.json", categories, "index_to_category"),
    ):
        if not isinstance(content, dict) or key not in content:
            raise TrainingError(f"{path / file}: not of {what}: it has no '{key}'")
    return Prepared(
        path,
        _read_table(path / "listings.parquet"),
        _read_table(path / "photos.parquet"),
        tuple(categories["index_to_category"]),
        report,
    )


def sample_photos(prepared: Prepared, split: str, most: int) -> pd.DataFrame:
    """Samples up to `most` photos of a split, each file once, with a fixed seed."""
    photos = prepared.photos[prepared.photos["split"] == split].drop_duplicates("sha256")
    if photos.empty:
        raise TrainingError(f"{prepared.path}: the {split} split holds no photo")
    order = np.random.default_rng(7).permutation(len(photos))
    return photos.iloc[order[:most]]


def check_same_data(prepared: Prepared, run: Path, advice: str) -> None:
    """Raises TrainingError if a run was started on other data."""
    file = run / "data.json"
    if not file.exists():
        return
    mine = prepared.identity
    # Older runs did not record their photos.
    theirs = {"photos": mine.get("photos")} | read_json(file, "what a run was trained on")
    changed = [name for name in mine if mine[name] != theirs.get(name)]
    if changed:
        raise TrainingError(
            f"{file}: the run was started on other data than {prepared.path} (another "
            f"{', '.join(changed)}); {advice}"
        )


def _read_table(file: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(file)
    except (OSError, ValueError) as error:
        raise TrainingError(f"{file}: cannot be read as a table: {error}") from None


def sha256_of_input(file: Path) -> str:
    """Returns the hash of an input file; empty if missing, which its reader will report."""
    return sha256_of(file) if file.is_file() else ""


def _by_category(photos: pd.DataFrame) -> dict[str, int]:
    counts = Counter(photos["label"])
    return {category: counts[i] for i, category in enumerate(CATEGORIES)}

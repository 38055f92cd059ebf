"""Embeds a catalogue's photos into a Parquet file, with the preprocessing and engine of serving.

One row per photo: image_id, product_id, category, title, description, price, location, currency,
sha256 (of the photo's file), and `vector:NAME`, a column of float32 lists, for each output NAME.
The file's metadata names the embedding space. As JSON, one output's vectors by image id are written
beside it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from lookalike.catalogue.categories import roots_of
from lookalike.catalogue.photo_files import PhotoFolder, photo_path
from lookalike.catalogue.vectors import as_text, column_of
from lookalike.cpu import available_cores
from lookalike.errors import LookalikeError
from lookalike.files import read_json, replacing, write_json
from lookalike.journal import Journal
from lookalike.limits import MAX_TEXT_LENGTH
from lookalike.model import bundle as bundles
from lookalike.model.bundle import Bundle
from lookalike.model.engines import Engine, PrecisionError, load_engine
from lookalike.model.engines.openvino_engine import precision_for
from lookalike.model.preprocessing import preprocess
from lookalike.progress import track_photos
from training import dictionary
from training.config import FEATURES_OUTPUT
from training.errors import TrainingError
from training.images import LIMITS, in_threads
from training.inputs import none_usable, photo_states, state_of
from training.tabular import read_images, read_listings

BATCH = 16
EMBEDDING_SPACE = b"embedding_space"
RANKED_BY = b"ranked_by"  # the output that listings are ranked by too
_KEY = b"made_from"
_WORK = "training embed"
_LAYOUT = 6  # raise it when the columns change, so that no file of the old layout is taken up


@dataclass(frozen=True, eq=False)
class EmbeddedPhoto:
    """The result of one photo.

    Attributes:
        problem: Why it has no vectors; empty for success.
        sha256: Of its file, in hexadecimal; empty if that could not be read.
        vectors: By output; empty for a photo with a problem.
    """

    problem: str = ""
    sha256: str = ""
    vectors: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)


@dataclass(frozen=True)
class EmbeddedCatalogue:
    """Output of `embed`: the file, its number of photos, and the photos that failed."""

    file: Path
    photos: int
    problems: Sequence[str]


def embed_as_json(
    bundle_path: Path, data: Path, out: Path, *, output: str = "", precision: str = "auto"
) -> EmbeddedCatalogue:
    """Embeds a catalogue as `embed` does, and writes one output's vectors by image id.

    Args:
        bundle_path: The model bundle.
        data: The catalogue.
        out: JSON file to write. The Parquet file of `embed` goes beside it: an interrupted run
            resumes from there, and another output needs no recomputation.
        output: Name of the output; empty for the default one.
        precision: As the embedder's setting.
    """
    vectors = out.with_suffix(".parquet")
    if out.suffix != ".json":
        raise TrainingError(f"{out}: does not end in .json; {vectors.name} is written beside it")
    outputs = [known.name for known in _load(bundle_path).manifest.outputs]
    name = output or outputs[0]
    if name not in outputs:
        raise TrainingError(
            f"{bundle_path}: the model has no output '{name}'; it has {', '.join(outputs)}"
        )
    dictionary.check_replaceable(out, vectors)
    embedded = embed(bundle_path, data, vectors, precision=precision)
    dictionary.write_dictionary(vectors, vector_column(name), out)
    return dataclasses.replace(embedded, file=out)


def embed(
    bundle_path: Path, data: Path, out: Path, *, precision: str = "auto"
) -> EmbeddedCatalogue:
    """Embeds every photo of a catalogue; resumes an interrupted run.

    Args:
        bundle_path: The model bundle.
        data: The catalogue: Products.csv, Images.csv and images/.
        out: Parquet file to write; photos that failed are listed beside it in a .problems.json.
        precision: As the embedder's setting.
    """
    bundle = _load(bundle_path)
    try:
        # The key holds the precision used, not the one requested (`auto`).
        precision = precision_for(bundle, precision)
    except PrecisionError as error:
        raise TrainingError(str(error)) from None
    photos = catalogue_photos(data, roots_of(bundle.manifest.labels))
    if photos.empty:
        raise TrainingError(f"{data}: no photo of a complete listing to embed")
    PhotoFolder(data / "images")  # says so if there is none
    key = _key(bundle, photos, precision)
    states = photo_states(data / "images")
    made_from = f"{key}-{state_of(states)}".encode()
    if out.exists():
        if _made_from(out) == made_from:
            problems = read_json(_problems_file(out), "the photos that failed")
            return EmbeddedCatalogue(out, pq.read_metadata(out).num_rows, problems)
        print(
            f"{out}: embedded anew, since the model, the precision, the listings or the photos (by "
            "name, size or time of change) are others"
        )
    journal = Journal(out.with_name(f".{out.name}.journal"), _WORK, {"made_from": key})
    with journal:
        todo = [i for i in photos["image_id"].tolist() if not journal.has(i, states.get(i, ""))]
        if todo:
            engine = load_engine(
                bundle, name="openvino", precision=precision, threads=available_cores()
            )
            work = zip(todo, photo_vectors(engine, bundle, data / "images", todo), strict=True)
            done = len(photos) - len(todo)
            what = f"Embedding ({engine.precision})"
            for image_id, photo in track_photos(work, what, total=len(photos), done=done):
                texts = {name: as_text(vector) for name, vector in photo.vectors.items()}
                journal.add(
                    image_id, states.get(image_id, ""),
                    problem=photo.problem, sha256=photo.sha256, vectors=texts,
                )  # fmt: skip
        table, problems = _table(bundle, photos, journal)
        if not len(table):
            raise none_usable(data / "images", problems)
        ranking = bundle.manifest.ranking
        metadata = {
            EMBEDDING_SPACE: bundle.manifest.embedding_space.encode(),
            RANKED_BY: (ranking.output if ranking else FEATURES_OUTPUT).encode(),
            _KEY: made_from,
        }
        write_json(_problems_file(out), problems)
        with replacing(out) as aside:
            pq.write_table(table.replace_schema_metadata(metadata), aside)
        journal.remove()
    return EmbeddedCatalogue(out, len(table), problems)


def catalogue_photos(data: Path, categories: Sequence[str]) -> pd.DataFrame:
    """Returns one row per photo of complete listings, with the fields that a hit shows."""
    listings = read_listings(data / "Products.csv", categories).table
    columns = ["product_id", "root", "title", "description", "price", "location", "currency"]
    # The index refuses longer ones, and models read no more than their beginning.
    listings["description"] = listings["description"].astype(str).str.slice(stop=MAX_TEXT_LENGTH)
    photos = read_images(data / "Images.csv").merge(listings[columns])
    return photos.rename(columns={"root": "category"})


def vector_column(output: str) -> str:
    """Returns the column of an output; the prefix avoids a clash with listing fields."""
    return f"vector:{output}"


def _load(path: Path) -> Bundle:
    try:
        return bundles.load(path)
    except bundles.BundleError as error:
        raise TrainingError(str(error)) from None


def photo_vectors(
    engine: Engine, bundle: Bundle, images: Path, image_ids: Sequence[str]
) -> Iterator[EmbeddedPhoto]:
    """Yields the result of each photo, in order.

    Args:
        engine: The bundle's.
        bundle: Names the preprocessing.
        images: Folder of a raw catalogue's photos.
        image_ids: The photos to embed.
    """
    size = bundle.manifest.preprocessing.size

    def load(image_id: str) -> tuple[EmbeddedPhoto, NDArray[np.uint8] | None]:
        file = photo_path(images, image_id)
        sha256 = ""
        try:
            encoded = file.read_bytes()
            sha256 = hashlib.sha256(encoded).hexdigest()
            return EmbeddedPhoto(sha256=sha256), preprocess(encoded, size, LIMITS)
        except FileNotFoundError:
            problem = "no such file"
        except OSError as error:
            problem = error.strerror or str(error)
        except LookalikeError as error:
            problem = error.message
        return EmbeddedPhoto(f"{file.name}: {problem}", sha256), None

    loaded = in_threads(load, image_ids)
    while some := list(itertools.islice(loaded, BATCH)):
        good = [pixels for _, pixels in some if pixels is not None]
        outputs = engine.infer(np.stack(good)) if good else {}
        rows = iter(range(len(good)))
        for photo, pixels in some:
            if pixels is None:
                yield photo
            else:
                row = next(rows)
                vectors = {name: values[row] for name, values in outputs.items()}
                yield dataclasses.replace(photo, vectors=vectors)


def _table(bundle: Bundle, photos: pd.DataFrame, journal: Journal) -> tuple[pa.Table, list[str]]:
    """Returns the photos with their vectors, and the problems of those that have none."""
    entries = {entry["id"]: entry for entry in journal.entries()}
    problems = photos["image_id"].map(lambda image_id: entries[image_id]["problem"])
    photos = photos[problems == ""]
    good = [entries[image_id] for image_id in photos["image_id"]]
    table = pa.Table.from_pandas(photos, preserve_index=False)
    hashes = pa.array([entry["sha256"] for entry in good], pa.string())
    table = table.append_column("sha256", hashes)
    for output in bundle.manifest.outputs:
        column = column_of((entry["vectors"][output.name] for entry in good), output.dimension)
        table = table.append_column(vector_column(output.name), column)
    return table, problems[problems != ""].tolist()


def _problems_file(out: Path) -> Path:
    return out.with_suffix(".problems.json")


def _made_from(out: Path) -> bytes:
    try:
        return bytes(pq.read_schema(out).metadata[_KEY])
    except (OSError, KeyError, TypeError, pa.ArrowInvalid):  # TypeError: it has no metadata
        raise TrainingError(f"{out}: is there already, and is not a file of `embed`") from None


def _key(bundle: Bundle, photos: pd.DataFrame, precision: str) -> str:
    """Returns a hash over everything that the vectors and rows depend on."""
    digest = hashlib.sha256(f"{_LAYOUT} {bundle.manifest.embedding_space} {precision}".encode())
    digest.update(photos.to_json().encode())
    return digest.hexdigest()[:16]

"""A catalogue's photos → vectors in Parquet, with a bundle and the code that serves it.

One row a photo: image_id, product_id, category, title, price, location, currency, sha256 (of the
photo's file), and `vector:NAME`, a column of float32 lists, for each output NAME. The file's
metadata names the embedding space. As JSON, one output's vectors by image id are written beside it.
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
from lookalike.catalogue.photo_files import photo_path
from lookalike.catalogue.vectors import as_text, column_of
from lookalike.cpu import available_cores
from lookalike.errors import LookalikeError
from lookalike.files import read_json, replacing, write_json
from lookalike.journal import Journal
from lookalike.model import bundle as bundles
from lookalike.model.bundle import Bundle
from lookalike.model.engines import Engine, PrecisionError, load_engine
from lookalike.model.engines.openvino_engine import precision_for
from lookalike.model.preprocessing import preprocess
from training import dictionary
from training.config import FEATURES_OUTPUT
from training.errors import TrainingError
from training.images import LIMITS, in_threads
from training.progress import track_photos
from training.tabular import read_images, read_listings

BATCH = 16
EMBEDDING_SPACE = b"embedding_space"
RANKED_BY = b"ranked_by"  # the output that listings are ranked by too
_KEY = b"made_from"
_WORK = "training embed"
_LAYOUT = 5  # raise it when the columns change, so that no file of the old layout is taken up


@dataclass(frozen=True, eq=False)
class EmbeddedPhoto:
    """What became of one photo.

    Attributes:
        problem: Why it has no vectors; empty if it has.
        sha256: Of its file, in hexadecimal; empty if that could not be read.
        vectors: By output; none for a photo with a problem.
    """

    problem: str = ""
    sha256: str = ""
    vectors: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)


@dataclass(frozen=True)
class EmbeddedCatalogue:
    """What `embed` wrote: the file, its number of photos, and what could not be embedded."""

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
        out: JSON file to write. What `embed` writes goes beside it, as .parquet: an interrupted run
            goes on from there, and another output is written without computing anything again.
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
    """Embeds every photo of a catalogue; an interrupted run goes on where it stopped.

    Args:
        bundle_path: The model bundle.
        data: The catalogue: Products.csv, Images.csv and images/.
        out: Parquet file to write; photos that failed are listed beside it in a .problems.json.
        precision: As the embedder's setting.
    """
    bundle = _load(bundle_path)
    try:
        # What is computed, not what is asked for, tells these vectors from others.
        precision = precision_for(bundle, precision)
    except PrecisionError as error:
        raise TrainingError(str(error)) from None
    photos = catalogue_photos(data, roots_of(bundle.manifest.labels))
    if photos.empty:
        raise TrainingError(f"{data}: no photo of a complete listing to embed")
    key = _key(bundle, photos, precision)
    if out.exists() and _made_from(out) == key.encode():
        problems = read_json(_problems_file(out), "the photos that failed")
        return EmbeddedCatalogue(out, pq.read_metadata(out).num_rows, problems)
    journal = Journal(out.with_name(f".{out.name}.journal"), _WORK, {"made_from": key})
    with journal:
        todo = [i for i in photos["image_id"].tolist() if not journal.has(i)]
        if todo:
            engine = load_engine(
                bundle, name="openvino", precision=precision, threads=available_cores()
            )
            work = zip(todo, photo_vectors(engine, bundle, data / "images", todo), strict=True)
            done = len(photos) - len(todo)
            what = f"Embedding ({engine.precision})"
            for image_id, photo in track_photos(work, what, total=len(photos), done=done):
                texts = {name: as_text(vector) for name, vector in photo.vectors.items()}
                journal.add(image_id, problem=photo.problem, sha256=photo.sha256, vectors=texts)
        table, problems = _table(bundle, photos, journal)
        ranking = bundle.manifest.ranking
        metadata = {
            EMBEDDING_SPACE: bundle.manifest.embedding_space.encode(),
            RANKED_BY: (ranking.output if ranking else FEATURES_OUTPUT).encode(),
            _KEY: key.encode(),
        }
        write_json(_problems_file(out), problems)
        with replacing(out) as aside:
            pq.write_table(table.replace_schema_metadata(metadata), aside)
        journal.remove()
    return EmbeddedCatalogue(out, len(table), problems)


def catalogue_photos(data: Path, categories: Sequence[str]) -> pd.DataFrame:
    """Returns one row a photo of a catalogue's clean listings, with what a hit should show."""
    listings = read_listings(data / "Products.csv", categories).table
    columns = ["product_id", "root", "title", "price", "location", "currency"]
    photos = read_images(data / "Images.csv").merge(listings[columns])
    return photos.rename(columns={"root": "category"})


def vector_column(output: str) -> str:
    """Returns the column that holds an output; its bare name may be one of the listing's too."""
    return f"vector:{output}"


def _load(path: Path) -> Bundle:
    try:
        return bundles.load(path)
    except bundles.BundleError as error:
        raise TrainingError(str(error)) from None


def photo_vectors(
    engine: Engine, bundle: Bundle, images: Path, image_ids: Sequence[str]
) -> Iterator[EmbeddedPhoto]:
    """Yields what becomes of each photo, in order.

    Args:
        engine: The bundle's.
        bundle: Says how photos are preprocessed.
        images: Folder of a raw catalogue's photos.
        image_ids: Which of them.
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
    """Returns what tells this embedding run from any other."""
    digest = hashlib.sha256(f"{_LAYOUT} {bundle.manifest.embedding_space} {precision}".encode())
    digest.update(photos.to_json().encode())
    return digest.hexdigest()[:16]

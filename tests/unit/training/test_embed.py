"""A catalogue's vectors: what a row holds, what is listed as failed, what a second run computes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import training.embed
from lookalike.catalogue.categories import CATEGORIES
from lookalike.catalogue.photo_files import photo_path
from lookalike.files import FileError
from lookalike.model import bundle as bundles
from lookalike.model.bundle import Bundle
from lookalike.model.engines import Engine, load_engine
from lookalike.model.preprocessing import preprocess
from sample.oddities import encode_jpeg
from training.embed import EMBEDDING_SPACE, catalogue_photos, embed, vector_column
from training.errors import TrainingError
from training.images import LIMITS

VECTOR = "vector:category"
FACTS = ("name", "labels", "architecture", "preprocessing", "outputs", "metrics", "variants")
BROKEN = ("empty", "truncated", "text", "missing")  # of the sample's oddities; one photo of each


class InterruptionError(Exception):
    """Ends an embedding halfway."""


class Counting:
    """An engine that counts photos, and may fail."""

    name = "openvino"

    def __init__(self, engine: Engine, fail_after: float) -> None:
        self.precision = engine.precision
        self.photos = 0
        self._engine = engine
        self._fail_after = fail_after

    def infer(self, batch: np.ndarray) -> dict[str, np.ndarray]:
        if self.photos + len(batch) > self._fail_after:
            raise InterruptionError
        self.photos += len(batch)
        return self._engine.infer(batch)


def counting(monkeypatch: pytest.MonkeyPatch, fail_after: float = float("inf")) -> list[Counting]:
    """Makes every engine a counting one; returns the list that they are put on."""
    engines: list[Counting] = []

    def load_counting(*arguments: Any, **options: Any) -> Counting:
        engines.append(Counting(load_engine(*arguments, **options), fail_after))
        return engines[-1]

    monkeypatch.setattr(training.embed, "load_engine", load_counting)
    return engines


def rewritten(bundle: Path, out: Path, **changes: Any) -> Path:
    """Writes the bundle again with something else in its manifest."""
    loaded = bundles.load(bundle)
    facts = {name: getattr(loaded.manifest, name) for name in FACTS}
    files = {name: loaded.file(name) for name in loaded.manifest.files}
    return bundles.write(out, **(facts | {"version": "", "files": files} | changes)).path


def catalogue(folder: Path, *, category: str = "Appliances", price: str = "£3.00") -> Path:
    """One listing with one photo, which is not there."""
    (folder / "images").mkdir(parents=True)
    header = ",id,product_name,category,product_description,price,location"
    listing = f"0,oven,Oven,{category},Hot.,{price},Leeds"
    (folder / "Products.csv").write_text(f"{header}\n{listing}\n")
    (folder / "Images.csv").write_text(",id,product_id\n0,photo,oven\n")
    return folder


def test_every_photo_of_a_clean_listing_is_a_row_or_a_problem(
    vectors: Path, marketplace: Path, bundle: Path
) -> None:
    photos = catalogue_photos(marketplace, bundles.load(bundle).manifest.labels)
    rows = pq.read_table(vectors).to_pandas()
    problems = json.loads(vectors.with_suffix(".problems.json").read_text())
    failed = [problem.split(".jpg: ")[0] for problem in problems]

    assert len(failed) == len(BROKEN)
    assert [i for i in photos["image_id"] if i not in failed] == rows["image_id"].tolist()
    assert set(failed) < set(photos["image_id"])
    reasons = " | ".join(sorted(problem.split(".jpg: ")[1] for problem in problems))
    assert reasons.startswith("image cannot be decoded: ")
    assert "| image is empty (0 bytes) | image is not one of JPEG, " in reasons
    assert reasons.endswith(" | no such file")


def test_a_row_tells_of_the_listing_beside_the_vector(vectors: Path, marketplace: Path) -> None:
    table = pq.read_table(vectors)
    about = ["image_id", "product_id", "category", "title", "description", "price", "location"]
    about.append("currency")
    listings = catalogue_photos(marketplace, CATEGORIES)

    assert table.column_names == [*about, "sha256", VECTOR, "vector:features"]
    assert vector_column("category") == VECTOR
    assert table.schema.field(VECTOR).type == pa.list_(pa.float32(), 13)
    rows = {row["image_id"]: row for row in table.select(about).to_pylist()}
    told = listings[listings["image_id"].isin(rows)].to_dict("records")
    assert told == list(rows.values())
    hashes = zip(rows, table["sha256"].to_pylist(), strict=True)
    assert all(
        sha256 == hashlib.sha256(photo_path(marketplace / "images", key).read_bytes()).hexdigest()
        for key, sha256 in hashes
    )


def test_the_files_metadata_name_the_embedding_space(vectors: Path, bundle: Path) -> None:
    space = bundles.load(bundle).manifest.embedding_space

    assert pq.read_schema(vectors).metadata[EMBEDDING_SPACE].decode() == space


def test_a_vector_is_the_engines_for_that_photo(
    vectors: Path, marketplace: Path, bundle: Path
) -> None:
    table = pq.read_table(vectors).to_pandas()
    engine = load_engine(bundles.load(bundle), name="openvino", precision="auto", threads=2)
    spread = np.stack(table[VECTOR]).std()
    for row in (0, 50, len(table) - 1):
        photo = photo_path(marketplace / "images", table["image_id"][row]).read_bytes()
        expected = engine.infer(preprocess(photo, 32, LIMITS)[None])["category"][0]
        # bf16, where the CPU has it, keeps three digits
        np.testing.assert_allclose(table[VECTOR][row], expected, atol=0.1 * spread)
    assert len(np.unique(np.stack(table[VECTOR]), axis=0)) > 0.9 * len(table)


def test_a_second_run_returns_at_once_and_touches_nothing(
    vectors: Path, marketplace: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = vectors.stat().st_mtime_ns
    monkeypatch.delattr(training.embed, "load_engine")
    again = embed(bundle, marketplace, vectors)

    assert again.photos == pq.read_metadata(vectors).num_rows
    assert len(again.problems) == len(BROKEN)
    assert vectors.stat().st_mtime_ns == before


def test_an_interrupted_run_goes_on_with_the_next_photos(
    vectors: Path, marketplace: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "vectors.parquet"
    whole = pq.read_table(vectors)
    with monkeypatch.context() as patched:
        counting(patched, fail_after=90)
        with pytest.raises(InterruptionError):
            embed(bundle, marketplace, out)
    assert not out.exists()
    assert not out.with_suffix(".problems.json").exists()
    _, *lines = (tmp_path / ".vectors.parquet.journal").read_text().splitlines()
    done = sum(not json.loads(line)["problem"] for line in lines)
    assert 60 < done <= 90

    engines = counting(monkeypatch)
    embedded = embed(bundle, marketplace, out)
    assert [engine.photos for engine in engines] == [len(whole) - done]
    assert embedded.photos == len(whole)
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "vectors.parquet",
        "vectors.problems.json",
    ]
    resumed = pq.read_table(out)
    assert resumed.drop_columns(VECTOR).equals(whole.drop_columns(VECTOR))
    assert len(embedded.problems) == len(BROKEN)
    again, before = (np.stack(table[VECTOR].to_numpy()) for table in (resumed, whole))
    np.testing.assert_allclose(again, before, atol=0.1 * before.std())  # batches were cut otherwise


def test_what_changed_since_an_interruption_has_it_begin_anew(
    vectors: Path, marketplace: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "vectors.parquet"
    with monkeypatch.context() as patched:
        counting(patched, fail_after=90)
        with pytest.raises(InterruptionError):
            embed(bundle, marketplace, out, precision="bf16")
    engines = counting(monkeypatch)
    embedded = embed(bundle, marketplace, out, precision="fp32")

    assert [engine.photos for engine in engines] == [embedded.photos]


def test_what_changes_the_vectors_has_them_computed_anew(
    marketplace: Path,
    bundle: Path,
    scratch: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    engines = counting(monkeypatch)
    out = scratch / "vectors.parquet"
    preprocessing = bundles.load(bundle).manifest.preprocessing
    other = rewritten(
        bundle, scratch / "other", preprocessing=dataclasses.replace(preprocessing, std=(1, 1, 1))
    )
    data = scratch / "data"
    shutil.copytree(marketplace, data)
    embed(bundle, data, out, precision="bf16")
    embed(bundle, data, out, precision="fp32")
    embed(other, data, out, precision="fp32")
    products = (data / "Products.csv").read_bytes()
    (data / "Products.csv").write_bytes(products.replace("£".encode(), "£1".encode()))
    embedded = embed(other, data, out, precision="fp32")
    photo = photo_path(data / "images", pq.read_table(out)["image_id"][0].as_py())
    photo.write_bytes(encode_jpeg(Image.new("RGB", (60, 40), "white")))
    capsys.readouterr()
    replaced = embed(other, data, out, precision="fp32")

    assert f"{out}: embedded anew, since " in capsys.readouterr().out
    assert [engine.photos for engine in engines] == [embedded.photos] * 5
    assert replaced.photos == embedded.photos
    sha256 = hashlib.sha256(photo.read_bytes()).hexdigest()
    assert pq.read_table(out)["sha256"][0].as_py() == sha256
    space = bundles.load(other).manifest.embedding_space
    assert space != bundles.load(bundle).manifest.embedding_space
    assert pq.read_schema(out).metadata[EMBEDDING_SPACE].decode() == space
    assert not list(scratch.glob(".vectors*")), "nothing is left to go on with"


def test_another_version_of_the_same_model_computes_nothing(
    vectors: Path, marketplace: Path, bundle: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = rewritten(bundle, scratch / "again", version="2")
    monkeypatch.delattr(training.embed, "load_engine")

    assert embed(again, marketplace, vectors).photos == pq.read_metadata(vectors).num_rows


def test_a_catalogue_whose_photos_all_fail_is_refused_by_the_name_of_their_folder(
    bundle: Path, tmp_path: Path
) -> None:
    data, out = catalogue(tmp_path / "data"), tmp_path / "vectors.parquet"
    with pytest.raises(TrainingError, match=r"data/images: none of the 1 photos .* photo\.jpg: no"):
        embed(bundle, data, out)
    assert not out.exists()

    Image.new("RGB", (8, 8)).save(data / "images/photo.jpg")
    assert embed(bundle, data, out).photos == 1


def test_a_catalogue_without_its_folder_of_photos_is_refused(bundle: Path, tmp_path: Path) -> None:
    data = catalogue(tmp_path / "data")
    (data / "images").rmdir()
    with pytest.raises(FileError, match="data/images: no such folder of photos"):
        embed(bundle, data, tmp_path / "vectors.parquet")


@pytest.mark.parametrize("content", ["no table", None])
def test_a_file_of_something_else_is_not_replaced(
    marketplace: Path, bundle: Path, tmp_path: Path, content: str | None
) -> None:
    out = tmp_path / "notes.parquet"
    if content is None:
        out.mkdir()
    else:
        out.write_text(content)
    with pytest.raises(TrainingError) as refused:
        embed(bundle, marketplace, out)

    assert str(refused.value) == f"{out}: is there already, and is not a file of `embed`"
    assert out.is_dir() if content is None else out.read_text() == content


def test_a_table_of_something_else_is_not_replaced(
    marketplace: Path, bundle: Path, tmp_path: Path
) -> None:
    out = tmp_path / "listings.parquet"
    pd.DataFrame({"precious": [1]}).to_parquet(out)
    before = out.read_bytes()
    with pytest.raises(TrainingError, match="is there already, and is not a file of `embed`"):
        embed(bundle, marketplace, out)

    assert out.read_bytes() == before


def test_a_catalogue_without_a_complete_listing_is_refused(bundle: Path, tmp_path: Path) -> None:
    data = catalogue(tmp_path / "data", price="N/A")
    with pytest.raises(TrainingError, match=r"data: no photo of a complete listing to embed"):
        embed(bundle, data, tmp_path / "vectors.parquet")


def test_a_category_that_the_model_does_not_know_is_refused(
    tiny_bundle: Bundle, marketplace: Path, tmp_path: Path
) -> None:
    with pytest.raises(FileError, match=r"Products\.csv: .* not one of the 13 known: category"):
        embed(tiny_bundle.path, marketplace, tmp_path / "vectors.parquet")


def test_every_output_of_the_model_is_a_column(tiny_bundle: Bundle, tmp_path: Path) -> None:
    data = catalogue(tmp_path / "data", category="category 4")
    Image.new("RGB", (8, 8)).save(data / "images/photo.jpg")
    table = pq.read_table(embed(tiny_bundle.path, data, tmp_path / "vectors.parquet").file)

    assert table.column_names[-2:] == ["vector:category", "vector:style"]
    assert table.schema.field("vector:style").type == pa.list_(pa.float32(), 4)


def test_a_bundle_that_is_not_there_is_named(marketplace: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"nowhere/manifest\.json: missing; is this the direct"):
        embed(tmp_path / "nowhere", marketplace, tmp_path / "vectors.parquet")

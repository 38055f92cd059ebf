"""Vectors by image id, as earlier systems kept them, from the same work as the Parquet file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import training.embed
from lookalike.files import FileError
from lookalike.journal import Journal
from lookalike.model import bundle as bundles
from training.command import main
from training.embed import embed, embed_as_json, vector_column
from training.errors import TrainingError


@pytest.fixture
def done(vectors: Path, tmp_path: Path) -> Path:
    """The JSON file to write; the Parquet file beside it is there already."""
    for name in ("vectors.parquet", "vectors.problems.json"):
        shutil.copyfile(vectors.with_name(name), tmp_path / name)
    return tmp_path / "vectors.json"


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can be computed."""
    monkeypatch.delattr(training.embed, "load_engine")


def column(vectors: Path, output: str) -> dict[str, Any]:
    table = pq.read_table(vectors)
    names, values = (table[name].to_pylist() for name in ("image_id", vector_column(output)))
    return dict(zip(names, values, strict=True))


@pytest.mark.usefixtures("no_engine")
@pytest.mark.parametrize(("output", "name"), [("", "category"), ("features", "features")])
def test_json_holds_the_output_of_every_photo_by_its_id(
    marketplace: Path, bundle: Path, done: Path, output: str, name: str
) -> None:
    embedded = embed_as_json(bundle, marketplace, done, output=output)
    content = json.loads(done.read_text())

    assert content == column(done.with_suffix(".parquet"), name)
    assert {len(v) for v in content.values()} == {{"category": 13, "features": 128}[name]}
    assert (embedded.file, embedded.photos) == (done, len(content))
    assert embedded.problems, "told as ever"


def test_json_comes_with_its_parquet_file_from_a_fresh_start(
    marketplace: Path, bundle: Path, vectors: Path, tmp_path: Path
) -> None:
    arguments = ["--bundle", str(bundle), "--data", str(marketplace), "--precision", "fp32"]
    out = tmp_path / "new/vectors.json"
    assert main(["embed", *arguments, "--format", "json", "--out", str(out)]) == 0

    names = ["vectors.json", "vectors.parquet", "vectors.problems.json"]
    assert sorted(file.name for file in out.parent.iterdir()) == names
    assert json.loads(out.read_text()) == column(out.with_suffix(".parquet"), "category")
    assert list(column(vectors, "category")) == list(json.loads(out.read_text()))


@pytest.mark.usefixtures("no_engine")
def test_the_same_again_touches_nothing_and_another_output_replaces_it(
    marketplace: Path, bundle: Path, done: Path
) -> None:
    embed_as_json(bundle, marketplace, done)
    before = done.stat().st_mtime_ns
    embed_as_json(bundle, marketplace, done)
    assert done.stat().st_mtime_ns == before

    embed_as_json(bundle, marketplace, done, output="features")
    assert {len(values) for values in json.loads(done.read_text()).values()} == {128}


def test_json_is_written_from_the_parquet_file_that_an_interrupted_run_left(
    marketplace: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "vectors.json"

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "remove", fail)  # the last thing that `embed` does
        with pytest.raises(OSError, match="No space left"):
            embed_as_json(bundle, marketplace, out)
    assert not out.exists()

    monkeypatch.delattr(training.embed, "load_engine")
    embed_as_json(bundle, marketplace, out)
    assert json.loads(out.read_text()) == column(out.with_suffix(".parquet"), "category")


@pytest.mark.usefixtures("no_engine")
@pytest.mark.parametrize("content", ["no JSON", "[1, 2]", '{"photo": 1}'])
def test_a_file_of_something_else_is_not_replaced(
    marketplace: Path, bundle: Path, done: Path, content: str
) -> None:
    done.write_text(content)
    with pytest.raises(TrainingError, match=r"vectors\.json: is there already, and is not made by"):
        embed_as_json(bundle, marketplace, done)

    assert done.read_text() == content


@pytest.mark.usefixtures("no_engine")
def test_vectors_of_another_system_are_not_replaced(
    marketplace: Path, bundle: Path, tmp_path: Path
) -> None:
    theirs = tmp_path / "theirs.json"
    theirs.write_text('{"photo": [0.5, 1]}')
    with pytest.raises(TrainingError, match=r"not made by `embed` from theirs\.parquet beside"):
        embed_as_json(bundle, marketplace, theirs)

    assert theirs.read_text() == '{"photo": [0.5, 1]}'
    assert list(tmp_path.iterdir()) == [theirs]


@pytest.mark.usefixtures("no_engine")
def test_a_disk_that_fills_up_leaves_the_old_json(
    marketplace: Path, bundle: Path, done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embed_as_json(bundle, marketplace, done)
    before = done.read_bytes()

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(json, "dump", fail)
    with pytest.raises(FileError, match="cannot be written: No space left on device"):
        embed_as_json(bundle, marketplace, done, output="features")
    assert done.read_bytes() == before
    assert len(list(done.parent.iterdir())) == 3, "nothing is left aside"


def test_an_output_that_the_model_has_not_is_refused_with_those_it_has(
    marketplace: Path, bundle: Path, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match=r"has no output 'style'; it has category, features$"):
        embed_as_json(bundle, marketplace, tmp_path / "vectors.json", output="style")


def test_a_name_that_is_no_json_files_is_refused(
    marketplace: Path, bundle: Path, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match=r"vectors\.parquet: does not end in \.json"):
        embed_as_json(bundle, marketplace, tmp_path / "vectors.parquet")


def test_an_output_is_chosen_of_json_alone(
    marketplace: Path, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--bundle", str(bundle), "--data", str(marketplace), "--output", "features"]
    assert main(["embed", *arguments, "--out", str(tmp_path / "vectors.parquet")]) == 1
    assert "--output is for --format json" in capsys.readouterr().err


def test_int8_that_the_bundle_has_not_is_told(
    marketplace: Path, bundle: Path, tmp_path: Path, scratch: Path
) -> None:
    loaded = bundles.load(bundle)
    files = {name: loaded.file(name) for name in loaded.manifest.files if "int8" not in name}
    manifest = loaded.manifest
    without = bundles.write(
        scratch / "without",
        name="without",
        version="1",
        labels=manifest.labels,
        architecture=manifest.architecture,
        preprocessing=manifest.preprocessing,
        outputs=manifest.outputs,
        metrics={},
        files=files,
    )
    with pytest.raises(TrainingError, match="the bundle has no int8 variant: export did not make"):
        embed(without.path, marketplace, tmp_path / "vectors.parquet", precision="int8")

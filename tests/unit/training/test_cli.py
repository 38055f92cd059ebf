"""`python -m training`: what it offers, and one line on stderr for what cannot be done."""

from __future__ import annotations

import dataclasses
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import training.prepare
from lookalike.model.bundle import Bundle
from training.command import main
from training.config import TrainConfig
from training.prepare import prepare

TRAIN_OPTIONS = [f"--{field.name.replace('_', '-')}" for field in dataclasses.fields(TrainConfig)]
OPTIONS = {
    "prepare": ["--data", "--out", "--image-size", "--seed"],
    "train": ["--data", "--out", *TRAIN_OPTIONS],
    "evaluate": [
        *("--data", "--run", "--split", "--all-photos"),
        *("--bundle", "--json", "--gallery", "--report", "--precision"),
    ],
    "export": ["--data", "--run", "--out", "--version"],
    "embed": ["--bundle", "--data", "--out", "--format", "--output", "--precision"],
    "index": ["--vectors", "--target", "--collection"],
}
HEADER = ",id,product_name,category,product_description,price,location"


class Failed:
    """Runs a step that must fail; returns the one line that it says on stderr."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, step: str, **options: object) -> str:
        arguments = [step]
        for name, value in options.items():
            arguments += ["--" + name.replace("_", "-"), str(value)]
        assert main(arguments) == 1
        said = self._capsys.readouterr().err
        assert said.count("\n") == 1, "one line"
        assert said.startswith(f"training {step}: ")
        assert "Traceback" not in said
        return said.strip()


@pytest.fixture
def failed(capsys: pytest.CaptureFixture[str]) -> Failed:
    return Failed(capsys)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue of four listings, of which one has its photo."""
    folder = tmp_path_factory.mktemp("small")
    products = [HEADER, *(f"0,{n},Oven,Appliances / Ovens,Hot.,£5.00,Leeds" for n in range(4))]
    (folder / "Products.csv").write_text("\n".join(products) + "\n")
    (folder / "Images.csv").write_text(
        "\n".join([",id,product_id", *(f"0,photo-{n},{n}" for n in range(4))]) + "\n"
    )
    (folder / "images").mkdir()
    Image.new("RGB", (8, 8)).save(folder / "images/photo-0.jpg")
    return folder


@pytest.fixture
def catalogue(small: Path, tmp_path: Path) -> Path:
    """One that the test may change."""
    return Path(shutil.copytree(small, tmp_path / "catalogue"))


@pytest.fixture(scope="module")
def empty_data(small: Path) -> Path:
    """A prepared data set without a photo."""
    prepared = prepare(small, small / "prepared", image_size=32)
    prepared.photos.iloc[:0].to_parquet(small / "prepared/photos.parquet")
    return small / "prepared"


def test_python_m_training_lists_the_steps() -> None:
    command = [sys.executable, "-m", "training", "--help"]
    told = subprocess.run(command, capture_output=True, text=True, check=True)

    assert told.stderr == ""
    places = [told.stdout.index(f"\n    {step} ") for step in OPTIONS]
    assert places == sorted(places), "in the order in which they are run"


@pytest.mark.parametrize("step", OPTIONS)
def test_help_of_a_step_names_its_options_and_what_they_are(
    step: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([step, "--help"])
    told = capsys.readouterr()

    assert (ended.value.code, told.err) == (0, "")
    options = told.out.split("options:\n")[1]
    for option in OPTIONS[step]:
        (line,) = (
            part for part in options.split("\n  --") if f"--{part} ".startswith(option + " ")
        )
        assert len(line.split()) > 2, f"{option} is explained, or its default told"


def test_help_of_training_tells_every_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    told = "".join(capsys.readouterr().out.split())  # lines break at hyphens too

    for field in dataclasses.fields(TrainConfig):
        if field.default is not dataclasses.MISSING:
            assert f"(default:{field.default})" in told, field.name


@pytest.mark.parametrize(
    ("arguments", "last_words"),
    [
        ([], "the following arguments are required: STEP"),
        (["deploy"], "invalid choice: 'deploy'"),
        (["prepare", "--data", "x"], "the following arguments are required: --out"),
        (["prepare", "--data", "x", "--out", "x", "--size", "3"], "arguments: --size 3"),
        (["prepare", "--data", "x", "--out", "x", "--seed", "y"], "--seed: invalid int value: 'y'"),
        (["evaluate", "--data", "x", "--run", "x", "--split", "all"], "--split: invalid choice"),
        (["evaluate", "--data", "x"], "one of the arguments --run --bundle is required"),
        (
            ["evaluate", "--data", "x", "--run", "x", "--bundle", "x"],
            "argument --bundle: not allowed with argument --run",
        ),
        (["train", "--data", "x", "--out", "x"], "arguments are required: --weights"),
    ],
)
def test_a_command_that_is_not_understood_is_told_by_what_is_wrong_with_it(
    arguments: list[str], last_words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2, "as of any command line"
    assert last_words in capsys.readouterr().err.splitlines()[-1]


def test_a_step_that_succeeds_says_how_long_it_took(
    tmp_path: Path, small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--data", str(small), "--out", str(tmp_path / "data"), "--image-size", "32"]

    assert main(["prepare", *options]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    assert "4 listings kept; dropped: none\n" in told.out
    assert "1 photos kept; 3 rejected:\n  photo-1.jpg: no such file\n" in told.out
    assert told.out.splitlines()[-1].startswith("prepare: ")


def test_a_catalogue_that_is_not_there_is_named(failed: Failed, tmp_path: Path) -> None:
    said = failed("prepare", data=tmp_path / "nowhere", out=tmp_path / "data")

    assert f"{tmp_path / 'nowhere/Products.csv'}: cannot be read: No such file" in said


@pytest.mark.parametrize(
    ("name", "column"), [("Products.csv", "price"), ("Images.csv", "product_id")]
)
def test_a_missing_column_is_told_with_its_file(
    failed: Failed, catalogue: Path, tmp_path: Path, name: str, column: str
) -> None:
    file = catalogue / name
    file.write_text(file.read_text().replace(f",{column}", ",other", 1))
    said = failed("prepare", data=catalogue, out=tmp_path / "data")

    assert f"{file}: column '{column}' is missing; it has " in said


def test_an_unknown_category_is_told_with_its_file_and_listing(
    failed: Failed, catalogue: Path, tmp_path: Path
) -> None:
    file = catalogue / "Products.csv"
    file.write_text(file.read_text().replace("0,2,Oven,Appliances", "0,2,Oven,Boats"))
    said = failed("prepare", data=catalogue, out=tmp_path / "data")

    where = f"{file}: line 4: listing 2 has the root category 'Boats'"
    assert f"{where}, which is not one of the 13" in said


def test_an_output_that_cannot_be_made_is_named(failed: Failed, catalogue: Path) -> None:
    out = catalogue / "Images.csv/data"

    assert f"{out}" in failed("prepare", data=catalogue, out=out)


@pytest.mark.parametrize("step", ["train", "evaluate", "export"])
def test_data_that_were_not_prepared_are_refused(failed: Failed, tmp_path: Path, step: str) -> None:
    options: dict[str, object] = {"data": tmp_path / "nowhere"}
    options |= {"run": tmp_path} if step != "train" else {"weights": "none"}
    options |= {"out": tmp_path / "out"} if step != "evaluate" else {}
    said = failed(step, **options)

    assert f"{tmp_path / 'nowhere/report.json'}: missing; expected a data set made by" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("step", ["evaluate", "export"])
def test_a_run_that_is_not_there_is_named(
    failed: Failed, empty_data: Path, tmp_path: Path, step: str
) -> None:
    options = {"out": tmp_path / "bundle"} if step == "export" else {}
    said = failed(step, data=empty_data, run=tmp_path, **options)

    assert f"{tmp_path / 'config.json'}: missing; is this the directory of a run?" in said


@pytest.mark.parametrize("content", [None, b"no weights"])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_wrong_weights_file_is_named(
    failed: Failed, empty_data: Path, tmp_path: Path, content: bytes | None, suffix: str
) -> None:
    weights = tmp_path / f"weights{suffix}"
    if content is not None:
        weights.write_bytes(content)
    said = failed("train", data=empty_data, out=tmp_path / "run", weights=weights)

    assert f"--weights {weights}: " in said
    assert ("not a state_dict: " if content else "no such file; or use imagenet or none") in said


def test_a_setting_out_of_its_range_is_named_with_range_and_value(
    failed: Failed, empty_data: Path, tmp_path: Path
) -> None:
    said = failed("train", data=empty_data, out=tmp_path / "run", weights="none", epochs=0)

    assert said == "training train: epochs is 0; it must be at least 1"


def test_data_without_a_photo_cannot_be_trained_on(
    failed: Failed, empty_data: Path, tmp_path: Path
) -> None:
    said = failed("train", data=empty_data, out=tmp_path / "run", weights="none")

    assert said == f"training train: {empty_data}: the train split holds no photo"


def test_a_run_is_not_gone_on_with_by_other_settings(
    failed: Failed, empty_data: Path, tmp_path: Path
) -> None:
    TrainConfig("none", epochs=3).save(tmp_path / "run/config.json")
    said = failed("train", data=empty_data, out=tmp_path / "run", weights="none", epochs=4)

    assert f"{tmp_path / 'run/config.json'}: the run was started with other settings" in said
    assert "(epochs: 3 → 4)" in said


def test_an_export_does_not_replace_what_is_no_bundle(
    failed: Failed, data: Path, run: Path, catalogue: Path
) -> None:
    said = failed("export", data=data, run=run, out=catalogue)

    assert said.endswith(f"{catalogue}: is there already, and is not a bundle; name another --out")
    assert (catalogue / "Products.csv").exists()


def test_a_bundle_that_is_not_there_is_named(failed: Failed, small: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    said = failed("embed", bundle=bundle, data=small, out=tmp_path / "vectors.parquet")

    assert f"{bundle / 'manifest.json'}: missing; is this the directory of a model bundle?" in said


def test_a_damaged_bundle_is_told_by_file(
    failed: Failed, tiny_bundle: Bundle, small: Path, tmp_path: Path
) -> None:
    bundle = Path(shutil.copytree(tiny_bundle.path, tmp_path / "bundle"))
    (bundle / "openvino/model.xml").write_text("<net/>")
    said = failed("embed", bundle=bundle, data=small, out=tmp_path / "vectors.parquet")

    assert f"{bundle / 'openvino/model.xml'}: 6 bytes, but manifest.json says " in said


def test_a_catalogue_of_other_categories_than_the_models_is_refused(
    failed: Failed, tiny_bundle: Bundle, small: Path, tmp_path: Path
) -> None:
    out = tmp_path / "vectors.parquet"
    said = failed("embed", bundle=tiny_bundle.path, data=small, out=out)

    where = f"{small / 'Products.csv'}: line 2"
    assert f"{where}: listing 0 has the root category 'Appliances'" in said


def test_vectors_that_are_not_there_are_named(failed: Failed, tmp_path: Path) -> None:
    vectors = tmp_path / "vectors.parquet"

    assert f"{vectors}: not a file of `training embed`: " in failed("index", vectors=vectors)


def test_an_index_that_is_away_is_told_by_its_address(failed: Failed, vectors: Path) -> None:
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{taken.getsockname()[1]}"
        said = failed("index", vectors=vectors, target=target)

    assert said.startswith(f"training index: the index at {target} cannot be reached: ")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(28, "No space left on device"), "{out}: No space left on device"),
        (OSError(13, "Permission denied", "there.csv"), "there.csv: Permission denied"),
        (OSError("one\n  two"), "{out}: one; two"),
        (ValueError("one\n\n  two"), "one; two"),
    ],
)
def test_an_error_of_the_system_is_one_line_that_names_a_file(
    failed: Failed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(training.prepare, "prepare", fail)
    said = failed("prepare", data=tmp_path, out=tmp_path / "out")

    assert said == "training prepare: " + words.format(out=tmp_path / "out")

"""The model bundle on disk: what is written is what is read, or it is refused."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lookalike.files import FileError
from lookalike.model import bundle as bundles
from lookalike.model.bundle import (
    MANIFEST,
    OPENVINO_INT8_MODEL,
    OPENVINO_INT8_WEIGHTS,
    OPENVINO_MODEL,
    OPENVINO_WEIGHTS,
    WEIGHTS,
    Architecture,
    Bundle,
    BundleError,
    Output,
    Parity,
    Preprocessing,
    Variant,
)

FILES = {
    WEIGHTS: b"weights",
    OPENVINO_MODEL: b"<net/>",
    OPENVINO_WEIGHTS: b"\0\1\2",
    OPENVINO_INT8_MODEL: b"<small/>",
    OPENVINO_INT8_WEIGHTS: b"\3\4",
}
OUTPUTS = (Output("category", 2, "logits"), Output("style", 4, "embedding"))
PARITY = Parity(200, 0.99, 0.5, -0.005, {"category": 0.999, "style": 0.998}, {"category": 0.9})
VARIANTS = {
    "fp32": Variant(OPENVINO_MODEL, True, PARITY),
    "bf16": Variant(OPENVINO_MODEL, False, PARITY),
    "int8": Variant(OPENVINO_INT8_MODEL, True, PARITY),
}

Write = Callable[..., Bundle]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a bundle; keyword arguments change what is written."""

    def write(contents: dict[str, bytes] = FILES, **changes: Any) -> Bundle:
        sources = {}
        for name, content in contents.items():
            sources[name] = tmp_path / "sources" / name
            sources[name].parent.mkdir(parents=True, exist_ok=True)
            sources[name].write_bytes(content)
        arguments: dict[str, Any] = {
            "name": "tiny",
            "version": "",
            "labels": ("lamp", "sofa ü"),
            "architecture": Architecture(head_units=3, dropout=0.5),
            "preprocessing": Preprocessing(32),
            "outputs": OUTPUTS,
            "metrics": {"accuracy": 0.5},
            "files": sources,
            "variants": {k: v for k, v in VARIANTS.items() if v.file in sources},
        }
        return bundles.write(tmp_path / "out" / "bundle", **(arguments | changes))

    return write


def edit_manifest(bundle: Bundle, change: Callable[[dict[str, Any]], object]) -> Path:
    file = bundle.path / MANIFEST
    manifest = json.loads(file.read_text())
    change(manifest)
    file.write_text(json.dumps(manifest))
    return file


def refusal(bundle: Bundle) -> str:
    with pytest.raises(BundleError) as caught:
        bundles.load(bundle.path)
    return str(caught.value)


def test_bundle_is_loaded_as_it_was_written(write: Write) -> None:
    written = write()
    loaded = bundles.load(written.path)
    assert loaded == written
    assert {name: loaded.file(name).read_bytes() for name in loaded.manifest.files} == FILES
    assert loaded.manifest.version == loaded.manifest.embedding_space[:12]
    assert loaded.path.stat().st_mode & 0o777 == 0o755


def test_bundle_can_be_moved(write: Write, tmp_path: Path) -> None:
    written = write()
    moved = written.path.rename(tmp_path / "elsewhere")
    assert bundles.load(moved).manifest == written.manifest


def test_bundle_does_not_offer_a_file_that_it_has_not(write: Write) -> None:
    with pytest.raises(BundleError, match=r"the bundle has no openvino/model\.xml"):
        write({WEIGHTS: b"weights"}).file(OPENVINO_MODEL)


@pytest.mark.parametrize("name", FILES)
def test_flipped_bit_in_any_file_is_found_and_the_file_named(write: Write, name: str) -> None:
    bundle = write()
    file = bundle.path / name
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert refusal(bundle).startswith(f"{file}: SHA-256 is ")


@pytest.mark.parametrize("name", FILES)
def test_cut_file_is_found_and_named_with_both_sizes(write: Write, name: str) -> None:
    bundle = write()
    file = bundle.path / name
    file.write_bytes(file.read_bytes()[:-1])
    size = len(FILES[name])
    assert refusal(bundle) == f"{file}: {size - 1} bytes, but {MANIFEST} says {size}"


@pytest.mark.parametrize("name", FILES)
def test_missing_file_is_named(write: Write, name: str) -> None:
    bundle = write()
    (bundle.path / name).unlink()
    assert refusal(bundle) == f"{bundle.path / name}: missing, though {MANIFEST} lists it"


def test_file_that_cannot_be_read_is_named(write: Write) -> None:
    bundle = write({WEIGHTS: bytes(4096)})  # the size of a directory, on most file systems
    (bundle.path / WEIGHTS).unlink()
    (bundle.path / WEIGHTS).mkdir()
    assert refusal(bundle).startswith(f"{bundle.path / WEIGHTS}: ")


def test_directory_without_a_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"manifest\.json: missing; is this the directory"):
        bundles.load(tmp_path)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"3", b"\xff\xfe", b'"text"'])
def test_manifest_that_is_no_json_object_is_refused(write: Write, text: bytes) -> None:
    bundle = write()
    (bundle.path / MANIFEST).write_bytes(text)
    assert refusal(bundle).startswith(f"{bundle.path / MANIFEST}: ")


@pytest.mark.parametrize(
    "key",
    sorted(
        {f.name for f in dataclasses.fields(bundles.Manifest)} - {"ranking", "price_range", "text"}
    ),
)
def test_manifest_without_one_of_its_keys_is_refused(write: Write, key: str) -> None:
    bundle = write()
    file = edit_manifest(bundle, lambda manifest: manifest.pop(key))
    message = refusal(bundle)
    assert message.startswith(f"{file}: ")
    assert key in message


@pytest.mark.parametrize("version", [0, 2, 4, "3", None])
def test_other_format_version_is_refused_with_both_and_what_to_do(
    write: Write, version: object
) -> None:
    bundle = write()
    file = edit_manifest(bundle, lambda manifest: manifest.update(format_version=version))
    assert refusal(bundle) == (
        f"{file}: format_version is {version}, but this program reads 3; train and export again"
    )


def test_verdicts_on_variants_are_read_back(write: Write) -> None:
    assert bundles.load(write().path).manifest.variants == VARIANTS


def test_variant_that_is_not_shipped_keeps_its_figures(write: Write) -> None:
    missed = {"int8": Variant("", False, PARITY)}
    assert bundles.load(write(variants=missed).path).manifest.variants == missed


@pytest.mark.parametrize(
    ("variant", "words"),
    [
        (Variant("openvino/model-int4.xml", False, PARITY), "which `files` does not list"),
        (Variant("", True, PARITY), "variant int8 passed, but has no file"),
    ],
)
def test_variant_that_contradicts_the_files_is_not_written(
    write: Write, variant: Variant, words: str
) -> None:
    with pytest.raises(BundleError, match=words):
        write(variants={"int8": variant})


def test_verdict_of_another_type_is_no_pass(write: Write) -> None:
    bundle = write()
    edit_manifest(bundle, lambda manifest: manifest["variants"]["int8"].update(passed="false"))
    assert not bundles.load(bundle.path).manifest.variants["int8"].passed


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["preprocessing"].update(size=64),
        lambda m: m["preprocessing"].update(mean=[0, 0, 0]),
        lambda m: m["outputs"][0].update(dimension=3),
        lambda m: m["outputs"].reverse(),
        lambda m: m["architecture"].update(stride_in_1x1=True),
        lambda m: m.update(embedding_space="0" * 32),
        lambda m: m["files"].pop(WEIGHTS),
        lambda m: m["files"][WEIGHTS].update(mode=1),
        lambda m: m["architecture"].update(depth=3),
        lambda m: m.update(labels=None),
        lambda m: m.update(labels=["lamp"]),
        lambda m: m.update(files=[]),
        lambda m: m.update(variants=[]),
        lambda m: m["variants"]["int8"].pop("passed"),
        lambda m: m["variants"]["int8"]["parity"].pop("accuracy"),
        lambda m: m["files"].pop(OPENVINO_INT8_MODEL),
        lambda m: m.update(outputs=[]),
        lambda m: m.update(preprocessing=[]),
    ],
)
def test_edited_manifest_is_refused_and_named(
    write: Write, change: Callable[[dict[str, Any]], object]
) -> None:
    bundle = write()
    file = edit_manifest(bundle, change)
    assert refusal(bundle).startswith(f"{file}: ")


def test_number_of_labels_must_be_that_of_the_logits(write: Write) -> None:
    with pytest.raises(BundleError, match="3 labels, but output 'category' has 2 values"):
        write(labels=("a", "b", "c"))


@pytest.mark.parametrize(
    "changes",
    [
        {"contents": FILES | {WEIGHTS: b"other weights"}},
        {"preprocessing": Preprocessing(64)},
        {"preprocessing": Preprocessing(32, mean=(0.0, 0.0, 0.0))},
        {"preprocessing": Preprocessing(32, std=(1.0, 1.0, 1.0))},
        {"architecture": Architecture()},
        {"outputs": OUTPUTS[:1]},
        {"outputs": (Output("category", 2, "logits"), Output("style", 5, "embedding"))},
        {"outputs": (Output("root", 2, "logits"), OUTPUTS[1])},
    ],
)
def test_embedding_space_changes_with_what_makes_vectors(
    write: Write, changes: dict[str, Any]
) -> None:
    first = write().manifest.embedding_space
    changed = write(**changes)
    assert changed.manifest.embedding_space != first
    assert bundles.load(changed.path) == changed


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"name": "other"},
        {"version": "2"},
        {"labels": ("x", "y")},
        {"metrics": {}},
        {"variants": {}},
        {"contents": {name: FILES[name] for name in (WEIGHTS, OPENVINO_MODEL)}},
        {"contents": FILES | {OPENVINO_WEIGHTS: b"the same weights in another export"}},
    ],
)
def test_embedding_space_does_not_change_with_what_does_not(
    write: Write, changes: dict[str, Any]
) -> None:
    assert write(**changes).manifest.embedding_space == write().manifest.embedding_space


def test_replaced_bundle_leaves_nothing_of_the_old_one(write: Write) -> None:
    old, new = write(), write({WEIGHTS: b"new"})
    assert bundles.load(old.path) == new
    assert not (old.path / OPENVINO_MODEL).exists()
    assert [path.name for path in old.path.parent.iterdir()] == ["bundle"]


@pytest.mark.parametrize("failing", ["copyfile", "write_text", "first rename", "second rename"])
def test_failed_write_leaves_the_old_bundle_and_no_debris(
    write: Write, failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = write()
    renames: list[Path] = []
    rename = Path.rename

    def failing_rename(source: Path, target: Path) -> Path:
        renames.append(source)
        if len(renames) == (1 if failing == "first rename" else 2):
            raise OSError("disk full")
        return rename(source, target)

    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    if failing == "copyfile":
        monkeypatch.setattr(shutil, "copyfile", fail)
    elif failing == "write_text":
        # Only the manifest is written so.
        monkeypatch.setattr(Path, "write_text", fail)
    else:
        monkeypatch.setattr(Path, "rename", failing_rename)
    with pytest.raises(FileError, match="bundle: cannot be written: disk full"):
        write({WEIGHTS: b"new"})
    monkeypatch.undo()
    assert bundles.load(old.path) == old
    assert [path.name for path in old.path.parent.iterdir()] == ["bundle"]


def test_debris_of_a_killed_writer_does_not_hinder_the_next(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = write()
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: pytest.exit("killed here"))
    with pytest.raises(pytest.exit.Exception):
        write({WEIGHTS: b"second"})
    monkeypatch.undo()
    third = write({WEIGHTS: b"third"})  # by a process of the same id, as in a container
    assert bundles.load(old.path) == third


def test_bundle_without_weights_is_not_written(write: Write, tmp_path: Path) -> None:
    with pytest.raises(KeyError, match=WEIGHTS):
        write({OPENVINO_MODEL: b"<net/>"})
    assert not list((tmp_path / "out").iterdir())

"""Which variants of a network a bundle holds, and what its manifest says of each."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import openvino
import pytest
from openvino import opset13 as opset

import training.export
import training.parity
from lookalike.model import bundle as bundles
from lookalike.model.bundle import Parity, Variant
from lookalike.model.engines import load_engine
from lookalike.model.engines.openvino_engine import OpenVINOEngine
from training.command import main
from training.export import export
from training.parity import violations
from training.prepare import Prepared, load_prepared

GOOD = Parity(100, 1.0, 0.5, 0.0, {"category": 1.0}, {"category": 1.0})


@pytest.fixture
def no_quantisation(converted: openvino.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Saves the seconds of converting and quantising.

    Each conversion is said to give the network of the run. What is said to be int8 answers
    something else, so it misses the limits.
    """
    monkeypatch.setattr(training.export, "to_openvino", lambda *_: converted)
    monkeypatch.setattr(training.export, "quantise", write_something_else)


def write_something_else(_: Path, __: Prepared, size: int, out: Path) -> None:
    """Writes a model of the same inputs and outputs; all of its values are the mean of pixels."""
    photos = opset.parameter(openvino.PartialShape([-1, size, size, 3]), np.uint8)
    mean = opset.reduce_mean(opset.convert(photos, "f32"), np.array([1, 2, 3]), keep_dims=False)
    column = opset.unsqueeze(mean, np.array([1]))
    widths = {"category": 13, "features": 128}
    outputs = [opset.multiply(column, np.ones((1, w), np.float32)) for w in widths.values()]
    model = openvino.Model(outputs, [photos])
    for output, name in zip(model.outputs, widths, strict=True):
        output.get_tensor().set_names({name})
    openvino.save_model(model, out)


def copy_fp32(exported: Path, _: Prepared, __: int, out: Path) -> None:
    """Writes a model that is as good as the reference."""
    for suffix in (".xml", ".bin"):
        shutil.copyfile(exported.with_suffix(suffix), out.with_suffix(suffix))


def test_the_manifest_tells_what_each_variant_answered(bundle: Path, data: Path) -> None:
    manifest = bundles.load(bundle).manifest
    photos = load_prepared(data).photos
    validation = photos[photos["split"] == "validation"]["sha256"].nunique()

    assert next(iter(manifest.variants)) == "fp32"
    assert {"fp32", "int8"} <= manifest.variants.keys() <= {"fp32", "bf16", "int8"}
    for precision, variant in manifest.variants.items():
        expected = min(validation, 32) if precision == "fp32" else validation
        assert variant.parity.photos == expected
        assert variant.passed is not bool(violations(variant.parity))
        assert variant.parity.cosine_mean.keys() == {"category", "features"}
    assert manifest.variants["fp32"].passed
    assert manifest.variants["fp32"].parity.cosine_worst["category"] > 0.9999
    # quantised for certain: near, but not the same
    assert 0.8 < manifest.variants["int8"].parity.cosine_mean["category"] < 0.999999
    shipped = bundles.OPENVINO_INT8_MODEL in manifest.files
    assert shipped == manifest.variants["int8"].passed


@pytest.mark.usefixtures("no_quantisation")
def test_int8_that_keeps_to_the_limits_is_shipped_and_chosen(
    data: Path, run: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training.export, "quantise", copy_fp32)
    export(data, run, scratch / "bundle")
    loaded = bundles.load(scratch / "bundle")

    assert loaded.manifest.variants["int8"].passed
    assert loaded.manifest.variants["int8"].file == bundles.OPENVINO_INT8_MODEL
    assert loaded.manifest.variants["int8"].parity.top1_agreement == 1
    assert loaded.file(bundles.OPENVINO_INT8_WEIGHTS).is_file()
    assert load_engine(loaded, name="openvino", precision="auto", threads=1).precision == "int8"
    monkeypatch.delattr(training.export, "to_openvino")
    assert export(data, run, scratch / "bundle") == loaded, "kept"


@pytest.mark.usefixtures("no_quantisation")
def test_int8_that_misses_a_limit_is_left_out_and_why_is_told(
    data: Path, run: Path, scratch: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = scratch / "bundle"
    arguments = ["export", "--data", str(data), "--run", str(run), "--out", str(out)]
    assert main(arguments) == 0
    loaded = bundles.load(out)

    assert loaded.manifest.variants["int8"].file == ""
    assert not loaded.manifest.variants["int8"].passed
    assert sorted(file.name for file in (out / "openvino").iterdir()) == ["model.bin", "model.xml"]
    told = capsys.readouterr().out.splitlines()
    (line,) = (line for line in told if line.startswith("int8 misses: "))
    assert "agreement on the first category is 0." in line
    assert line.endswith(": it is not in the bundle")

    assert main(arguments) == 0, "kept"
    assert line in capsys.readouterr().out.splitlines(), "told again"


@pytest.mark.usefixtures("no_quantisation")
def test_bf16_that_misses_a_limit_stays_in_its_file_but_has_not_passed(
    data: Path, run: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {"bf16": dataclasses.replace(GOOD, top1_agreement=0.9), "int8": GOOD}
    monkeypatch.setattr(training.export, "measure", lambda *_: found)
    loaded = export(data, run, scratch / "bundle")

    bf16 = Variant(bundles.OPENVINO_MODEL, False, found["bf16"])
    assert loaded.manifest.variants["bf16"] == bf16
    passed = {name: variant.passed for name, variant in loaded.manifest.variants.items()}
    assert passed == {"fp32": True, "bf16": False, "int8": True}


@pytest.mark.usefixtures("no_quantisation")
def test_bf16_is_not_judged_where_the_cpu_would_take_fp32_instead(
    data: Path, run: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class WithoutBf16(OpenVINOEngine):
        def __init__(self, model: Path, *, precision: str, threads: int) -> None:
            super().__init__(model, precision="fp32", threads=threads)
            self.honoured = precision != "bf16"

    monkeypatch.setattr(training.export, "OpenVINOEngine", WithoutBf16)
    loaded = export(data, run, scratch / "bundle")

    assert loaded.manifest.variants.keys() == {"fp32", "int8"}

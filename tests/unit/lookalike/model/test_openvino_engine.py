"""Which variant of a bundle the engine for CPUs runs, and that it runs that one."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import openvino
import pytest
from openvino import opset13 as opset

from lookalike.model import bundle as bundles
from lookalike.model.bundle import (
    OPENVINO_INT8_MODEL,
    OPENVINO_INT8_WEIGHTS,
    OPENVINO_MODEL,
    Bundle,
    FileEntry,
    Parity,
    Variant,
)
from lookalike.model.engines import PrecisionError, load_engine, openvino_engine
from lookalike.model.engines.openvino_engine import OpenVINOEngine, precision_for

PARITY = Parity(100, 1.0, 0.5, 0.0, {"category": 1.0}, {"category": 1.0})
PASSED, MISSED = True, False


def judged(bundle: Bundle, **verdicts: bool) -> Bundle:
    """The bundle as if it had been exported with these verdicts; int8 is there only if it passed.

    Only its manifest says so: nothing is written.
    """
    files = dict(bundle.manifest.files)
    if verdicts.get("int8"):
        files[OPENVINO_INT8_MODEL] = FileEntry(1, "0" * 64)
    variants = {
        name: Variant(OPENVINO_MODEL if name != "int8" else "", passed, PARITY)
        for name, passed in verdicts.items()
    }
    manifest = dataclasses.replace(bundle.manifest, files=files, variants=variants)
    return Bundle(bundle.path, manifest)


def mean_of_pixels(file: Path) -> None:
    """Writes a model that is no other: its only output is the mean of a photo's pixels."""
    photos = opset.parameter(openvino.PartialShape([-1, 32, 32, 3]), np.uint8)
    mean = opset.reduce_mean(opset.convert(photos, "f32"), np.array([1, 2, 3]), keep_dims=False)
    model = openvino.Model([opset.unsqueeze(mean, np.array([1]))], [photos])
    model.output(0).get_tensor().set_names({"category"})
    openvino.save_model(model, file, compress_to_fp16=False)


@pytest.fixture
def with_int8(tiny_bundle: Bundle, tmp_path: Path) -> Bundle:
    """A bundle whose int8 variant computes something of its own."""
    int8 = tmp_path / "model-int8.xml"
    mean_of_pixels(int8)
    manifest = tiny_bundle.manifest
    files = {name: tiny_bundle.path / name for name in manifest.files}
    return bundles.write(
        tmp_path / "bundle",
        name="with int8",
        version="1",
        labels=manifest.labels,
        architecture=manifest.architecture,
        preprocessing=manifest.preprocessing,
        outputs=manifest.outputs,
        metrics={},
        files=files | {OPENVINO_INT8_MODEL: int8, OPENVINO_INT8_WEIGHTS: int8.with_suffix(".bin")},
        variants={"int8": Variant(OPENVINO_INT8_MODEL, True, PARITY)},
    )


@pytest.mark.parametrize(
    ("verdicts", "native", "chosen"),
    [
        ({"fp32": PASSED, "bf16": PASSED, "int8": PASSED}, True, "int8"),
        ({"fp32": PASSED, "bf16": PASSED, "int8": PASSED}, False, "int8"),
        ({"fp32": PASSED, "bf16": PASSED, "int8": MISSED}, True, "bf16"),
        ({"fp32": PASSED, "bf16": PASSED, "int8": MISSED}, False, "fp32"),
        ({"fp32": PASSED, "bf16": MISSED, "int8": MISSED}, True, "fp32"),
        ({"fp32": PASSED, "bf16": MISSED, "int8": PASSED}, True, "int8"),
        ({"fp32": PASSED, "int8": MISSED}, True, "fp32"),
        ({}, True, "fp32"),
    ],
)
def test_auto_takes_the_fastest_that_passed_and_that_the_cpu_is_made_for(
    tiny_bundle: Bundle,
    monkeypatch: pytest.MonkeyPatch,
    verdicts: dict[str, bool],
    native: bool,
    chosen: str,
) -> None:
    monkeypatch.setattr(openvino_engine, "computes_in_bf16", lambda: native)
    assert precision_for(judged(tiny_bundle, **verdicts), "auto") == chosen


def test_auto_leaves_an_int8_file_alone_that_missed(tiny_bundle: Bundle) -> None:
    bundle = judged(tiny_bundle, fp32=PASSED, bf16=MISSED, int8=PASSED)
    variants = bundle.manifest.variants | {"int8": Variant(OPENVINO_INT8_MODEL, False, PARITY)}
    manifest = dataclasses.replace(bundle.manifest, variants=variants)
    assert precision_for(Bundle(bundle.path, manifest), "auto") == "fp32"


@pytest.mark.parametrize("asked", ["fp32", "bf16"])
def test_what_is_asked_for_by_name_is_taken_whatever_the_verdict(
    tiny_bundle: Bundle, asked: str
) -> None:
    assert precision_for(judged(tiny_bundle, bf16=MISSED, int8=PASSED), asked) == asked


@pytest.mark.parametrize(
    ("verdicts", "reason"),
    [({"int8": MISSED}, "it missed the limits of export"), ({}, "export did not make it")],
)
def test_int8_that_the_bundle_has_not_is_refused_with_the_reason(
    tiny_bundle: Bundle, verdicts: dict[str, bool], reason: str
) -> None:
    bundle = judged(tiny_bundle, **verdicts)
    with pytest.raises(PrecisionError) as refused:
        load_engine(bundle, name="openvino", precision="int8", threads=1)
    assert str(refused.value) == (
        f"{bundle.path}: the bundle has no int8 variant: {reason}; use auto, bf16 or fp32"
    )


def test_fp16_is_refused(tiny_bundle: Bundle) -> None:
    with pytest.raises(PrecisionError, match="bf16 or int8; fp16 is the torch engine's"):
        load_engine(tiny_bundle, name="openvino", precision="fp16", threads=1)


@pytest.mark.parametrize("asked", ["int8", "auto"])
def test_int8_runs_the_file_of_its_own(with_int8: Bundle, asked: str) -> None:
    photos = np.random.default_rng(1).integers(0, 256, (3, 32, 32, 3), np.uint8)
    engine = load_engine(with_int8, name="openvino", precision=asked, threads=1)
    (found,) = engine.infer(photos).values()
    assert engine.precision == "int8"
    np.testing.assert_allclose(found[:, 0], photos.mean((1, 2, 3)), rtol=1e-5)


def test_engine_tells_whether_the_cpu_computes_as_asked(tmp_path: Path) -> None:
    file = tmp_path / "model.xml"
    mean_of_pixels(file)
    assert OpenVINOEngine(file, precision="fp32", threads=1).honoured
    native = openvino_engine.computes_in_bf16()
    if native:
        assert OpenVINOEngine(file, precision="bf16", threads=1).honoured
    assert OpenVINOEngine(file, precision="auto", threads=1).precision == (
        "bf16" if native else "fp32"
    )


def test_engines_that_come_and_go_leave_signals_working() -> None:
    program = """
import os, signal
import numpy as np, openvino
from openvino import opset13 as ops
from lookalike.model.engines.openvino_engine import OpenVINOEngine

def engine():
    photos = ops.parameter([-1, 4], np.uint8)
    result = ops.convert(photos, np.float32)
    result.output(0).set_names({"values"})
    return OpenVINOEngine(openvino.Model([result], [photos]), precision="fp32", threads=1)

first, second = engine(), engine()
del first
del second
signal.signal(signal.SIGTERM, lambda *_: print("stopping"))
os.kill(os.getpid(), signal.SIGTERM)
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "stopping\n")

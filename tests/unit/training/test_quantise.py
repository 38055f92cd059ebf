"""int8: calibrated on photos of the training split, of the same inputs and outputs, and smaller."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nncf
import numpy as np
import openvino
import pytest

from lookalike.model.bundle import OPENVINO_MODEL, Bundle
from lookalike.model.engines.openvino_engine import OpenVINOEngine
from training import quantise as quantising
from training.dataset import load_pixels
from training.prepare import Prepared, load_prepared, sample_photos
from training.quantise import quantise


@pytest.fixture(scope="module")
def prepared(data: Path) -> Prepared:
    return load_prepared(data)


def test_only_photos_of_the_training_split_calibrate(
    prepared: Prepared, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []

    def look(model: Any, dataset: nncf.Dataset, **options: Any) -> Any:
        photos: Iterable[np.ndarray] = dataset.get_inference_data()
        seen.extend(photo.tobytes() for photo in photos)
        assert options["subset_size"] == len(seen), "NNCF takes all of them"
        return model

    monkeypatch.setattr(nncf, "quantize", look)
    monkeypatch.setattr(quantising, "CALIBRATION_PHOTOS", 60)
    quantise(bundle / OPENVINO_MODEL, prepared, 32, tmp_path / "int8.xml")

    table = prepared.photos
    pixels = {name: load_pixels(prepared, name, 32).tobytes() for name in table["sha256"].unique()}
    of_split = {
        split: {pixels[name] for name in photos["sha256"]}
        for split, photos in table.groupby("split")
    }
    assert len(seen) == len(set(seen)) == 60
    assert set(seen) <= of_split["train"]
    assert not set(seen) & (of_split["validation"] | of_split["test"])


def test_int8_computes_nearly_the_same_from_a_quarter_of_the_bytes(
    prepared: Prepared, tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported, int8 = tiny_bundle.path / OPENVINO_MODEL, tmp_path / "int8.xml"
    monkeypatch.setattr(quantising, "CALIBRATION_PHOTOS", 40)
    quantise(exported, prepared, 32, int8)

    photos = np.stack(
        [
            load_pixels(prepared, name, 32)
            for name in sample_photos(prepared, "validation", 16)["sha256"]
        ]
    )
    fp32, found = (
        OpenVINOEngine(file, precision=name, threads=2).infer(photos)
        for file, name in ((exported, "fp32"), (int8, "int8"))
    )
    assert found.keys() == fp32.keys()
    for name, values in fp32.items():
        a, b = values.ravel(), found[name].ravel()
        assert a @ b / (np.linalg.norm(a) * np.linalg.norm(b)) > 0.9, name
        assert not np.array_equal(a, b), "quantised"
    sizes = [file.with_suffix(".bin").stat().st_size for file in (exported, int8)]
    assert sizes[1] < 0.3 * sizes[0]
    model = openvino.Core().read_model(int8)
    sources = [
        op.input_value(1).get_node().get_type_name()
        for op in model.get_ordered_ops()
        if op.get_type_name() == "Convolution"
    ]
    assert sources == ["Constant", *["Multiply"] * 16], "all but the first are scaled integers"
    (photo,) = model.inputs
    assert (photo.element_type, str(photo.partial_shape)) == (openvino.Type.u8, "[?,32,32,3]")

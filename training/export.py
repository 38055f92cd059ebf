"""A trained run → a model bundle, after checking that the export computes what torch computes."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import torch
from numpy.typing import NDArray

from embedder_service import bundle as bundles
from embedder_service.bundle import Bundle, Preprocessing
from embedder_service.engines.openvino_engine import OpenVINOEngine
from embedder_service.engines.torch_engine import TorchEngine
from lookalike.cpu import available_cores
from training.config import TrainConfig
from training.dataset import load_pixels
from training.errors import TrainingError
from training.evaluate import load_run
from training.features import to_openvino
from training.files import read_json
from training.model import architecture_of, outputs_of
from training.prepare import Prepared, load_prepared

MODEL_NAME = "lookalike-resnet50"
PARITY_PHOTOS = 32
# fp32 against fp32: only the order of additions differs.
PARITY_TOLERANCE = 1e-2
PARITY = "export_max_difference"


def export(data: Path, run: Path, out: Path, *, version: str = "") -> Bundle:
    """Writes the bundle of a complete and evaluated run; one that is there already is kept.

    Args:
        data: The prepared data set, for the labels and for photos to check the export with.
        run: The run.
        out: The bundle's directory.
        version: For people; empty for one derived from the embedding space.
    """
    prepared = load_prepared(data).labelled(TrainConfig.load(run / "config.json").labels)
    config, network = load_run(run, len(prepared.categories))
    weights = run / "model.safetensors"
    metrics = read_json(run / "metrics.json", "a run's metrics; run `training evaluate` first")
    kept = _kept(out, weights, config, metrics, version)
    if kept is not None:
        return kept
    _check_replaceable(out)
    print(
        f"converting to OpenVINO, then comparing it with torch on {PARITY_PHOTOS} photos …",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        model = to_openvino(network, config.image_size)
        exported = Path(folder) / "model.xml"
        # Half-precision weights would move the vectors away from torch's; bf16 is the engine's job.
        openvino.save_model(model, exported, compress_to_fp16=False)
        photos = _parity_photos(prepared, config.image_size)
        difference = _parity(network, model, photos)
        return bundles.write(
            out,
            name=MODEL_NAME,
            version=version,
            labels=prepared.categories,
            architecture=architecture_of(config),
            preprocessing=Preprocessing(config.image_size),
            outputs=outputs_of(config, len(prepared.categories)),
            metrics={**metrics, PARITY: difference},
            files={
                bundles.WEIGHTS: weights,
                bundles.OPENVINO_MODEL: exported,
                bundles.OPENVINO_WEIGHTS: exported.with_suffix(".bin"),
            },
        )


def _kept(
    out: Path, weights: Path, config: TrainConfig, metrics: dict[str, Any], version: str
) -> Bundle | None:
    try:
        bundle = bundles.load(out)
    except bundles.BundleError:
        return None
    manifest = bundle.manifest
    same = (
        manifest.files[bundles.WEIGHTS].sha256 == bundles.sha256_of(weights)
        and manifest.preprocessing == Preprocessing(config.image_size)
        and manifest.architecture == architecture_of(config)
        and manifest.outputs == outputs_of(config, len(manifest.labels))
        and {**manifest.metrics, PARITY: None} == {**metrics, PARITY: None}
        and version in {"", manifest.version}
    )
    return bundle if same else None


def _check_replaceable(out: Path) -> None:
    """Raises unless `out` is free or a bundle, since writing a bundle removes what is there."""
    if not out.exists() or (out / bundles.MANIFEST).is_file():
        return
    if not out.is_dir() or any(out.iterdir()):
        raise TrainingError(f"{out}: is there already, and is not a bundle; name another --out")


def _parity_photos(prepared: Prepared, size: int) -> NDArray[np.uint8]:
    chosen = prepared.photos["sha256"].drop_duplicates()[:PARITY_PHOTOS]
    return np.stack([load_pixels(prepared, sha256, size) for sha256 in chosen])


def _parity(network: torch.nn.Module, model: openvino.Model, photos: NDArray[np.uint8]) -> float:
    """Returns the largest difference of any value, relative to the outputs' spread."""
    reference = TorchEngine(network, precision="fp32", device="cpu").infer(photos)
    threads = available_cores()
    exported = OpenVINOEngine(model, precision="fp32", threads=threads).infer(photos)
    worst = 0.0
    for name, values in reference.items():
        difference = float(np.abs(values - exported[name]).max() / (values.std() + 1e-9))
        if not difference <= PARITY_TOLERANCE:
            raise TrainingError(
                f"the OpenVINO export's output '{name}' differs from torch's by {difference:.2g} "
                f"standard deviations on {len(photos)} photos; the limit is {PARITY_TOLERANCE:g}"
            )
        worst = max(worst, difference)
    return worst

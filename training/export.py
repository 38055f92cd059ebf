"""Exports a trained run as a model bundle, after comparing every variant with torch.

fp32 is the OpenVINO conversion of torch's network, bf16 the same file computed in bf16, int8 a file
of its own. Torch is the reference for fp32, on a few photos; fp32, once it agrees, is the reference
for the others, on the whole validation split: on a CPU that takes half the time of running torch on
every photo too.

The ranking is fitted on torch's outputs for all photos, whose features are already cached.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pandas as pd
from torch import nn

from lookalike.cpu import available_cores
from lookalike.files import read_json
from lookalike.model import bundle as bundles
from lookalike.model.bundle import (
    Bundle,
    Manifest,
    Parity,
    Preprocessing,
    TextTower,
    Variant,
)
from lookalike.model.engines.openvino_engine import OpenVINOEngine
from lookalike.model.engines.torch_engine import TorchEngine
from training.config import TrainConfig
from training.dataset import load_pixels
from training.errors import TrainingError
from training.evaluate import load_run
from training.features import to_openvino
from training.fitting import cannot_fit, fit
from training.judging import predictions_of_run
from training.model import architecture_of, outputs_of
from training.parity import MAX_PHOTOS, judged, like_torch, measure, violations
from training.prepare import Prepared, load_prepared, sample_photos
from training.quantise import quantise
from training.text.export import export_text, tower_of

MODEL_NAME = "lookalike-resnet50"
PARITY_PHOTOS = 32
# Both compute in fp32; only the order of additions differs.
PARITY_TOLERANCE = 1e-2
PARITY = "export_max_difference"
# Why no ranking came of trying to fit one: trying again would give the same.
NOT_FITTED = "export_not_fitted"


def export(
    data: Path, run: Path, out: Path, *, version: str = "", text: Path | None = None
) -> Bundle:
    """Writes the bundle of a complete and evaluated run; keeps an identical one.

    Args:
        data: The prepared data set: labels, calibration photos for int8, validation photos.
        run: The run.
        out: The bundle's directory.
        version: Display version; empty for one derived from the embedding space.
        text: The evaluated text run whose tower comes with it; None for none.

    Raises:
        TrainingError: fp32 disagrees with torch, or a file is missing. Another variant that
            misses a limit is not an error: int8 is then left out, and bf16 is marked in the
            manifest so that `auto` does not choose it.
    """
    prepared = load_prepared(data).labelled(TrainConfig.load(run / "config.json").labels)
    config, network = load_run(run, len(prepared.categories))
    weights = run / "model.safetensors"
    metrics = read_json(run / "metrics.json", "a run's metrics; run `training evaluate` first")
    splits = prepared.photos["split"].to_numpy().astype(np.str_)
    listings = prepared.photos["product_id"].to_numpy().astype(np.str_)
    ranks = not cannot_fit(len(config.embeddings), listings, splits)
    tower = tower_of(text) if text else None
    kept = _kept(out, weights, config, metrics, version=version, tower=tower, ranks=ranks)
    if kept is not None:
        return kept
    _check_replaceable(out)
    everything = predictions_of_run(network, config, prepared, np.ones(len(splits), bool))
    fitted = fit(everything, splits)
    print(*fitted.told, sep="\n", end="\n" if fitted.told else "")
    if fitted.lacking:
        what = "range of prices" if fitted.ranking else "ranking, likeness or range of prices"
        print(f"no {what} is fitted: {fitted.lacking}")
    tried = {NOT_FITTED: fitted.lacking} if ranks and fitted.ranking is None else {}
    judging = sample_photos(prepared, "validation", MAX_PHOTOS)
    with tempfile.TemporaryDirectory() as folder:
        print(
            f"converting to OpenVINO, comparing with torch on {PARITY_PHOTOS} photos …", flush=True
        )
        model = to_openvino(network, config.image_size)
        exported = Path(folder) / "model.xml"
        # Half-precision weights would change the vectors; bf16 is the engine's job.
        openvino.save_model(model, exported, compress_to_fp16=False)
        difference, parity = _compare_with_torch(
            network, exported, prepared, judging[:PARITY_PHOTOS], config.image_size
        )
        print("quantising …", flush=True)
        quantised = Path(folder) / "model-int8.xml"
        quantise(exported, prepared, config.image_size, quantised)
        variants = {
            "fp32": Variant(bundles.OPENVINO_MODEL, True, parity),
            **_judged(exported, quantised, prepared, judging, config.image_size),
        }
        files = {
            bundles.WEIGHTS: weights,
            bundles.OPENVINO_MODEL: exported,
            bundles.OPENVINO_WEIGHTS: exported.with_suffix(".bin"),
        }
        if variants["int8"].passed:
            files[bundles.OPENVINO_INT8_MODEL] = quantised
            files[bundles.OPENVINO_INT8_WEIGHTS] = quantised.with_suffix(".bin")
        words = None
        if text:
            print("converting and quantising the text tower …", flush=True)
            words = export_text(prepared, run, text, Path(folder))
            files |= words.files
        return bundles.write(
            out,
            name=MODEL_NAME,
            version=version,
            labels=prepared.categories,
            architecture=architecture_of(config),
            preprocessing=Preprocessing(config.image_size),
            outputs=outputs_of(config, len(prepared.categories)),
            metrics={**metrics, PARITY: difference, **tried},
            files=files,
            variants=variants,
            ranking=fitted.ranking,
            price_range=fitted.price_range,
            text=words.tower if words else None,
        )


def _kept(
    out: Path,
    weights: Path,
    config: TrainConfig,
    metrics: dict[str, Any],
    *,
    version: str,
    tower: TextTower | None,
    ranks: bool,
) -> Bundle | None:
    try:
        bundle = bundles.load(out)
    except bundles.BundleError:
        return None
    manifest = bundle.manifest
    ours = dict.fromkeys((PARITY, NOT_FITTED))
    same = (
        manifest.files[bundles.WEIGHTS].sha256 == bundles.sha256_of(weights)
        and manifest.preprocessing == Preprocessing(config.image_size)
        and manifest.architecture == architecture_of(config)
        and manifest.outputs == outputs_of(config, len(manifest.labels))
        and {**manifest.metrics, **ours} == {**metrics, **ours}
        and version in {"", manifest.version}
        and "int8" in manifest.variants
        and (manifest.ranking is not None or NOT_FITTED in manifest.metrics) == ranks
        and tower == (replace(manifest.text, variants={}) if manifest.text else None)
        # measured with today's limits
        and all(v.passed is not bool(violations(v.parity)) for v in _variants(manifest))
    )
    return bundle if same else None


def _variants(manifest: Manifest) -> list[Variant]:
    return [
        *manifest.variants.values(),
        *(manifest.text.variants if manifest.text else {}).values(),
    ]


def _check_replaceable(out: Path) -> None:
    """Raises TrainingError unless `out` is free or a bundle, since it gets replaced."""
    if not out.exists() or (out / bundles.MANIFEST).is_file():
        return
    if not out.is_dir() or any(out.iterdir()):
        raise TrainingError(f"{out}: is there already, and is not a bundle; name another --out")


def _compare_with_torch(
    network: nn.Module, exported: Path, prepared: Prepared, some: pd.DataFrame, size: int
) -> tuple[float, Parity]:
    """Returns the largest difference of a value relative to the output's spread, and the parity."""
    photos = np.stack([load_pixels(prepared, sha256, size) for sha256 in some["sha256"]])
    reference = TorchEngine(network, precision="fp32", device="cpu").infer(photos)
    found = _engine(exported, "fp32").infer(photos)
    return like_torch(
        reference,
        found,
        some["label"].to_numpy(),
        tolerance=PARITY_TOLERANCE,
        what="the OpenVINO export",
        of="photos",
    )


def _judged(
    exported: Path, quantised: Path, prepared: Prepared, judging: pd.DataFrame, size: int
) -> dict[str, Variant]:
    """Measures int8, and bf16 if this CPU supports it; returns the variants."""
    engines = {"bf16": _engine(exported, "bf16"), "int8": _engine(quantised, "int8")}
    if not engines["bf16"].honoured:  # would compare fp32 with itself
        del engines["bf16"]
    found = measure(_engine(exported, "fp32"), engines, prepared, judging, size)
    names = {
        "float_file": bundles.OPENVINO_MODEL, "int8_file": bundles.OPENVINO_INT8_MODEL,
    }  # fmt: skip
    return {precision: judged(precision, parity, **names) for precision, parity in found.items()}


def _engine(model: Path, precision: str) -> OpenVINOEngine:
    return OpenVINOEngine(model, precision=precision, threads=available_cores())

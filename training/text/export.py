"""Exports a text run as the text tower of a bundle, after comparing every variant with torch.

As for photos: fp32 on OpenVINO against torch on some listings, then bf16 and int8 against fp32 on
the whole validation split.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import nncf
import numpy as np
import openvino
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lookalike.cpu import available_cores
from lookalike.files import read_json
from lookalike.model.bundle import WEIGHTS, TextTower, Variant, sha256_of
from lookalike.model.engines.openvino_engine import OpenVINOEngine, core
from lookalike.model.engines.torch_text_network import TextNetwork
from lookalike.model.text import batch_of
from lookalike.model.text_tower import (
    OPENVINO_TEXT_INT8_MODEL,
    OPENVINO_TEXT_INT8_WEIGHTS,
    OPENVINO_TEXT_MODEL,
    OPENVINO_TEXT_WEIGHTS,
    TOKENIZER,
)
from training.parity import judged, like_torch, parity_of
from training.prepare import Prepared
from training.text.config import TextConfig
from training.text.data import texts_of
from training.text.train import TOKENIZER as RUN_TOKENIZER
from training.text.train import load_text_run, text_outputs

_PARITY_TEXTS = 32
# Both compute in fp32, the weights kept in half precision; only roundings differ.
_PARITY_TOLERANCE = 2e-2
_CALIBRATION_TEXTS = 100
_BATCH = 16

Rows = list[list[int]]
Outputs = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class ExportedText:
    """A text tower, and the source of each of its files by name in the bundle."""

    tower: TextTower
    files: Mapping[str, Path]


def tower_of(text: Path) -> TextTower:
    """Returns the text tower of an evaluated text run, without variants."""
    metrics = read_json(
        text / "metrics.json", "a text run's metrics; run `training evaluate-text` first"
    )
    config, fusion = TextConfig.load(text / "config.json"), metrics["fusion"]
    return TextTower(
        encoder=Path(config.encoder).name,
        weights_sha256=sha256_of(text / WEIGHTS),
        max_tokens=config.max_tokens,
        temperature=metrics["temperature"],
        photos_weight=fusion["photos"],
        words_weight=fusion["words"],
        photos_alone_weight=fusion["photos_alone"],
        metrics=metrics,
    )


def export_text(prepared: Prepared, run: Path, text: Path, folder: Path) -> ExportedText:
    """Converts and judges a text run.

    Args:
        prepared: The data set, labelled as the run was.
        run: The run of the photos' network.
        text: The evaluated text run.
        folder: Where to put the files.

    Raises:
        TrainingError: fp32 disagrees with torch, or a file is missing.
    """
    tower = tower_of(text)
    network, tokenizer = load_text_run(text, run, len(prepared.categories))
    texts = texts_of(prepared, tokenizer)
    judging = texts.rows("validation")
    rows = [texts.whole[row] for row in judging]
    labels = texts.roots[judging]
    exported, quantised = folder / "text.xml", folder / "text-int8.xml"
    # Half the size, and no answer moves by it: see the tolerance.
    openvino.save_model(to_openvino(network), exported, compress_to_fp16=True)
    expected = text_outputs(network, rows[:_PARITY_TEXTS])
    _, parity = like_torch(
        expected,
        _outputs(exported, "fp32", rows[:_PARITY_TEXTS]),
        labels[:_PARITY_TEXTS],
        tolerance=_PARITY_TOLERANCE,
        what="the text tower",
        of="listings",
    )
    some = np.random.default_rng(7).permutation(texts.rows("train"))[:_CALIBRATION_TEXTS]
    quantise(exported, [texts.whole[row] for row in some], quantised)
    variants = {
        "fp32": Variant(OPENVINO_TEXT_MODEL, True, parity),
        **_judged(exported, quantised, rows, labels),
    }
    files = {
        TOKENIZER: text / RUN_TOKENIZER,
        OPENVINO_TEXT_MODEL: exported,
        OPENVINO_TEXT_WEIGHTS: exported.with_suffix(".bin"),
    }
    if variants["int8"].passed:
        files[OPENVINO_TEXT_INT8_MODEL] = quantised
        files[OPENVINO_TEXT_INT8_WEIGHTS] = quantised.with_suffix(".bin")
    return ExportedText(replace(tower, variants=variants), files)


class _AsTuple(nn.Module):
    """Returns a dict's values as a tuple: tracing loses names."""

    def __init__(self, network: TextNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.network(ids, mask).values())


def to_openvino(network: TextNetwork) -> openvino.Model:
    """Converts a text tower; the number and the length of texts stay open."""
    # Without a fitted linear model of words there would be a table of zeros, quantised to which
    # OpenVINO 2026.4 dies while it compiles.
    for name in [
        name for name, counts in network.counts.items() if not counts.get_buffer("weights").any()
    ]:
        del network.counts[name]
    example = torch.ones(2, 16, dtype=torch.int64)
    # Some filled up: of a mask of ones alone, tracing would keep nothing.
    mask = example.tril(14)
    shape = openvino.PartialShape([-1, -1])
    with warnings.catch_warnings():
        # The converter looks at every attribute, those that transformers deprecates too; and
        # transformers asks whether a mask is all ones, which it is not above.
        warnings.simplefilter("ignore", FutureWarning)
        warnings.filterwarnings("ignore", "Converting a tensor to a Python boolean")
        model = openvino.convert_model(
            _AsTuple(network.eval()),
            example_input=(example, mask),
            input=[(shape, openvino.Type.i64), (shape, openvino.Type.i64)],
        )
    for output, described in zip(model.outputs, network.outputs, strict=True):
        output.get_tensor().set_names({described.name})
    return model


def quantise(exported: Path, rows: Rows, out: Path) -> None:
    """Writes the int8 variant of an exported tower, calibrated on tokens of training listings."""
    nncf.set_log_level(logging.WARNING)
    batches = [batch_of([row]) for row in rows]
    quantised = nncf.quantize(
        core().read_model(exported),
        nncf.Dataset([[tokens.ids, tokens.mask] for tokens in batches]),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(batches),
    )
    openvino.save_model(quantised, out, compress_to_fp16=False)


def _judged(
    exported: Path, quantised: Path, rows: Rows, labels: NDArray[np.int64]
) -> dict[str, Variant]:
    expected = _outputs(exported, "fp32", rows)
    variants = {}
    for precision, file in (("bf16", exported), ("int8", quantised)):
        engine = _engine(file, precision)
        if not engine.honoured:  # would compare fp32 with itself
            continue
        variants[precision] = judged(
            precision,
            parity_of(expected, _run(engine, rows), labels),
            float_file=OPENVINO_TEXT_MODEL,
            int8_file=OPENVINO_TEXT_INT8_MODEL,
        )
    return variants


def _engine(file: Path, precision: str) -> OpenVINOEngine:
    return OpenVINOEngine(file, precision=precision, threads=available_cores())


def _outputs(file: Path, precision: str, rows: Rows) -> Outputs:
    return _run(_engine(file, precision), rows)


def _run(engine: OpenVINOEngine, rows: Rows) -> Outputs:
    order = sorted(range(len(rows)), key=lambda row: len(rows[row]))
    parts = []
    for start in range(0, len(order), _BATCH):
        tokens = batch_of([rows[row] for row in order[start : start + _BATCH]])
        parts.append(engine.run(tokens.ids, tokens.mask))
    back = np.argsort(order)
    return {name: np.concatenate([part[name] for part in parts])[back] for name in parts[0]}

"""Quantises an exported network to int8, by NNCF's post-training quantisation."""

from __future__ import annotations

import logging
from pathlib import Path

import nncf
import openvino

from lookalike.model.engines.openvino_engine import core
from training.dataset import load_pixels
from training.prepare import Prepared, sample_photos

# With NNCF's default of 300 the figures were the same.
CALIBRATION_PHOTOS = 100


def quantise(exported: Path, prepared: Prepared, size: int, out: Path) -> None:
    """Writes the int8 variant of an export, calibrated on training photos.

    Args:
        exported: The OpenVINO model in fp32: uint8 of shape (N, size, size, 3) in.
        prepared: The data set. Validation and test photos stay unseen.
        size: Side of the input, in pixels.
        out: The .xml file to write; weights go beside it, as .bin.
    """
    nncf.set_log_level(logging.WARNING)
    names = sample_photos(prepared, "train", CALIBRATION_PHOTOS)["sha256"]
    photos = [load_pixels(prepared, name, size)[None] for name in names]
    model = core().read_model(exported)
    convolutions = (op for op in model.get_ordered_ops() if op.get_type_name() == "Convolution")
    quantised = nncf.quantize(
        model,
        nncf.Dataset(photos),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(photos),
        # In int8 the first convolution would do most of the harm, for 3 % of the work; the heads
        # read standardised values with long tails, and are 0.1 % of the work.
        ignored_scope=nncf.IgnoredScope(
            names=[next(convolutions).get_friendly_name()], types=["MatMul"]
        ),
    )
    openvino.save_model(quantised, out, compress_to_fp16=False)

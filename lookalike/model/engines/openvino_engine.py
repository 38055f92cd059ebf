"""The engine for CPUs: the bundle's OpenVINO export. Normalisation is part of its graph."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, Self

import numpy as np
import openvino
from numpy.typing import NDArray

from lookalike.model.bundle import OPENVINO_INT8_MODEL, OPENVINO_MODEL, Bundle
from lookalike.model.engines import PrecisionError


@functools.cache
def core() -> openvino.Core:
    """Returns the only Core of this process, which is never released.

    A Core that compiles for CPUs gives its thread another signal stack, and one that is released
    gives back what it found. Released in another order than they were made, Cores leave the thread
    with a stack that is gone, and the next signal ends the process (OpenVINO 2026.4).
    """
    return openvino.Core()


class OpenVINOEngine:
    """A compiled OpenVINO model with named outputs and one inference request.

    Args:
        model: The model, or its file.
        precision: `fp32`, `bf16`, `int8` for a model that was quantised, or `auto` for one that
            nobody judged: bf16 where the CPU computes in it natively, else fp32.
        threads: Threads of the forward pass.
        cache: Directory of compiled models; empty for none.

    Attributes:
        honoured: Whether the CPU computes as asked; one that knows no bf16 takes fp32 instead.
    """

    name = "openvino"

    def __init__(
        self, model: openvino.Model | Path, *, precision: str, threads: int, cache: str = ""
    ) -> None:
        if precision == "auto":
            precision = "bf16" if computes_in_bf16() else "fp32"
        self.precision = precision
        # What is left in floating point of an int8 model is computed in fp32, so that its verdict
        # holds on CPUs with and without bf16, which would gain 5 %.
        hint = openvino.Type.bf16 if precision == "bf16" else openvino.Type.f32
        properties: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": hint,
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",  # one batch at a time, on all threads
        }
        if cache:
            properties["CACHE_DIR"] = cache
        compiled = core().compile_model(model, "CPU", properties)
        self.honoured = bool(compiled.get_property("INFERENCE_PRECISION_HINT") == hint)
        self._request = compiled.create_infer_request()

    @classmethod
    def load(cls, bundle: Bundle, *, precision: str, threads: int, cache: str = "") -> Self:
        """Compiles the variant of a bundle that `precision_for` names."""
        precision = precision_for(bundle, precision)
        name = OPENVINO_INT8_MODEL if precision == "int8" else OPENVINO_MODEL
        return cls(bundle.file(name), precision=precision, threads=threads, cache=cache)

    def infer(self, batch: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """Runs the model; see `Engine.infer`."""
        results = self._request.infer([batch], share_inputs=True)
        return {output.any_name: values for output, values in results.items()}


def precision_for(bundle: Bundle, asked: str) -> str:
    """Returns the precision that a bundle is run in.

    Args:
        bundle: A verified bundle.
        asked: `fp32`, `bf16` or `int8` for just that, or `auto` for the fastest that `export` found
            to keep the model's answers: int8; bf16 where the CPU computes in it natively; fp32.

    Raises:
        PrecisionError: int8 is asked for, and the bundle does not hold it; or fp16.
    """
    if asked == "fp16":
        raise PrecisionError("OpenVINO computes in fp32, bf16 or int8; fp16 is the torch engine's")
    shipped = OPENVINO_INT8_MODEL in bundle.manifest.files
    if asked == "int8" and not shipped:
        judged = "int8" in bundle.manifest.variants
        reason = "it missed the limits of export" if judged else "export did not make it"
        raise PrecisionError(
            f"{bundle.path}: the bundle has no int8 variant: {reason}; use auto, bf16 or fp32"
        )
    if asked != "auto":
        return asked
    if shipped and bundle.passed("int8"):
        return "int8"
    return "bf16" if bundle.passed("bf16") and computes_in_bf16() else "fp32"


def computes_in_bf16() -> bool:
    """Returns whether the CPU has instructions for bf16, in which it is about twice as fast."""
    native: Any = core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "BF16" in native

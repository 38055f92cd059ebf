"""The CPU engine: runs the bundle's OpenVINO export, whose graph includes normalisation."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import openvino
from numpy.typing import NDArray

from lookalike.model.bundle import OPENVINO_INT8_MODEL, OPENVINO_MODEL, Bundle
from lookalike.model.engines import PrecisionError
from lookalike.model.text_tower import OPENVINO_TEXT_INT8_MODEL, OPENVINO_TEXT_MODEL
from lookalike.model.variants import Variant


@functools.cache
def core() -> openvino.Core:
    """Returns the only Core of this process, which is never released.

    A Core that compiles for CPUs replaces its thread's signal stack, and restores the previous one
    when it is released. Cores released out of order leave the thread with a freed stack, and the
    next signal kills the process (OpenVINO 2026.4).
    """
    return openvino.Core()


class OpenVINOEngine:
    """A compiled OpenVINO model with named outputs and one inference request.

    Args:
        model: The model, or its file.
        precision: `fp32`, `bf16`, `int8` for a quantised model, or `auto` for a model without
            measured variants: bf16 if the CPU supports it natively, else fp32.
        threads: Threads of the forward pass.
        cache: Directory of compiled models; empty for none.

    Attributes:
        honoured: Whether the CPU computes in the requested precision; without bf16 it uses fp32.
    """

    name = "openvino"

    def __init__(
        self, model: openvino.Model | Path, *, precision: str, threads: int, cache: str = ""
    ) -> None:
        if precision == "auto":
            precision = "bf16" if computes_in_bf16() else "fp32"
        self.precision = precision
        # The floating-point rest of an int8 model runs in fp32, so that its measured figures hold
        # on CPUs with and without bf16, which would gain 5 %.
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
        return self.run(batch)

    def run(self, *inputs: NDArray[Any]) -> dict[str, NDArray[np.float32]]:
        """Returns each output by name, of a model with any inputs."""
        results = self._request.infer(list(inputs), share_inputs=True)
        return {output.any_name: values for output, values in results.items()}


def load_text_engine(
    bundle: Bundle, *, precision: str, threads: int, cache: str = ""
) -> OpenVINOEngine:
    """Compiles the text tower of a bundle that has one: in go ids and mask, int64 of (N, length).

    Args:
        bundle: A verified bundle.
        precision: As of `precision_for`; what the tower does not have is like `auto`, since the
            photos' network may have it.
        threads: Threads of the forward pass.
        cache: Directory of compiled models; empty for none.
    """
    assert bundle.manifest.text is not None
    variants = bundle.manifest.text.variants
    if precision not in {"fp32", "bf16"}:
        precision = _fastest(variants)
    name = OPENVINO_TEXT_INT8_MODEL if precision == "int8" else OPENVINO_TEXT_MODEL
    return OpenVINOEngine(bundle.file(name), precision=precision, threads=threads, cache=cache)


def precision_for(bundle: Bundle, asked: str) -> str:
    """Returns the precision in which a bundle's network of photos runs.

    Args:
        bundle: A verified bundle.
        asked: `fp32`, `bf16` or `int8`, or `auto` for the fastest that passed `export`'s checks:
            int8; bf16 if the CPU supports it natively; fp32.

    Raises:
        PrecisionError: For int8 that the bundle does not hold, and for fp16.
    """
    if asked == "fp16":
        raise PrecisionError("OpenVINO computes in fp32, bf16 or int8; fp16 is the torch engine's")
    variants = bundle.manifest.variants
    if asked == "int8" and OPENVINO_INT8_MODEL not in bundle.manifest.files:
        reason = (
            "it missed the limits of export" if "int8" in variants else "export did not make it"
        )
        raise PrecisionError(
            f"{bundle.path}: the bundle has no int8 variant: {reason}; use auto, bf16 or fp32"
        )
    return _fastest(variants) if asked == "auto" else asked


def _fastest(variants: Mapping[str, Variant]) -> str:
    passed = {name for name, variant in variants.items() if variant.passed}
    if "int8" in passed:
        return "int8"
    return "bf16" if "bf16" in passed and computes_in_bf16() else "fp32"


def computes_in_bf16() -> bool:
    """Returns whether the CPU has bf16 instructions, which are about twice as fast as fp32."""
    native: Any = core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "BF16" in native

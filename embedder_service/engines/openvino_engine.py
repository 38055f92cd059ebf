"""The engine for CPUs: the bundle's OpenVINO export. Normalisation is part of its graph."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import openvino
from numpy.typing import NDArray

from embedder_service.bundle import OPENVINO_MODEL, Bundle


class OpenVINOEngine:
    """A compiled OpenVINO model with named outputs and one inference request."""

    name = "openvino"

    def __init__(self, model: Any, *, precision: str, threads: int) -> None:
        core = openvino.Core()
        if precision == "auto":
            native = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
            precision = "bf16" if "BF16" in native else "fp32"
        self.precision = precision
        properties = {
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",  # one batch at a time, on all threads
        }
        self._request = core.compile_model(model, "CPU", properties).create_infer_request()

    @classmethod
    def load(cls, bundle: Bundle, *, precision: str, threads: int) -> Self:
        """Compiles a bundle's export."""
        model = openvino.Core().read_model(bundle.file(OPENVINO_MODEL))
        return cls(model, precision=precision, threads=threads)

    def infer(self, batch: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """Runs the model; see `Engine.infer`."""
        results = self._request.infer([batch], share_inputs=True)
        return {output.any_name: values for output, values in results.items()}

"""Engines run a bundle's network on batches of pixels; this module selects one."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lookalike.model.bundle import Bundle


class PrecisionError(Exception):
    """An engine does not support the requested precision; the message says why."""


class Engine(Protocol):
    """Runs the network. `infer` is called by one thread at a time."""

    name: str
    precision: str

    def infer(self, batch: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """Returns each output by name, of shape (N, dimension).

        Args:
            batch: uint8 of shape (N, size, size, 3), RGB.
        """
        ...


def load_engine(
    bundle: Bundle, *, name: str, precision: str, threads: int, cache: str = ""
) -> Engine:
    """Loads and compiles an engine for a bundle.

    Args:
        bundle: A verified bundle.
        name: `openvino` or `torch`; only the named one is imported.
        precision: `fp32`, `bf16`, `fp16` (torch only), `int8` (OpenVINO only), or `auto`: on
            OpenVINO the fastest that passed `export`'s checks; on torch bf16 with CUDA, else fp32.
        threads: Threads of the forward pass.
        cache: Directory of compiled models (OpenVINO only); empty for none.

    Raises:
        BundleError: The bundle lacks what the engine needs.
        PrecisionError: The engine or the bundle does not support the precision.
    """
    if name == "torch":
        from lookalike.model.engines.torch_engine import TorchEngine  # noqa: PLC0415

        return TorchEngine.load(bundle, precision=precision, threads=threads)
    from lookalike.model.engines.openvino_engine import OpenVINOEngine  # noqa: PLC0415

    return OpenVINOEngine.load(bundle, precision=precision, threads=threads, cache=cache)

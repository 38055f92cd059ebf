"""The reference engine and the GPU engine: the bundle's weights in PyTorch, on CPU or CUDA."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from lookalike.model.bundle import WEIGHTS, Bundle
from lookalike.model.engines import PrecisionError
from lookalike.model.engines.torch_network import Network

_HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}

Forward: TypeAlias = Callable[[Tensor], dict[str, Tensor]]


class TorchEngine:
    """A torch module in evaluation mode, from uint8 photos to named outputs.

    Args:
        network: The module, on any device.
        precision: `fp32`, `bf16` or `fp16`.
        device: `cpu` or `cuda`; on CUDA each batch shape is captured as a graph at its first use,
            so use few batch sizes.
    """

    name = "torch"

    def __init__(self, network: nn.Module, *, precision: str, device: str) -> None:
        self.precision = precision
        self._device = torch.device(device)
        # Convolutions in half precision are fastest with channels last, on GPUs and CPUs alike.
        self._network = network.eval().to(self._device)
        for parameter in self._network.parameters():
            if parameter.dim() == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        self._captured: dict[tuple[int, ...], _Captured] = {}

    @classmethod
    def load(cls, bundle: Bundle, *, precision: str, threads: int) -> Self:
        """Loads the bundle's network, on CUDA if there is a device; `auto` means bf16 there."""
        if precision == "int8":
            raise PrecisionError(
                "the torch engine computes in fp32, bf16 or fp16; int8 is OpenVINO's"
            )
        manifest = bundle.manifest
        network = Network(manifest.architecture, manifest.preprocessing, manifest.outputs)
        network.load_state_dict(load_file(bundle.file(WEIGHTS)))
        torch.set_num_threads(threads)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        if precision == "auto":
            precision = "bf16" if device == "cuda" else "fp32"
        return cls(network, precision=precision, device=device)

    @torch.inference_mode()
    def infer(self, batch: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """Runs the network; see `Engine.infer`."""
        images = torch.from_numpy(batch)
        if self._device.type != "cuda":
            outputs = self._forward(images)
        else:
            if batch.shape not in self._captured:
                self._captured[batch.shape] = _Captured(self._forward, images.to(self._device))
            outputs = self._captured[batch.shape](images)
        return {name: values.float().cpu().numpy() for name, values in outputs.items()}

    def _forward(self, images: Tensor) -> dict[str, Tensor]:
        half = _HALF.get(self.precision)
        # A cache of cast weights would be filled during capture and empty at replay.
        with torch.autocast(self._device.type, half, half is not None, cache_enabled=False):
            outputs: dict[str, Tensor] = self._network(images)
        return outputs


class _Captured:
    """A network's forward pass for one shape, recorded as a CUDA graph.

    A replay is one launch. A ResNet50 otherwise has about 150, each of which costs Python and the
    driver more time than a small batch costs the GPU.

    Args:
        forward: The function to record.
        images: Any batch of the shape, on the GPU; each replay reads its pixels from it.
    """

    def __init__(self, forward: Forward, images: Tensor) -> None:
        self._images = images
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):  # libraries choose algorithms in the first passes
            for _ in range(3):
                forward(images)
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        # This thread only: while a new model is captured, the old one runs on another thread.
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            self._outputs = forward(images)

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        self._images.copy_(images)
        self._graph.replay()
        return self._outputs

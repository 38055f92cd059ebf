"""The reference engine: the bundle's weights in PyTorch, on CPU or CUDA."""

from __future__ import annotations

from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import nn

from embedder_service.bundle import WEIGHTS, Bundle
from embedder_service.engines import PrecisionError
from embedder_service.engines.torch_network import Network


class TorchEngine:
    """A torch module in evaluation mode, from uint8 photos to named outputs."""

    name = "torch"

    def __init__(self, network: nn.Module, *, precision: str, device: str) -> None:
        self.precision = precision
        self._device = torch.device(device)
        self._network = network.eval().to(self._device)

    @classmethod
    def load(cls, bundle: Bundle, *, precision: str, threads: int) -> Self:
        """Builds the bundle's network; CUDA if there is a device, where `auto` means bf16."""
        if precision == "int8":
            raise PrecisionError("the torch engine computes in fp32 or bf16; int8 is OpenVINO's")
        manifest = bundle.manifest
        network = Network(manifest.architecture, manifest.preprocessing, manifest.outputs)
        network.load_state_dict(load_file(bundle.file(WEIGHTS)))
        torch.set_num_threads(threads)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        if precision == "auto":
            precision = "bf16" if device == "cuda" else "fp32"
        return cls(network, precision=precision, device=device)

    def infer(self, batch: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """Runs the network; see `Engine.infer`."""
        images = torch.from_numpy(batch).to(self._device)
        half = self.precision == "bf16"
        with torch.inference_mode(), torch.autocast(self._device.type, torch.bfloat16, half):
            outputs = self._network(images)
        return {name: values.float().cpu().numpy() for name, values in outputs.items()}

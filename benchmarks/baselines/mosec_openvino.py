"""mosec with our engine and our decode: what its users would write.

python -m benchmarks.baselines.mosec_openvino --port PORT, with BUNDLE and CORES in the environment
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from mosec import Server, Worker

from lookalike.catalogue.images import ImageLimits
from lookalike.model import bundle as bundles
from lookalike.model.engines import load_engine
from lookalike.model.preprocessing import preprocess

BUNDLE = Path(os.environ["BUNDLE"])
CORES = int(os.environ["CORES"])
BATCH = 8


class Decode(Worker):
    """Encoded photo → pixels."""

    def __init__(self) -> None:
        self._size = bundles.load(BUNDLE).manifest.preprocessing.size

    def deserialize(self, data: bytes) -> bytes:
        return data

    def forward(self, data: bytes) -> np.ndarray:
        return preprocess(data, self._size, ImageLimits())


class Embed(Worker):
    """Pixels of several photos → vectors."""

    def __init__(self) -> None:
        self._engine = load_engine(
            bundles.load(BUNDLE), name="openvino", precision="int8", threads=CORES
        )

    def forward(self, data: list[np.ndarray]) -> list[list[float]]:
        values: list[list[float]] = self._engine.infer(np.stack(data))["category"].tolist()
        return values


if __name__ == "__main__":
    server = Server()  # type: ignore[no-untyped-call]
    server.append_worker(Decode, num=CORES)
    server.append_worker(Embed, max_batch_size=BATCH)
    server.run()  # type: ignore[no-untyped-call]

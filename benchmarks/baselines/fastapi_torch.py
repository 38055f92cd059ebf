"""FastAPI and torch as earlier work had them: a photo a request, eager, in float.

python -m benchmarks.baselines.fastapi_torch BUNDLE PORT
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import torch
import uvicorn
from fastapi import FastAPI, Request
from PIL import Image
from safetensors.torch import load_file

from lookalike.model import bundle as bundles
from lookalike.model.engines.torch_network import Network


def application(path: Path) -> FastAPI:
    """Returns the application; it answers `POST /embed` of a photo with 13 floats."""
    bundle = bundles.load(path)
    manifest = bundle.manifest
    network = Network(manifest.architecture, manifest.preprocessing, manifest.outputs).eval()
    network.load_state_dict(load_file(bundle.file(bundles.WEIGHTS)))
    size = manifest.preprocessing.size
    app = FastAPI()

    @app.post("/embed")
    async def embed(request: Request) -> list[float]:
        image = Image.open(io.BytesIO(await request.body())).convert("RGB")
        pixels = torch.from_numpy(np.array(image.resize((size, size))))[None]
        with torch.inference_mode():
            values: list[float] = network(pixels)["category"][0].tolist()
        return values

    return app


if __name__ == "__main__":
    uvicorn.run(application(Path(sys.argv[1])), port=int(sys.argv[2]), log_level="warning")

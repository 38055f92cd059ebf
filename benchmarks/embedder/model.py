"""What is served: a ResNet50 at 224 pixels with random weights, and photos of two sizes.

How fast a network computes does not depend on its weights, so nothing is trained here.
"""

from __future__ import annotations

import io
import itertools
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import nncf
import numpy as np
import openvino
import torch
from PIL import Image
from safetensors.torch import save_file

from lookalike.catalogue.images import ImageLimits
from lookalike.model import bundle as bundles
from lookalike.model.bundle import Architecture, Bundle, BundleError, Output, Preprocessing
from lookalike.model.engines.torch_network import Network
from lookalike.model.preprocessing import preprocess
from sample.marketplace import write_sample
from training.features import to_openvino

SIZE = 224
OUTPUTS = (Output("category", 13, "logits"), Output("features", 128, "embedding"))
SMALL, LARGE = (400, 533), (3000, 4000)


def served_bundle(path: Path, photos: Sequence[bytes], size: int = SIZE) -> Bundle:
    """Returns the bundle, made where it is not there yet; int8 is calibrated on the photos."""
    try:
        return bundles.load(path)
    except BundleError:
        pass  # none, or of another version
    architecture, preprocessing = Architecture(head_units=1024), Preprocessing(size)
    torch.manual_seed(7)
    network = Network(architecture, preprocessing, OUTPUTS).eval()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        model = to_openvino(network, size)
        openvino.save_model(model, scratch / "model.xml", compress_to_fp16=False)
        pixels = [preprocess(photo, size, ImageLimits())[None] for photo in photos]
        matrices = nncf.IgnoredScope(types=["MatMul"])
        quantised = nncf.quantize(
            model, nncf.Dataset(pixels), subset_size=len(pixels), ignored_scope=matrices
        )
        openvino.save_model(quantised, scratch / "int8.xml", compress_to_fp16=False)
        save_file(network.state_dict(), scratch / "weights")
        return bundles.write(
            path,
            name="benchmark",
            version="1",
            labels=tuple(str(number) for number in range(13)),
            architecture=architecture,
            preprocessing=preprocessing,
            outputs=OUTPUTS,
            metrics={},
            files={
                bundles.WEIGHTS: scratch / "weights",
                bundles.OPENVINO_MODEL: scratch / "model.xml",
                bundles.OPENVINO_WEIGHTS: scratch / "model.bin",
                bundles.OPENVINO_INT8_MODEL: scratch / "int8.xml",
                bundles.OPENVINO_INT8_WEIGHTS: scratch / "int8.bin",
            },
        )


def photos_of(size: tuple[int, int], count: int) -> list[bytes]:
    """Returns drawn photos as JPEG, with the noise of a camera, since flat ones decode faster."""
    with tempfile.TemporaryDirectory() as folder:
        write_sample(Path(folder) / "market", listings=40, queries=0)
        files = sorted((Path(folder) / "market/images").glob("*.jpg"))
        noise = np.random.default_rng(7)
        return list(itertools.islice(_resized(files, size, noise), count))


def _resized(
    files: Sequence[Path], size: tuple[int, int], noise: np.random.Generator
) -> Iterator[bytes]:
    for file in itertools.cycle(files):
        try:
            with Image.open(file) as image:
                pixels = np.asarray(image.convert("RGB").resize(size, Image.Resampling.BICUBIC))
        except OSError:
            continue  # the sample has bad photos too
        grain = noise.normal(0, 6, pixels.shape[:2])[..., None]
        out = io.BytesIO()
        Image.fromarray((pixels + grain).clip(0, 255).astype(np.uint8)).save(out, "JPEG")
        yield out.getvalue()

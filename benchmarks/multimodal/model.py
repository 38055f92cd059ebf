"""The benchmarks' bundle with a text tower, and words to read."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import openvino
import torch

from lookalike.limits import MAX_TEXT_LENGTH
from lookalike.model import bundle as bundles
from lookalike.model.bundle import Bundle, BundleError, Parity, TextTower, Variant
from lookalike.model.engines.torch_text_network import TextNetwork
from lookalike.model.text import TextTokenizer
from lookalike.model.text_tower import (
    OPENVINO_TEXT_INT8_MODEL,
    OPENVINO_TEXT_INT8_WEIGHTS,
    OPENVINO_TEXT_MODEL,
    OPENVINO_TEXT_WEIGHTS,
    TOKENIZER,
)
from training.text.config import PACKAGED
from training.text.encoder import load_encoder
from training.text.export import quantise, to_openvino

TOKENS = 128
_CALIBRATION = 32
# Nothing was trained, so there is nothing to keep to: the embedder takes the fastest.
_PASSED = Parity(0, 1.0, 1.0, 0.0, {}, {})
_WORDS = """
green velvet armchair oak table lamp bicycle garden shelf leather sofa kitchen cupboard child seat
bed frame mattress desk chair mirror rug curtain drill saw ladder tent guitar piano camera phone
laptop monitor printer speaker boots jacket dress watch ring book game
""".split()  # noqa: SIM905


def reading_bundle(path: Path, plain: Bundle) -> Bundle:
    """Returns a bundle with a text tower beside its network, made where it is not there yet."""
    try:
        return bundles.load(path)
    except BundleError:
        pass  # none, or of another version
    encoder = load_encoder(PACKAGED)
    torch.manual_seed(7)
    network = TextNetwork(encoder.model, plain.manifest.outputs).eval()
    for counts in network.counts.values():
        counts.get_buffer("weights").normal_()
        counts.get_buffer("rarity").uniform_(1, 8)
    tokenizer = TextTokenizer(encoder.tokenizer, TOKENS)
    with tempfile.TemporaryDirectory() as folder:
        exported, quantised = Path(folder) / "text.xml", Path(folder) / "text-int8.xml"
        openvino.save_model(to_openvino(network), exported, compress_to_fp16=True)
        texts = listings(7)
        quantise(exported, tokenizer.rows([next(texts) for _ in range(_CALIBRATION)]), quantised)
        tower = TextTower(
            encoder=PACKAGED,
            weights_sha256="",
            max_tokens=TOKENS,
            temperature=1.0,
            photos_weight=1.0,
            words_weight=1.0,
            photos_alone_weight=1.0,
            variants={
                "fp32": Variant(OPENVINO_TEXT_MODEL, True, _PASSED),
                "bf16": Variant(OPENVINO_TEXT_MODEL, True, _PASSED),
                "int8": Variant(OPENVINO_TEXT_INT8_MODEL, True, _PASSED),
            },
        )
        files = {
            TOKENIZER: encoder.tokenizer,
            OPENVINO_TEXT_MODEL: exported,
            OPENVINO_TEXT_WEIGHTS: exported.with_suffix(".bin"),
            OPENVINO_TEXT_INT8_MODEL: quantised,
            OPENVINO_TEXT_INT8_WEIGHTS: quantised.with_suffix(".bin"),
        }
        return _with_tower(plain, tower, files, path)


def without(bundle: Bundle, precision: str, path: Path) -> Bundle:
    """Returns the bundle with one precision of words less, for the embedder to take the next."""
    tower = bundle.manifest.text
    assert tower is not None
    kept = {name: each for name, each in tower.variants.items() if name != precision}
    return _with_tower(bundle, replace(tower, variants=kept), {}, path)


def _with_tower(bundle: Bundle, tower: TextTower, files: Mapping[str, Path], path: Path) -> Bundle:
    manifest = bundle.manifest
    return bundles.write(
        path,
        name=manifest.name,
        version=manifest.version,
        labels=manifest.labels,
        architecture=manifest.architecture,
        preprocessing=manifest.preprocessing,
        outputs=manifest.outputs,
        metrics=manifest.metrics,
        files={**{name: bundle.path / name for name in manifest.files}, **files},
        variants=manifest.variants,
        text=tower,
    )


def listings(seed: int, words: int = 160) -> Iterator[str]:
    """Yields texts of more tokens than are read, each another."""
    dice = random.Random(seed)
    while True:
        yield " ".join(dice.choices(_WORDS, k=words))


def hostile_texts() -> list[str]:
    """Returns texts of the greatest length that a cleaning by careless patterns takes long for."""
    many = [
        "\ufdfa", "\u0344\u0316", "<!--", "<a", " ", "|in ", "| in a", "a@a.", "a.", "&amp;", "&x",
        "+1 (0) ", "0 ", "Posted by ", "Posted by a in A", "Posted by a. ",
    ]  # fmt: skip
    return [(each * MAX_TEXT_LENGTH)[: MAX_TEXT_LENGTH - 1] + "|" for each in many]


def titles(seed: int) -> Iterator[str]:
    """Yields titles of a few words."""
    dice = random.Random(seed)
    while True:
        yield " ".join(dice.choices(_WORDS, k=dice.randint(3, 7)))

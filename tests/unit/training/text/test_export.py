"""A text run becomes the text tower of a bundle, which reads as the run did."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import openvino
import pytest

import training.export
from lookalike.catalogue.categories import CATEGORIES
from lookalike.files import FileError
from lookalike.model import bundle as bundles
from lookalike.model.engines.openvino_engine import OpenVINOEngine, load_text_engine
from lookalike.model.engines.torch_word_counts import BUCKETS
from lookalike.model.text import TextTokenizer, batch_of
from lookalike.model.text_tower import OPENVINO_TEXT_INT8_MODEL, TOKENIZER
from training.export import export
from training.parity import violations
from training.text.evaluate import evaluate_text
from training.text.export import to_openvino, tower_of
from training.text.train import load_text_run, text_outputs


@pytest.fixture
def no_quantisation(converted: openvino.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Saves the seconds of converting and quantising the photos' network."""

    def copied(exported: Path, _: object, __: int, out: Path) -> None:
        for suffix in (".xml", ".bin"):
            shutil.copyfile(exported.with_suffix(suffix), out.with_suffix(suffix))

    monkeypatch.setattr(training.export, "to_openvino", lambda *_: converted)
    monkeypatch.setattr(training.export, "quantise", copied)


@pytest.mark.usefixtures("no_quantisation")
def test_a_bundle_reads_words_as_its_text_run_does(
    data: Path, run: Path, text_run: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = evaluate_text(data, run, text_run)
    plain = export(data, run, scratch / "plain")
    bundle = export(data, run, scratch / "bundle", text=text_run)

    assert bundles.load(bundle.path) == bundle
    tower = bundle.manifest.text
    assert tower is not None
    assert tower.metrics == metrics
    assert (tower.max_tokens, tower.temperature) == (48, metrics["temperature"])
    fusion = metrics["fusion"]
    assert (tower.photos_weight, tower.words_weight) == (fusion["photos"], fusion["words"])
    assert tower.photos_alone_weight == fusion["photos_alone"]
    assert {"fp32", "int8"} <= tower.variants.keys() <= {"fp32", "bf16", "int8"}
    for variant in tower.variants.values():
        assert variant.passed is not bool(violations(variant.parity))
    shipped = OPENVINO_TEXT_INT8_MODEL in bundle.manifest.files
    assert shipped == tower.variants["int8"].passed
    # Vectors of photos stay comparable: nothing has to be indexed anew.
    assert bundle.manifest.embedding_space == plain.manifest.embedding_space

    engine = load_text_engine(bundle, precision="fp32", threads=1)
    tokenizer = TextTokenizer(bundle.file(TOKENIZER), tower.max_tokens)
    rows = tokenizer.rows(["An oak table", "A bicycle with blue wheels and a basket"])
    tokens = batch_of(rows)
    network, _ = load_text_run(text_run, run, len(CATEGORIES))
    for name, values in text_outputs(network, rows).items():
        found = engine.run(tokens.ids, tokens.mask)[name]
        np.testing.assert_allclose(found, values, atol=0.02 * float(values.std()) + 1e-3)

    monkeypatch.delattr(training.export, "to_openvino")
    assert export(data, run, scratch / "bundle", text=text_run) == bundle, "kept"
    assert export(data, run, scratch / "plain") == plain, "kept"


def test_a_text_run_that_was_not_judged_is_not_exported(text_run: Path, scratch: Path) -> None:
    shutil.copytree(text_run, scratch / "text")
    (scratch / "text" / "metrics.json").unlink(missing_ok=True)
    with pytest.raises(FileError, match="run `training evaluate-text` first"):
        tower_of(scratch / "text")


def test_a_linear_model_that_was_not_fitted_is_left_out(text_run: Path, run: Path) -> None:
    network, tokenizer = load_text_run(text_run, run, len(CATEGORIES))
    tokens = batch_of(tokenizer.rows(["An oak table"]))
    for counts in network.counts.values():
        counts.get_buffer("weights").zero_()
        counts.get_buffer("bias").zero_()
    expected = text_outputs(network, tokenizer.rows(["An oak table"]))["category"]
    model = to_openvino(network)
    assert not any(
        BUCKETS in op.get_output_shape(0)
        for op in model.get_ordered_ops()
        if op.get_type_name() == "Constant"
    )
    found = OpenVINOEngine(model, precision="fp32", threads=1).run(tokens.ids, tokens.mask)
    np.testing.assert_allclose(found["category"], expected, atol=1e-4)

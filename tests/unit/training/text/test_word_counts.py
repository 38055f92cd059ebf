"""A linear model of words is added to a tower's logits, and engines compute it as torch does."""

from __future__ import annotations

import numpy as np
import openvino
import pytest
import torch
from torch import nn

from lookalike.model.engines.openvino_engine import OpenVINOEngine
from lookalike.model.engines.torch_text_network import TextNetwork
from lookalike.model.engines.torch_word_counts import BUCKETS, WordCounts, buckets_of
from lookalike.model.text import batch_of
from training.text.data import Texts
from training.text.word_counts import fit_word_counts

CLASSES = 5
LISTINGS = 200


@pytest.fixture
def texts() -> Texts:
    """Listings of five kinds of words, of which a fifth belong to another kind."""
    dice = np.random.default_rng(7)
    kinds = dice.integers(0, 4, LISTINGS)  # of the last category there is none
    whole = [[101, *(1000 + 50 * kind + dice.integers(0, 40, 6)).tolist()] for kind in kinds]
    numbers = np.arange(LISTINGS)
    split = np.where(numbers % 5 == 0, "validation", "train")
    return Texts(numbers.astype(np.str_), split, kinds, kinds, [row[:3] for row in whole], whole)


class Tower(nn.Module):
    """The parts of a text network that are fitted."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.ModuleDict({"category": nn.Linear(8, CLASSES)})
        self.counts = nn.ModuleDict({"category": WordCounts(CLASSES)})


def logits_of(counts: nn.Module, rows: list[list[int]]) -> np.ndarray:
    tokens = batch_of(rows)
    with torch.inference_mode():
        return np.asarray(counts(torch.from_numpy(tokens.ids), torch.from_numpy(tokens.mask)))


def fitted(texts: Texts) -> tuple[Tower, np.ndarray, object]:
    tower = Tower()
    chosen = texts.rows("validation")
    said = np.random.default_rng(3).normal(0, 1, (len(chosen), CLASSES)).astype(np.float32)
    return (
        tower,
        said,
        fit_word_counts(
            tower,
            texts,  # type: ignore[arg-type]
            said,
            inverse=20.0,
            spread=float(said.std()),
        ),
    )


def test_words_that_tell_the_category_outweigh_a_tower_that_does_not(texts: Texts) -> None:
    tower, said, counted = fitted(texts)
    assert counted.counts_accuracy == counted.accuracy == 1  # type: ignore[attr-defined]
    assert counted.counts > 3 * counted.tower  # type: ignore[attr-defined]
    chosen = texts.rows("validation")
    found = logits_of(tower.counts["category"], [texts.whole[row] for row in chosen])
    np.testing.assert_array_equal(found.argmax(axis=1), texts.roots[chosen])
    assert (found.argmax(axis=1) != 4).all()
    assert said.shape == found.shape


def test_a_text_counts_the_same_whatever_its_batch_is_filled_up_to(texts: Texts) -> None:
    counts = fitted(texts)[0].counts["category"]
    alone = logits_of(counts, texts.whole[:1])
    beside = logits_of(counts, [texts.whole[0], [7] * 60])
    np.testing.assert_allclose(alone[0], beside[0], atol=1e-5)
    assert np.isfinite(logits_of(counts, [[]])).all()


def test_listings_of_one_category_leave_the_tower_as_it_is(texts: Texts) -> None:
    same = Texts(
        texts.products, texts.split, texts.roots * 0, texts.leaves, texts.titles, texts.whole
    )
    tower, _, counted = fitted(same)
    assert counted is None
    assert not logits_of(tower.counts["category"], texts.whole[:3]).any()


def test_of_two_categories_both_are_told(texts: Texts) -> None:
    two = Texts(
        texts.products, texts.split, texts.roots % 2, texts.leaves, texts.titles, texts.whole
    )
    tower, _, counted = fitted(two)
    assert counted.counts_accuracy > 0.9  # type: ignore[attr-defined]
    assert set(logits_of(tower.counts["category"], two.whole).argmax(axis=1).tolist()) == {0, 1}


def test_buckets_are_exact_in_floats_of_32_bits_for_the_largest_ids() -> None:
    ids = torch.tensor([[0, 32_748, 30_521, 250_000, 1]])
    where, counted = buckets_of(ids, torch.tensor([[1, 1, 1, 1, 0]]))
    assert where.shape == counted.shape == (1, 9)
    assert counted.tolist() == [[1, 1, 1, 1, 0, 1, 1, 1, 0]]
    assert 0 <= int(where.min()) <= int(where.max()) < BUCKETS
    first = (ids % 32_749).numpy().astype(np.float32)[0]
    pairs = np.fmod(np.fmod(first[:-1] * 509, BUCKETS) * 127 + first[1:], BUCKETS)
    np.testing.assert_array_equal(where[0, 5:].numpy(), pairs)


def test_openvino_counts_words_as_torch_does(texts: Texts) -> None:
    counts = fitted(texts)[0].counts["category"].eval()
    rows = [[*row, 30_521, 29_999] for row in texts.whole[:16]]
    tokens = batch_of(rows)
    shape = openvino.PartialShape([-1, -1])
    model = openvino.convert_model(
        counts,
        example_input=(torch.from_numpy(tokens.ids), torch.from_numpy(tokens.mask)),
        input=[(shape, openvino.Type.i64), (shape, openvino.Type.i64)],
    )
    model.outputs[0].get_tensor().set_names({"category"})
    for precision, tolerance in (("fp32", 1e-3), ("bf16", 0.1)):
        # Not by `openvino.compile_model`, which makes a Core of its own each time: see `core`.
        engine = OpenVINOEngine(model, precision=precision, threads=1)
        found = engine.run(tokens.ids, tokens.mask)["category"]
        np.testing.assert_allclose(found, logits_of(counts, rows), atol=tolerance)


def test_a_tower_adds_what_its_words_count() -> None:
    network = TextNetwork.__new__(TextNetwork)
    nn.Module.__init__(network)
    network.outputs = ()
    network.heads = nn.ModuleDict()
    network.counts = nn.ModuleDict({"category": WordCounts(2)})
    network.pooled = lambda ids, mask: ids  # type: ignore[method-assign, assignment]
    network.heads_of = lambda pooled: {"category": torch.ones(1, 2)}  # type: ignore[method-assign, assignment]
    network.counts["category"].bias[1] = 2  # type: ignore[index]
    ids = torch.ones(1, 3, dtype=torch.int64)
    assert network(ids, ids)["category"].tolist() == [[1.0, 3.0]]

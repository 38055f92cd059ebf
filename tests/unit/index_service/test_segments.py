"""Search in a segment against plain comparison of everything with everything."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index_service.records import Metric, Search
from index_service.segments import Probe, Segment

REPOSITORY = Path(__file__).parents[3]

Found = list[tuple[str, float]]


def make_segment(
    vectors: np.ndarray, metric: Metric = Metric.SQUARED_L2, items_per_product: int = 2
) -> Segment:
    """Ids descend while rows ascend, so that an order by row is not an order by id."""
    number = len(vectors)
    ids = [f"photo-{number - i:05}" for i in range(number)]
    products = [f"listing-{i // items_per_product}" for i in range(number)]
    return Segment.empty(vectors.shape[1], metric).with_items(ids, products, vectors)


def product_of(segment: Segment, row: int) -> str:
    numbers = {number: product for product, number in segment.product_numbers.items()}
    return numbers[int(segment.products[row])]


def distances_by_hand(segment: Segment, query: np.ndarray) -> list[float]:
    vectors, target = segment.vectors.astype(np.float64), query.astype(np.float64)
    if segment.metric is Metric.SQUARED_L2:
        return [float(sum((v - target) ** 2)) for v in vectors]
    if segment.metric is Metric.INNER_PRODUCT:
        return [-float(sum(v * target)) for v in vectors]
    norms = [float(np.linalg.norm(v) * np.linalg.norm(target)) for v in vectors]
    return [1 - float(sum(v * target)) / n for v, n in zip(vectors, norms, strict=True)]


def find_by_hand(segment: Segment, probe: Probe, search: Search) -> Found:
    ranked = sorted(
        (distance, segment.ids[row], product_of(segment, row), row)
        for row, distance in enumerate(distances_by_hand(segment, probe.vector))
    )
    found: Found = []
    seen: set[str] = set()
    own_product = product_of(segment, probe.row) if probe.row >= 0 else None
    for distance, item_id, product, row in ranked:
        if row == probe.row or product in search.exclude_product_ids:
            continue
        if search.exclude_same_product and product == own_product:
            continue
        if search.distinct_products and product in seen:
            continue
        seen.add(product)
        found.append((item_id, distance))
    return found[: search.k]


searches = st.builds(
    Search,
    k=st.integers(1, 12),
    distinct_products=st.booleans(),
    exclude_product_ids=st.frozensets(st.integers(0, 20).map(lambda i: f"listing-{i}")),
    exclude_same_product=st.booleans(),
)


@st.composite
def segments_and_probes(draw: st.DrawFn) -> tuple[Segment, list[Probe]]:
    """Draws what float32 finds hard, of which float64 holds every distance exactly.

    Small whole numbers make many ties; the offset makes float32 lose what tells them apart, and
    the scale makes it under- or overflow.
    """
    metric = draw(st.sampled_from([Metric.SQUARED_L2, Metric.INNER_PRODUCT]))
    number, queries = draw(st.integers(0, 300)), draw(st.integers(1, 30))
    offset = draw(st.sampled_from([0, 1 << 14]))
    scale = draw(st.sampled_from([1.0, 2.0**-100, 2.0**60, 2.0**110]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = rng.integers(-2, 3, (number + queries, draw(st.integers(1, 5)))) + offset
    vectors = (values * scale).astype(np.float32)
    segment = make_segment(vectors[:number], metric, draw(st.sampled_from([1, 2, 40])))
    probes = [Probe(vector) for vector in vectors[number:]]
    if number:  # every other one is an item's own
        rows = rng.integers(number, size=len(probes[::2])).tolist()
        probes[::2] = [Probe(segment.vectors[row], row) for row in rows]
    return segment, probes


@settings(max_examples=150, deadline=None)
@given(segments_and_probes(), searches)
def test_search_equals_comparing_everything_by_hand(
    segment_and_probes: tuple[Segment, list[Probe]], search: Search
) -> None:
    segment, probes = segment_and_probes
    assert segment.search(probes, search) == [
        find_by_hand(segment, probe, search) for probe in probes
    ]


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), queries=st.integers(1, 30), search=searches)
def test_cosine_search_equals_comparing_everything_by_hand(
    seed: int, queries: int, search: Search
) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(200 + queries, 13)).astype(np.float32)
    segment = make_segment(vectors[:200], Metric.COSINE)
    probes = [Probe(vector) for vector in vectors[200:]]
    for probe, hits in zip(probes, segment.search(probes, search), strict=True):
        expected = find_by_hand(segment, probe, search)
        assert [hit.item_id for hit in hits] == [item_id for item_id, _ in expected]
        assert [hit.distance for hit in hits] == pytest.approx([d for _, d in expected])


@pytest.mark.parametrize("metric", [Metric.SQUARED_L2, Metric.INNER_PRODUCT])
@pytest.mark.parametrize("blas_threshold", [0, 1 << 30])
def test_float32_losing_the_differences_does_not_change_the_answer(
    metric: Metric, blas_threshold: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Far from the origin, |x|² + |y|² − 2xy, as FAISS computes large batches, is mostly noise.
    monkeypatch.setattr(faiss.cvar, "distance_compute_blas_threshold", blas_threshold)
    rng = np.random.default_rng(7)
    vectors = (rng.integers(-64, 65, (1040, 13)) / 64 + 1000).astype(np.float32)
    if metric is Metric.INNER_PRODUCT:
        vectors[:, 0] = -vectors[:, 1:].sum(axis=1)
    segment, search = make_segment(vectors[:1000], metric), Search(20)
    probes = [Probe(vector) for vector in vectors[1000:]]
    assert segment.search(probes, search) == [
        find_by_hand(segment, probe, search) for probe in probes
    ]


def test_cosine_distance_ignores_length_and_stays_within_0_and_2() -> None:
    vectors = np.array([[3e30, 4e30], [3e-30, 4e-30], [-6, -8], [4, -3]], np.float32)
    segment = make_segment(vectors, Metric.COSINE)
    ((*near, right_angle, opposite),) = segment.search(
        [Probe(np.array([0.3, 0.4], np.float32))], Search(4)
    )
    assert [hit.distance for hit in near] == pytest.approx([0, 0])
    assert all(hit.distance >= 0 for hit in near)
    assert right_angle.distance == pytest.approx(1)
    assert opposite.distance == pytest.approx(2)
    assert opposite.distance <= 2


def test_items_at_the_same_distance_come_by_id() -> None:
    segment = make_segment(np.ones((500, 13), np.float32), items_per_product=1)
    (hits,) = segment.search([Probe(np.zeros(13, np.float32))], Search(3))
    assert hits == [("photo-00001", 13.0), ("photo-00002", 13.0), ("photo-00003", 13.0)]


def test_k_distinct_products_are_found_behind_a_product_with_most_items() -> None:
    crowd = np.zeros((1000, 2), np.float32)
    others = np.array([[5, 0], [6, 0], [7, 0]], np.float32)
    segment = make_segment(crowd, items_per_product=1000).with_items(
        ["a", "b", "c"], ["x", "y", "z"], others
    )
    (hits,) = segment.search([Probe(np.zeros(2, np.float32))], Search(4, distinct_products=True))
    assert hits == [("photo-00001", 0.0), ("a", 25.0), ("b", 36.0), ("c", 49.0)]


def test_empty_segment_has_no_neighbours() -> None:
    segment = Segment.empty(3, Metric.COSINE)
    assert segment.search([Probe(np.ones(3, np.float32))], Search(5)) == [[]]


def test_writing_leaves_the_earlier_segment_as_it_was() -> None:
    before = make_segment(np.arange(20, dtype=np.float32).reshape(10, 2))
    snapshot = before.ids.copy(), before.vectors.copy(), before.products.copy()
    after = before.with_items(
        ["photo-00003", "new"], ["moved", "listing-0"], np.full((2, 2), 9, np.float32)
    ).without_items(["photo-00001", "unknown"])
    for old, kept in zip((before.ids, before.vectors, before.products), snapshot, strict=True):
        np.testing.assert_array_equal(old, kept)
    assert len(after) == 10
    assert after.row("photo-00001") is None
    row = after.row("photo-00003")
    assert row is not None
    assert after.vectors[row].tolist() == [9, 9]
    assert product_of(after, row) == "moved"


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.booleans(),
            st.lists(st.text("ab\0é", min_size=1, max_size=3), unique=True, max_size=8),
        ),
        max_size=8,
    )
)
def test_any_sequence_of_writes_leaves_what_a_dict_would_hold(
    writes: list[tuple[bool, list[str]]],
) -> None:
    segment, expected = Segment.empty(2, Metric.SQUARED_L2), {}
    for step, (adds, ids) in enumerate(writes):
        if adds:
            vectors = np.full((len(ids), 2), step, np.float32)
            segment = segment.with_items(ids, [f"{step} {i}" for i in ids], vectors)
            expected |= {i: (f"{step} {i}", [step, step]) for i in ids}
        else:
            segment = segment.without_items(ids)
            expected = {i: kept for i, kept in expected.items() if i not in ids}
    assert segment.ids.tolist() == sorted(expected)
    held = {
        item_id: (product_of(segment, row), segment.vectors[row].tolist())
        for row, item_id in enumerate(segment.ids.tolist())
    }
    assert held == expected


def test_search_takes_one_openmp_thread_in_whatever_thread_it_runs() -> None:
    # In a process of its own: OpenMP decides when it is loaded, which another test may have done.
    program = (
        "import concurrent.futures, index_service.segments, faiss\n"
        "with concurrent.futures.ThreadPoolExecutor(1) as pool:\n"
        "    print(pool.submit(faiss.omp_get_max_threads).result())\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        check=True,
        cwd=REPOSITORY,
        env=environment,
        text=True,
    )
    assert done.stdout.strip() == "1"

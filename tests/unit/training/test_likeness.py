"""Likeness: that the fit finds what made the data, and that its error is the one by hand."""

from __future__ import annotations

import numpy as np
import pytest

from lookalike.likeness import Likeness
from training.likeness import fit_likeness, hits_of, judge_likeness
from training.ranking import Found, Pool

TRUE = Likeness(intercept=1.0, distance=4.0, margin=6.0, crowd=1.0)


def pool_of(listings: list[str], contents: list[str] | None = None) -> Pool:
    nothing = np.zeros((len(listings), 1), np.float32)
    names = contents or [str(row) for row in range(len(listings))]
    return Pool(
        nothing, nothing, np.array(["x"] * len(listings)), np.array(listings), np.array(names)
    )


def made_by(likeness: Likeness, queries: int, seed: int = 1) -> tuple[Found, Pool]:
    """Queries that each find 24 listings; which are the same item is drawn by their likeness.

    Rows are the queries and then the hits; one that is the same item is a copy of the query's file.
    """
    dice = np.random.default_rng(seed)
    distances = np.sort(dice.uniform(0.02, 1.2, size=(queries, 24)), axis=1)
    distances[:, 0] *= dice.uniform(0.1, 1, size=queries)
    listings = [f"query {query}" for query in range(queries)]
    rows = np.zeros((queries, 24), np.int64)
    for query in range(queries):
        names = [f"{query} hit {hit}" for hit in range(24)]
        said = likeness.of(distances[query].tolist(), names)
        for hit in range(24):
            rows[query, hit] = len(listings)
            listings.append(names[hit])
            if dice.random() < said[hit]:
                listings[-1] += " same"
    contents = [
        name.split(" hit ")[0] if name.endswith(" same") else name.removeprefix("query ")
        for name in listings
    ]
    return Found(rows, distances), pool_of(listings, contents)


def test_the_fit_finds_what_the_pairs_were_drawn_by() -> None:
    found, pool = made_by(TRUE, 3000)
    fitted = fit_likeness(found, np.arange(3000), pool)

    assert fitted is not None
    assert fitted.intercept == pytest.approx(1.0, abs=0.25)
    # Of all but the nearest hit, the margin falls as the distance grows: their sum is the surer.
    assert fitted.distance == pytest.approx(4.0, abs=1.2)
    assert fitted.margin == pytest.approx(6.0, abs=1.2)
    assert fitted.distance + fitted.margin == pytest.approx(10.0, abs=0.5)
    crowds = np.sort(found.distances[:, 10:20].mean(axis=1))
    assert fitted.crowd == pytest.approx(np.median(crowds))


def test_likeness_that_the_pairs_were_drawn_by_can_be_believed() -> None:
    found, pool = made_by(TRUE, 2000)
    every, first = judge_likeness(TRUE, found, np.arange(2000), pool)

    assert every.photos.sum() == 20_000
    assert first.photos.sum() == 2000
    assert every.error < 0.01
    boast = Likeness(intercept=4.0, distance=4.0, margin=6.0, crowd=1.0)
    assert judge_likeness(boast, found, np.arange(2000), pool)[0].error > 0.2


def test_nearness_never_speaks_against_a_hit() -> None:
    # The farther, the likelier: not to be learnt.
    distances = np.tile(np.linspace(0.1, 1.2, 24), (50, 1))
    rows = np.arange(50 * 24).reshape(50, 24) + 50
    listings = [f"query {query}" for query in range(50)]
    for query in range(50):
        # Of the ten that are learnt from, the farthest alone is of the query's listing.
        listings += [f"query {query}" if hit == 9 else f"{query} hit {hit}" for hit in range(24)]
    fitted = fit_likeness(Found(rows, distances), np.arange(50), pool_of(listings))

    assert fitted is not None
    assert fitted.distance == fitted.margin == 0


def test_copies_of_the_query_are_not_learnt_from() -> None:
    found, pool = made_by(TRUE, 300)
    fitted = fit_likeness(found, np.arange(300), pool)
    copies = np.concatenate([np.zeros((300, 1)), found.distances], axis=1)
    copied = len(pool.listings) + np.arange(300)[:, None]
    listings = [*pool.listings.tolist(), *(f"copy {query}" for query in range(300))]
    contents = [*pool.contents.tolist(), *(f"copy {query}" for query in range(300))]
    with_copies = Found(np.concatenate([copied, found.rows], axis=1), copies)
    again = fit_likeness(with_copies, np.arange(300), pool_of(listings, contents))

    assert fitted is not None
    assert again is not None
    # that they are said to be other items would lower it by far
    assert again.intercept == pytest.approx(fitted.intercept, abs=0.5)


@pytest.mark.parametrize("hits", [0, 19])
def test_without_a_crowd_there_is_nothing_to_fit(hits: int) -> None:
    found, pool = made_by(TRUE, 100)
    few = Found(found.rows[:, :hits], found.distances[:, :hits])

    assert fit_likeness(few, np.arange(100), pool) is None


def test_pairs_that_are_all_of_one_kind_tell_nothing() -> None:
    found, pool = made_by(TRUE, 50)
    strangers = pool_of([str(row) for row in range(len(pool.listings))])

    assert fit_likeness(found, np.arange(50), strangers) is None


def test_hits_are_the_nearest_photo_of_each_listing() -> None:
    pool = pool_of(["a", "a", "b", "b", "c"])
    found = Found(np.array([[2, 1, 3, 4]]), np.array([[0.1, 0.2, 0.3, 0.4]]))

    (hits,) = hits_of(found, np.array([0]), pool)
    assert hits.rows.tolist() == [2, 1, 4]
    assert hits.distances == [0.1, 0.2, 0.4]
    assert hits.listings == ["b", "a", "c"]
    (others,) = hits_of(found, np.array([0]), pool, others=True, most=1)
    assert others.listings == ["b"]
    (others,) = hits_of(found, np.array([0]), pool, others=True)
    assert others.listings == ["b", "c"]

"""What a model's statistics count, and what they leave out."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from embedder_service.statistics import ModelStatistics, Total


def photo(decode_ns: int, queue_ns: int, inference_ns: int) -> SimpleNamespace:
    return SimpleNamespace(decode_ns=decode_ns, queue_ns=queue_ns, inference_ns=inference_ns)


def test_each_stage_of_a_request_counts_as_long_as_it_took_the_slowest_photo() -> None:
    statistics = ModelStatistics()
    with statistics.request() as done:
        done += [photo(1, 30, 5), photo(2, 10, 7)]
    with statistics.request() as done:
        done.append(photo(10, 100, 1000))

    assert (statistics.photos, statistics.success.count, statistics.fail.count) == (3, 2, 0)
    assert statistics.decode == Total(2, 12)
    assert statistics.queue == Total(2, 130)
    assert statistics.inference == Total(2, 1007)
    assert statistics.last_s > 0


def test_request_that_fails_counts_as_such_and_one_that_is_cancelled_not_at_all() -> None:
    statistics = ModelStatistics()
    with pytest.raises(ValueError, match="no photo"), statistics.request():
        raise ValueError("no photo")
    with pytest.raises(asyncio.CancelledError), statistics.request():
        raise asyncio.CancelledError

    assert (statistics.photos, statistics.success.count, statistics.fail.count) == (0, 0, 1)
    assert statistics.queue == Total()
    assert statistics.last_s == 0


def test_executions_are_the_batches_of_all_sizes() -> None:
    statistics = ModelStatistics()
    for size in (1, 4, 4):
        statistics.batches[size].add(5)
    assert statistics.executions == 3
    assert statistics.batches == {1: Total(1, 5), 4: Total(2, 10)}

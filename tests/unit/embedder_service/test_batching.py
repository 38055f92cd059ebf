"""Batches form while the engine is busy, and nobody is left without an answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable

import pytest

from embedder_service.batching import DynamicBatcher, sizes_up_to
from embedder_service.scheduling import Priority, SchedulingKey
from lookalike.errors import DrainingError

Batch = list[int]


class Engine:
    """Multiplies by ten, a batch at a time; calls that are held wait until they are let go."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.threads: set[int] = set()
        self.poison: set[int] = set()
        self.extra_results = 0
        self._gates: dict[int, threading.Event] = {}
        self._begun = threading.Semaphore(0)

    def __call__(self, batch: Batch) -> Batch:
        gate = self._gates.get(len(self.batches))
        self.batches.append(batch)
        self.threads.add(threading.get_ident())
        self._begun.release()
        assert gate is None or gate.wait(30)
        if self.poison.intersection(batch):
            raise ValueError(f"cannot compute {batch}")
        return [item * 10 for item in batch] + [0] * self.extra_results

    def hold(self, *calls: int) -> None:
        """Holds calls by their number, the first being 0."""
        self._gates |= {call: threading.Event() for call in calls}

    def let_go(self, *calls: int) -> None:
        """Lets calls go, or all."""
        for call in calls or self._gates:
            self._gates[call].set()

    async def begun(self, batches: int = 1) -> None:
        """Returns when as many more batches were begun."""
        for _ in range(batches):
            assert await asyncio.to_thread(self._begun.acquire, timeout=30)


@pytest.fixture
def engine() -> Engine:
    return Engine()


Batcher = DynamicBatcher[int, int]


@pytest.fixture
async def batcher(engine: Engine) -> AsyncIterator[Batcher]:
    batcher = Batcher(engine, sizes=[1, 2, 3, 4])
    batcher.start()
    yield batcher
    engine.let_go()
    await batcher.close()


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


Submit = Callable[..., "list[asyncio.Task[int]]"]


@pytest.fixture
def submit(batcher: Batcher) -> Submit:
    """Submits items, each in a task of its own."""

    async def result(item: int) -> int:
        return (await batcher.submit(item)).result

    def submit(*items: int) -> list[asyncio.Task[int]]:
        return [asyncio.create_task(result(item)) for item in items]

    return submit


async def busy_with(engine: Engine, submit: Submit, item: int) -> asyncio.Task[int]:
    """Submits the first item, and returns when the engine holds it."""
    engine.hold(0)
    (task,) = submit(item)
    await engine.begun()
    return task


async def test_idle_engine_takes_a_single_item_at_once(batcher: Batcher, engine: Engine) -> None:
    answer = await batcher.submit(3)
    assert answer.result == 30
    assert answer.queue_ns >= 0
    assert answer.run_ns > 0
    assert engine.batches == [[3]]


async def test_items_gather_while_the_engine_is_busy(engine: Engine, submit: Submit) -> None:
    tasks = [await busy_with(engine, submit, 1)]
    tasks += submit(2, 3, 4)
    await settle()
    engine.let_go()
    assert await asyncio.gather(*tasks) == [10, 20, 30, 40]
    assert engine.batches == [[1], [2, 3, 4]]


async def test_no_batch_is_larger_than_the_limit_and_the_order_is_kept(
    engine: Engine, submit: Submit
) -> None:
    tasks = [await busy_with(engine, submit, 0)]
    tasks += submit(*range(1, 11))
    await settle()
    engine.let_go()
    assert await asyncio.gather(*tasks) == [item * 10 for item in range(11)]
    assert engine.batches == [[0], [1, 2, 3, 4], [5, 6, 7, 8], [9, 10]]
    assert len(engine.threads) == 1


async def test_waiting_time_is_told_apart_from_running_time(
    batcher: Batcher, engine: Engine, submit: Submit
) -> None:
    tasks = [await busy_with(engine, submit, 1)]
    waiting = asyncio.create_task(batcher.submit(2))
    await settle()
    await asyncio.sleep(0.05)  # the time to be measured
    engine.let_go()
    await asyncio.gather(*tasks)
    assert (await waiting).queue_ns >= 40_000_000


async def test_failing_batch_runs_again_one_by_one_and_only_the_one_at_fault_fails(
    engine: Engine, submit: Submit
) -> None:
    engine.poison = {3}
    tasks = [await busy_with(engine, submit, 1)]
    tasks += submit(2, 3, 4)
    await settle()
    engine.let_go()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [results[0], results[1], results[3]] == [10, 20, 40]
    assert isinstance(results[2], ValueError)
    assert str(results[2]) == "cannot compute [3]"
    assert engine.batches == [[1], [2, 3, 4], [2], [3], [4]]


async def test_batcher_goes_on_after_a_failure(
    batcher: Batcher, engine: Engine, submit: Submit
) -> None:
    engine.poison = {1}
    with pytest.raises(ValueError, match=r"cannot compute \[1\]"):
        await batcher.submit(1)
    assert (await batcher.submit(2)).result == 20


@pytest.mark.parametrize("extra", [1, 2])
async def test_wrong_number_of_results_is_an_error_and_no_mix_up(
    batcher: Batcher, engine: Engine, submit: Submit, extra: int
) -> None:
    engine.extra_results = extra
    tasks = [await busy_with(engine, submit, 1)]
    tasks += submit(2, 3)
    await settle()
    engine.let_go()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [str(result) for result in results] == [f"a batch of 1 gave {1 + extra} results"] * 3
    engine.extra_results = 0
    assert (await batcher.submit(4)).result == 40


async def test_item_whose_caller_left_is_not_run(engine: Engine, submit: Submit) -> None:
    tasks = [await busy_with(engine, submit, 1)]
    left, stays = submit(2, 3)
    await settle()
    left.cancel()
    await settle()
    engine.let_go()
    assert await asyncio.gather(*tasks, stays) == [10, 30]
    assert engine.batches == [[1], [3]]


async def test_batch_that_everybody_left_is_not_run(
    batcher: Batcher, engine: Engine, submit: Submit
) -> None:
    tasks = [await busy_with(engine, submit, 1)]
    for task in (left := submit(2, 3)):
        await settle()
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    engine.let_go()
    await asyncio.gather(*tasks)
    assert (await batcher.submit(4)).result == 40
    assert engine.batches == [[1], [4]]


async def test_item_whose_caller_left_is_not_run_again_alone(
    engine: Engine, submit: Submit
) -> None:
    engine.poison = {2}
    await busy_with(engine, submit, 1)
    failing, left, stays = submit(2, 3, 4)
    await settle()
    engine.hold(2)  # 0: [1]; 1: [2, 3, 4], which fails; 2: [2]
    engine.let_go(0)
    await engine.begun(2)
    left.cancel()
    await settle()
    engine.let_go()
    assert await stays == 40
    with pytest.raises(ValueError, match=r"cannot compute \[2\]"):
        await failing
    assert engine.batches == [[1], [2, 3, 4], [2], [4]]


async def test_caller_that_leaves_during_the_run_does_not_disturb_the_others(
    engine: Engine, submit: Submit
) -> None:
    left = await busy_with(engine, submit, 1)
    stays = submit(2, 3)
    await settle()
    left.cancel()
    await settle()
    engine.let_go()
    assert await asyncio.gather(*stays) == [20, 30]


async def test_close_answers_what_is_running_and_refuses_what_is_waiting(
    batcher: Batcher, engine: Engine, submit: Submit
) -> None:
    tasks = [await busy_with(engine, submit, 1)]
    tasks += submit(2, 3, 4, 5, 6, 7)
    await settle()
    asyncio.get_running_loop().call_soon(engine.let_go)
    await batcher.close()
    results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 30)
    assert results[0] == 10
    assert [type(result) for result in results[1:]] == [DrainingError] * 6
    assert engine.batches == [[1]]


async def test_close_while_a_failed_batch_runs_again_resolves_all_of_it(
    batcher: Batcher, engine: Engine, submit: Submit
) -> None:
    engine.poison = {2}
    first = await busy_with(engine, submit, 1)
    others = submit(2, 3, 4)
    await settle()
    engine.hold(2)  # as above
    engine.let_go(0)
    await engine.begun(2)
    asyncio.get_running_loop().call_soon(engine.let_go)
    await batcher.close()
    results = await asyncio.wait_for(asyncio.gather(*others, return_exceptions=True), 10)
    assert await first == 10
    assert isinstance(results[0], ValueError)
    assert results[1:] == [30, 40]
    assert engine.batches == [[1], [2, 3, 4], [2], [3], [4]]


async def test_after_close_an_item_is_refused_and_not_kept_waiting(engine: Engine) -> None:
    batcher = Batcher(engine, sizes=[1, 2, 3, 4])
    batcher.start()
    await batcher.close()
    with pytest.raises(DrainingError) as caught:
        await asyncio.wait_for(batcher.submit(1), 30)
    assert caught.value.retry_after_ms


async def test_batcher_that_was_never_started_can_be_closed(engine: Engine) -> None:
    batcher = Batcher(engine, sizes=[1, 2, 3, 4])
    waiting = asyncio.create_task(batcher.submit(1))
    await settle()
    await batcher.close()
    with pytest.raises(DrainingError):
        await asyncio.wait_for(waiting, 30)


@pytest.mark.parametrize(
    ("largest", "sizes"), [(1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6]), (8, [1, 2, 4, 8])]
)
def test_sizes_are_powers_of_two_and_the_largest(largest: int, sizes: list[int]) -> None:
    assert sizes_up_to(largest) == sizes


async def test_batches_have_the_sizes_that_the_engine_was_prepared_for(engine: Engine) -> None:
    batcher = Batcher(engine, sizes=[1, 2, 4, 8])
    batcher.start()
    engine.hold(0)
    first = asyncio.create_task(batcher.submit(0))
    await engine.begun()
    rest = [asyncio.create_task(batcher.submit(item)) for item in range(1, 8)]
    await settle()
    engine.let_go()
    await asyncio.gather(first, *rest)
    await batcher.close()
    assert engine.batches == [[0], [1, 2, 3, 4], [5, 6], [7]]


async def test_interactive_items_go_before_bulk_ones(batcher: Batcher, engine: Engine) -> None:
    engine.hold(0)
    bulk = SchedulingKey(Priority.BULK)
    tasks = [asyncio.create_task(batcher.submit(0))]
    await engine.begun()
    tasks += [asyncio.create_task(batcher.submit(item, bulk)) for item in range(1, 6)]
    tasks += [asyncio.create_task(batcher.submit(9))]
    await settle()
    engine.let_go()
    await asyncio.gather(*tasks)
    assert engine.batches == [[0], [9, 1, 2, 3], [4, 5]]


async def test_a_delay_gathers_a_batch_on_an_idle_engine(engine: Engine) -> None:
    batcher = Batcher(engine, sizes=[1, 2], max_delay_s=30)
    batcher.start()
    first = asyncio.create_task(batcher.submit(1))
    await settle()
    assert engine.batches == []
    await asyncio.gather(first, batcher.submit(2))
    assert engine.batches == [[1, 2]]
    await batcher.close()


async def test_a_delay_ends(engine: Engine) -> None:
    batcher = Batcher(engine, sizes=[1, 2], max_delay_s=0.01)
    batcher.start()
    assert (await batcher.submit(1)).result == 10
    await batcher.close()


async def test_how_long_a_batch_has_been_running_is_known(
    batcher: Batcher, engine: Engine, submit: Submit
) -> None:
    assert batcher.running_s == 0
    task = await busy_with(engine, submit, 1)
    await asyncio.sleep(0.02)  # the time to be measured
    assert batcher.running_s >= 0.015
    engine.let_go()
    await task
    while batcher.running_s:  # noqa: ASYNC110  the answer comes first
        await asyncio.sleep(0)

"""Schedules photos on streams, by a clock of the test's own."""

from __future__ import annotations

from typing import Any

import pytest

from lookalike.client.bulk import StreamScheduler, StreamSlot
from lookalike.errors import (
    DeadlineExceededError,
    DrainingError,
    InternalError,
    InvalidImageError,
    LookalikeError,
    UpstreamUnavailableError,
)

LOST = UpstreamUnavailableError("the connection broke")


def scheduler(**changed: Any) -> StreamScheduler[str, str]:
    arguments = {
        "slots": 3,
        "in_flight": 2,
        "retries": 1,
        "silence_timeout_s": 60.0,
        "ordered": False,
    }
    return StreamScheduler(**arguments | changed)


def sent(run: StreamScheduler[str, str], now: float) -> list[tuple[int, str, str]]:
    return [(slot.number, wire_id, request) for slot, wire_id, request in run.to_send(now)]


def everything(run: StreamScheduler[str, str]) -> list[tuple[str, Any]]:
    found = []
    while outcome := run.take():
        found.append(outcome)
    return found


def opened(run: StreamScheduler[str, str], now: float) -> list[int]:
    return [slot.number for slot in run.to_open(now)]


def with_all_open(**changed: Any) -> tuple[StreamScheduler[str, str], list[StreamSlot]]:
    """Books whose first photo was answered."""
    run = scheduler(**changed)
    run.to_open(0)
    run.put("first", "?", 0)
    ((slot, wire_id, _),) = run.to_send(0)
    run.answered(slot, wire_id, "!", 0)
    run.to_open(0)
    assert everything(run) == [("first", "!")]
    return run, run.slots


def test_one_slot_opens_first_and_the_others_at_its_first_answer() -> None:
    run = scheduler()
    for name in "abc":
        run.put(name, name, 0)
    assert opened(run, 0) == [0]
    assert sent(run, 0) == [(0, "0.0", "a"), (0, "1.0", "b")]
    assert opened(run, 9) == []
    run.answered(run.slots[0], "0.0", "A", 9)
    assert opened(run, 9) == [1, 2]
    assert sent(run, 9) == [(1, "2.0", "c")]


def test_room_is_what_slots_hold_until_outcomes_are_taken() -> None:
    run, slots = with_all_open()
    assert run.room == 6
    for number in range(6):
        run.put(str(number), "?", 0)
    assert run.room == 0
    on_slots = [slot for slot, _, _ in sent(run, 0)]
    assert on_slots == [0, 1, 2, 0, 1, 2]
    run.answered(slots[0], "1.0", "!", 0)
    assert run.room == 0
    assert run.take() == ("0", "!")
    assert run.room == 1


def test_photos_of_a_lost_slot_go_to_another_at_once_and_the_slot_opens_after_a_pause() -> None:
    run, slots = with_all_open()
    run.put("a", "?", 1)
    assert sent(run, 1) == [(0, "1.0", "?")]
    run.lost(slots[0], LOST, 1)
    assert sent(run, 1) == [(1, "1.1", "?")]
    assert opened(run, 1) == []
    assert 0 < (run.wait_s(1) or 0) <= 0.05
    assert opened(run, 1.05) == [0]
    run.answered(slots[1], "1.1", "!", 2)
    assert everything(run) == [("a", "!")]


def test_pauses_grow_with_each_loss_up_to_two_seconds() -> None:
    run, slots = with_all_open()
    now, pauses = 0.0, []
    for _ in range(10):
        run.lost(slots[0], LOST, now)
        pauses.append(slots[0].opens_at - now)
        now = slots[0].opens_at
        run.to_open(now)
    assert 0.025 <= pauses[0] <= 0.05
    assert all(1 <= pause <= 2 for pause in pauses[6:])


def test_photo_is_sent_again_as_often_as_allowed_and_then_fails() -> None:
    run, slots = with_all_open(retries=2)
    run.put("a", "?", 0)
    for failures in range(3):
        ((slot, wire_id, _),) = sent(run, 10 * failures)
        assert wire_id == f"1.{failures}"
        run.lost(slots[slot], LOST, 10 * failures)
        run.to_open(10 * failures + 5)
    assert everything(run) == [("a", LOST)]
    assert run.is_empty


def test_what_a_service_cannot_take_now_waits_as_long_as_it_says() -> None:
    run, slots = with_all_open()
    run.put("a", "?", 0)
    sent(run, 0)
    run.answered(slots[0], "1.0", DrainingError("later", retry_after_ms=3000), 0)
    assert sent(run, 2.9) == []
    assert run.wait_s(2.9) == pytest.approx(0.1)
    assert sent(run, 3) == [(0, "1.1", "?")]


@pytest.mark.parametrize("error", [InvalidImageError("bad"), InternalError("bug")])
def test_other_errors_are_the_photos_own(error: LookalikeError) -> None:
    run, slots = with_all_open()
    run.put("a", "?", 0)
    run.put("b", "?", 0)
    sent(run, 0)
    run.answered(slots[0], "1.0", error, 0)
    run.lost(slots[1], error, 0)
    assert everything(run) == [("a", error), ("b", error)]


def test_answer_that_nobody_waits_for_is_ignored() -> None:
    run, slots = with_all_open()
    run.put("a", "?", 0)
    sent(run, 0)
    run.lost(slots[0], LOST, 0)
    run.answered(slots[0], "1.0", "from the stream that was lost", 0)
    run.answered(slots[1], "no such id", "?", 0)
    assert everything(run) == []
    sent(run, 0)
    run.answered(slots[1], "1.1", "!", 0)
    run.answered(slots[1], "1.1", "again", 0)
    assert everything(run) == [("a", "!")]


def test_order_waits_for_the_first_and_counts_what_waits() -> None:
    run, slots = with_all_open(ordered=True)
    for name in "abcdef":
        run.put(name, "?", 0)
    sent(run, 0)
    run.answered(slots[1], "2.0", "B", 0)
    assert (everything(run), run.room) == ([], 0)
    run.answered(slots[0], "1.0", "A", 0)
    assert everything(run) == [("a", "A"), ("b", "B")]
    run.put_failed("g", FileNotFoundError("g"))
    assert everything(run) == []
    for slot, wire_id in ((2, "3.0"), (0, "4.0"), (1, "5.0"), (2, "6.0")):
        run.answered(slots[slot], wire_id, "!", 0)
    assert [name for name, _ in everything(run)] == list("cdefg")
    assert run.is_empty


def test_slot_that_is_silent_for_half_the_timeout_is_given_up() -> None:
    run, slots = with_all_open()
    run.put("a", "?", 100)
    sent(run, 100)
    assert run.silent(129) == []
    assert run.wait_s(129) == 1
    assert run.silent(130) == [slots[0]]
    run.lost(slots[0], DeadlineExceededError("silent"), 130)
    assert sent(run, 130) == [(1, "1.1", "?")]


def test_silence_of_all_ends_the_run_and_says_what_was_heard_last() -> None:
    run, slots = with_all_open(retries=4)
    run.put("a", "?", 100)
    sent(run, 100)
    run.lost(slots[0], LOST, 100)
    assert run.silent(159) == []
    with pytest.raises(UpstreamUnavailableError, match=r"60 s \(photo_timeout\): the connection"):
        run.silent(160)


def test_photos_that_keep_all_silent_fail_and_the_run_goes_on() -> None:
    run, slots = with_all_open()
    run.put("a", "?", 100)
    run.put("b", "?", 100)
    sent(run, 100)
    assert set(map(id, run.silent(160))) == {id(slots[0]), id(slots[1])}
    outcomes = dict(everything(run))
    assert list(outcomes) == ["a", "b"]
    assert all(isinstance(error, DeadlineExceededError) for error in outcomes.values())
    assert "nothing was heard for 60 s (photo_timeout)" in str(outcomes["a"])

    run.put("c", "?", 160)
    sent(run, 160)
    assert run.silent(161) == []


def test_a_second_silence_in_a_row_ends_the_run_and_names_a_photo() -> None:
    run, _ = with_all_open()
    run.put("a", "?", 100)
    sent(run, 100)
    run.silent(160)
    run.put("b", "?", 160)
    run.put("c", "?", 160)
    sent(run, 160)
    with pytest.raises(UpstreamUnavailableError, match="open; waited for photo b and 1 others"):
        run.silent(220)


def test_silence_counts_only_while_somebody_is_asked_and_hears() -> None:
    run, slots = with_all_open()
    assert run.wait_s(1000) is None
    run.put("a", "?", 1000)
    sent(run, 1000)
    run.answered(slots[0], "1.0", "!", 1001)
    assert run.silent(2000) == []  # nobody takes the outcome
    run.put("b", "?", 2000)
    sent(run, 2000)
    assert run.silent(2029) == []
    run.exclude_pause(500)
    assert run.silent(2529) == []
    assert run.silent(2530) == [slots[0]]

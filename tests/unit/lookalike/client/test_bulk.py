"""The books of a run, by a clock of the test's own."""

from __future__ import annotations

from typing import Any

import pytest

from lookalike.client.bulk import Lane, Ledger
from lookalike.errors import (
    DeadlineExceededError,
    DrainingError,
    InternalError,
    InvalidImageError,
    LookalikeError,
    UpstreamUnavailableError,
)

LOST = UpstreamUnavailableError("the connection broke")


def ledger(**changed: Any) -> Ledger[str, str]:
    arguments = {"lanes": 3, "in_flight": 2, "retries": 1, "patience_s": 60.0, "ordered": False}
    return Ledger(**arguments | changed)


def sent(books: Ledger[str, str], now: float) -> list[tuple[int, str, str]]:
    return [(lane.number, wire_id, request) for lane, wire_id, request in books.to_send(now)]


def everything(books: Ledger[str, str]) -> list[tuple[str, Any]]:
    found = []
    while outcome := books.take():
        found.append(outcome)
    return found


def opened(books: Ledger[str, str], now: float) -> list[int]:
    return [lane.number for lane in books.to_open(now)]


def with_all_open(**changed: Any) -> tuple[Ledger[str, str], list[Lane]]:
    """Books whose first photo was answered."""
    books = ledger(**changed)
    books.to_open(0)
    books.put("first", "?", 0)
    ((lane, wire_id, _),) = books.to_send(0)
    books.answered(lane, wire_id, "!", 0)
    books.to_open(0)
    assert everything(books) == [("first", "!")]
    return books, books.lanes


def test_one_lane_opens_first_and_the_others_at_its_first_answer() -> None:
    books = ledger()
    for name in "abc":
        books.put(name, name, 0)
    assert opened(books, 0) == [0]
    assert sent(books, 0) == [(0, "0.0", "a"), (0, "1.0", "b")]
    assert opened(books, 9) == []
    books.answered(books.lanes[0], "0.0", "A", 9)
    assert opened(books, 9) == [1, 2]
    assert sent(books, 9) == [(1, "2.0", "c")]


def test_room_is_what_lanes_hold_until_outcomes_are_taken() -> None:
    books, lanes = with_all_open()
    assert books.room == 6
    for number in range(6):
        books.put(str(number), "?", 0)
    assert books.room == 0
    on_lanes = [lane for lane, _, _ in sent(books, 0)]
    assert on_lanes == [0, 1, 2, 0, 1, 2]
    books.answered(lanes[0], "1.0", "!", 0)
    assert books.room == 0
    assert books.take() == ("0", "!")
    assert books.room == 1


def test_photos_of_a_lost_lane_go_to_another_at_once_and_the_lane_opens_after_a_pause() -> None:
    books, lanes = with_all_open()
    books.put("a", "?", 1)
    assert sent(books, 1) == [(0, "1.0", "?")]
    books.lost(lanes[0], LOST, 1)
    assert sent(books, 1) == [(1, "1.1", "?")]
    assert opened(books, 1) == []
    assert 0 < (books.wait_s(1) or 0) <= 0.05
    assert opened(books, 1.05) == [0]
    books.answered(lanes[1], "1.1", "!", 2)
    assert everything(books) == [("a", "!")]


def test_pauses_grow_with_each_loss_up_to_two_seconds() -> None:
    books, lanes = with_all_open()
    now, pauses = 0.0, []
    for _ in range(10):
        books.lost(lanes[0], LOST, now)
        pauses.append(lanes[0].opens_at - now)
        now = lanes[0].opens_at
        books.to_open(now)
    assert 0.025 <= pauses[0] <= 0.05
    assert all(1 <= pause <= 2 for pause in pauses[6:])


def test_photo_is_sent_again_as_often_as_allowed_and_then_fails() -> None:
    books, lanes = with_all_open(retries=2)
    books.put("a", "?", 0)
    for failures in range(3):
        ((lane, wire_id, _),) = sent(books, 10 * failures)
        assert wire_id == f"1.{failures}"
        books.lost(lanes[lane], LOST, 10 * failures)
        books.to_open(10 * failures + 5)
    assert everything(books) == [("a", LOST)]
    assert books.is_empty


def test_what_a_service_cannot_take_now_waits_as_long_as_it_says() -> None:
    books, lanes = with_all_open()
    books.put("a", "?", 0)
    sent(books, 0)
    books.answered(lanes[0], "1.0", DrainingError("later", retry_after_ms=3000), 0)
    assert sent(books, 2.9) == []
    assert books.wait_s(2.9) == pytest.approx(0.1)
    assert sent(books, 3) == [(0, "1.1", "?")]


@pytest.mark.parametrize("error", [InvalidImageError("bad"), InternalError("bug")])
def test_other_errors_are_the_photos_own(error: LookalikeError) -> None:
    books, lanes = with_all_open()
    books.put("a", "?", 0)
    books.put("b", "?", 0)
    sent(books, 0)
    books.answered(lanes[0], "1.0", error, 0)
    books.lost(lanes[1], error, 0)
    assert everything(books) == [("a", error), ("b", error)]


def test_answer_that_nobody_waits_for_is_ignored() -> None:
    books, lanes = with_all_open()
    books.put("a", "?", 0)
    sent(books, 0)
    books.lost(lanes[0], LOST, 0)
    books.answered(lanes[0], "1.0", "from the stream that was lost", 0)
    books.answered(lanes[1], "no such id", "?", 0)
    assert everything(books) == []
    sent(books, 0)
    books.answered(lanes[1], "1.1", "!", 0)
    books.answered(lanes[1], "1.1", "again", 0)
    assert everything(books) == [("a", "!")]


def test_order_waits_for_the_first_and_counts_what_waits() -> None:
    books, lanes = with_all_open(ordered=True)
    for name in "abcdef":
        books.put(name, "?", 0)
    sent(books, 0)
    books.answered(lanes[1], "2.0", "B", 0)
    assert (everything(books), books.room) == ([], 0)
    books.answered(lanes[0], "1.0", "A", 0)
    assert everything(books) == [("a", "A"), ("b", "B")]
    books.put_failed("g", FileNotFoundError("g"))
    assert everything(books) == []
    for lane, wire_id in ((2, "3.0"), (0, "4.0"), (1, "5.0"), (2, "6.0")):
        books.answered(lanes[lane], wire_id, "!", 0)
    assert [name for name, _ in everything(books)] == list("cdefg")
    assert books.is_empty


def test_lane_that_is_silent_for_half_the_patience_is_given_up() -> None:
    books, lanes = with_all_open()
    books.put("a", "?", 100)
    sent(books, 100)
    assert books.silent(129) == []
    assert books.wait_s(129) == 1
    assert books.silent(130) == [lanes[0]]
    books.lost(lanes[0], DeadlineExceededError("silent"), 130)
    assert sent(books, 130) == [(1, "1.1", "?")]


def test_silence_of_all_ends_the_run_and_says_what_was_heard_last() -> None:
    books, lanes = with_all_open(retries=4)
    books.put("a", "?", 100)
    sent(books, 100)
    books.lost(lanes[0], LOST, 100)
    assert books.silent(159) == []
    with pytest.raises(UpstreamUnavailableError, match=r"60 s \(photo_timeout\): the connection"):
        books.silent(160)


def test_silence_counts_only_while_somebody_is_asked_and_hears() -> None:
    books, lanes = with_all_open()
    assert books.wait_s(1000) is None
    books.put("a", "?", 1000)
    sent(books, 1000)
    books.answered(lanes[0], "1.0", "!", 1001)
    assert books.silent(2000) == []  # nobody takes the outcome
    books.put("b", "?", 2000)
    sent(books, 2000)
    assert books.silent(2029) == []
    books.excuse(500)
    assert books.silent(2529) == []
    assert books.silent(2530) == [lanes[0]]

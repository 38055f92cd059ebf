"""The demo's stopwatch."""

from __future__ import annotations

import time

import pytest

from demo.timing import Stopwatch


def test_steps_are_timed_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter((10.0, 12.5, 20.0, 20.25))
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    stopwatch = Stopwatch()
    with stopwatch.step("train"):
        pass
    with stopwatch.step("ask"):
        pass

    assert list(stopwatch.seconds.items()) == [("train", 2.5), ("ask", 0.25)]


def test_a_step_that_fails_is_not_counted() -> None:
    stopwatch = Stopwatch()
    with pytest.raises(ValueError, match="broken"), stopwatch.step("train"):
        raise ValueError("broken")

    assert stopwatch.seconds == {}

"""How far long work is: a bar for people, lines for logs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import lookalike.progress
from lookalike.progress import track_photos


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes rich take stdout for a terminal."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")


def failing_after(photos: int) -> Iterator[int]:
    yield from range(photos)
    raise ValueError("stop")


@pytest.mark.usefixtures("terminal")
def test_the_bar_counts_photos_of_an_earlier_run_as_done(
    capsys: pytest.CaptureFixture[str],
) -> None:
    photos = list(track_photos(iter("abc"), "Embedding", total=10, done=7))

    assert photos == ["a", "b", "c"]
    shown = capsys.readouterr().out
    assert "━" in shown
    assert "Embedding" in shown
    assert "10/10" in shown


@pytest.mark.usefixtures("terminal")
def test_the_bar_of_work_that_fails_shows_how_far_it_came(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(ValueError, match="stop"):
        list(track_photos(failing_after(4), "Embedding", total=10))
    assert "4/10" in capsys.readouterr().out


def test_a_log_gets_a_line_every_half_minute_and_one_at_the_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(lookalike.progress.time, "monotonic", lambda: now[0])

    def work() -> Iterator[int]:
        for photo in range(9):
            now[0] += 10
            yield photo

    photos = list(track_photos(work(), "Embedding", total=10, done=1))

    assert photos == list(range(9))
    assert capsys.readouterr().out.splitlines() == [
        "Embedding: 4/10 photos, 0.1/s, about 0:01:00 left",
        "Embedding: 7/10 photos, 0.1/s, about 0:00:30 left",
        "Embedding: 10/10 photos, 0.1/s",
    ]


def test_work_that_fails_says_in_a_log_how_far_it_came(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(ValueError, match="stop"):
        list(track_photos(failing_after(4), "Embedding", total=10))

    assert capsys.readouterr().out.startswith("Embedding: 4/10 photos, ")

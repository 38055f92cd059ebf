"""The bar of a step that goes through photos."""

from __future__ import annotations

import pytest

from training.progress import track_photos


def test_the_bar_counts_photos_of_an_earlier_run_as_done(
    capsys: pytest.CaptureFixture[str],
) -> None:
    photos = list(track_photos(iter("abc"), "Embedding", total=10, done=7))

    assert photos == ["a", "b", "c"]
    shown = capsys.readouterr().out
    assert "Embedding" in shown
    assert "10/10" in shown


def test_the_bar_of_work_that_fails_shows_how_far_it_came(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def work() -> object:
        yield from range(4)
        raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        list(track_photos(work(), "Embedding", total=10))  # type: ignore[arg-type]
    assert "4/10" in capsys.readouterr().out

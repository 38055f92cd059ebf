"""Files that are read again when they change, whatever is in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from lookalike.errors import StartupError
from lookalike.serving.setting_files import Renewed, SettingFile


class Words:
    """Reads the words of a file, unless it is told to fail."""

    def __init__(self, path: Path) -> None:
        self.file = SettingFile("WORDS", path)
        self.reads = 0
        self.error: Exception | None = None

    def __call__(self) -> str:
        self.reads += 1
        if self.error:
            raise self.error
        if not (words := self.file.read().decode()):
            raise ValueError(f"{self.file} has no words")
        return words

    def renewed(self) -> Renewed[str]:
        return Renewed("words", [self.file], self)


@pytest.fixture
def words(tmp_path: Path) -> Words:
    (tmp_path / "words").write_text("first")
    return Words(tmp_path / "words")


def refusals(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.reason for record in caplog.records if record.message == "new words refused"]  # type: ignore[attr-defined]


def test_what_changed_is_read_once(words: Words) -> None:
    renewed = words.renewed()
    assert renewed.latest() == renewed.latest() == "first"
    words.file.path.write_text("second one")
    assert renewed.latest() == renewed.latest() == renewed.current == "second one"
    assert words.reads == 2


def test_what_could_not_be_read_for_a_moment_is_taken_up_then(
    words: Words, caplog: pytest.LogCaptureFixture
) -> None:
    renewed = words.renewed()
    words.file.path.write_text("second one")
    words.error = PermissionError("not mine")
    assert renewed.latest() == renewed.latest() == "first"
    assert refusals(caplog) == ["not mine"], "it is said once"
    assert renewed.refused()
    words.error = None
    assert renewed.latest() == "second one"
    assert not renewed.refused()


def test_a_file_that_is_away_is_told_of_each_time_it_goes(
    words: Words, caplog: pytest.LogCaptureFixture
) -> None:
    renewed = words.renewed()
    aside = words.file.path.with_name("aside")
    for _ in range(2):
        words.file.path.rename(aside)
        assert renewed.latest() == renewed.latest() == "first"
        assert renewed.refused()
        aside.rename(words.file.path)
        assert renewed.latest() == "first"
        assert not renewed.refused()
    assert words.reads == 1
    assert len(refusals(caplog)) == 2
    assert str(words.file.path) in refusals(caplog)[0]
    assert "(WORDS) cannot be read: No such file" in refusals(caplog)[0]


def test_what_is_no_good_is_read_and_told_of_once_and_refused_until_it_is_mended(
    words: Words, caplog: pytest.LogCaptureFixture
) -> None:
    renewed = words.renewed()
    assert not renewed.refused()
    words.file.path.write_text("")
    for _ in range(3):
        assert renewed.latest() == "first"
        assert renewed.refused()
    assert words.reads == 2
    assert refusals(caplog) == [f"{words.file.path} (WORDS) has no words"]
    words.file.path.unlink()
    words.file.path.write_text("")
    assert renewed.latest() == "first"
    assert renewed.refused()
    words.file.path.write_text("third")
    assert renewed.latest() == "third"
    assert not renewed.refused()


def test_a_bad_file_that_comes_back_is_refused_again(words: Words) -> None:
    renewed = words.renewed()
    good, bad = words.file.path, words.file.path.with_name("bad")
    aside = good.with_name("aside")
    bad.write_text("")
    for _ in range(2):
        good.rename(aside)
        bad.rename(words.file.path)
        assert renewed.latest() == "first"
        assert renewed.refused()
        words.file.path.rename(bad)
        aside.rename(good)
        assert renewed.latest() == "first"
        assert not renewed.refused()


def test_the_first_must_be_good(words: Words) -> None:
    words.file.path.write_text("")
    with pytest.raises(StartupError, match=r"words \(WORDS\) has no words"):
        words.renewed()
    words.file.path.unlink()
    with pytest.raises(StartupError, match=r"words \(WORDS\) cannot be read: No such file"):
        words.renewed()

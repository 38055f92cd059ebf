"""A journal: what a later run finds of an earlier one, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lookalike.files import FileError
from lookalike.journal import Journal

WORK = "lookalike knitting"
WOOL = {"wool": "green"}


def knit(path: Path, *items: str, wool: dict[str, str] = WOOL, changed: str = "unravel it") -> None:
    with Journal(path, WORK, wool, changed=changed) as journal:
        for item in items:
            journal.add(item, f"pattern of {item}", rows=len(item))


def test_a_later_run_knows_what_was_done_and_from_what(tmp_path: Path) -> None:
    knit(tmp_path / "journal", "hat", "sock")
    knit(tmp_path / "journal", "scarf")
    with Journal(tmp_path / "journal", WORK, WOOL) as journal:
        assert journal.has("hat", "pattern of hat")
        assert not journal.has("hat", "another pattern")
        assert not journal.has("glove")
        assert len(journal) == 3
        rows = {entry["id"]: entry["rows"] for entry in journal.entries()}
    assert rows == {"hat": 3, "sock": 4, "scarf": 5}


def test_what_is_done_again_counts_as_it_was_last(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal", WORK, WOOL) as journal:
        journal.add("hat", "old")
        journal.add("hat", "new")
        assert journal.has("hat", "new")
    with Journal(tmp_path / "journal", WORK, WOOL) as journal:
        assert journal.has("hat", "new")
        assert [entry["content"] for entry in journal.entries()] == ["old", "new"]


def test_whole_work_and_work_not_begun_leave_no_file(tmp_path: Path) -> None:
    knit(tmp_path / "journal")
    assert not list(tmp_path.iterdir())
    with Journal(tmp_path / "deep/journal", WORK, WOOL) as journal:
        journal.add("hat")
        journal.remove()
    assert not list((tmp_path / "deep").iterdir())


def test_a_restart_forgets_what_was_done_and_is_known_to_later_runs(tmp_path: Path) -> None:
    knit(tmp_path / "journal", "hat")
    with Journal(tmp_path / "journal", WORK, WOOL) as journal:
        assert not journal.restarted
    with Journal(tmp_path / "journal", WORK, {"wool": "red"}, restart=True):
        pass
    for done in ("", "glove", "glove sock"):
        with Journal(tmp_path / "journal", WORK, {"wool": "red"}) as journal:
            assert journal.restarted
            assert [entry["id"] for entry in journal.entries()] == done.split()
            journal.add("sock" if done else "glove")


def test_work_from_something_else_is_refused_with_what_to_do(tmp_path: Path) -> None:
    knit(tmp_path / "journal", "hat")
    before = (tmp_path / "journal").read_bytes()
    with pytest.raises(FileError) as refused:
        knit(tmp_path / "journal", wool={"wool": "red"})
    assert str(refused.value) == (
        f"{tmp_path / 'journal'}: its wool is green, now it is red; unravel it"
    )
    assert (tmp_path / "journal").read_bytes() == before


def test_work_from_something_else_begins_anew_where_nobody_need_be_asked(tmp_path: Path) -> None:
    knit(tmp_path / "journal", "hat")
    knit(tmp_path / "journal", "sock", wool={"wool": "red"}, changed="")
    with Journal(tmp_path / "journal", WORK, {"wool": "red"}) as journal:
        assert [entry["id"] for entry in journal.entries()] == ["sock"]
        assert not journal.has("hat", "pattern of hat")


@pytest.mark.parametrize("work", ["lookalike sewing", "lookalike knitting for cats"])
def test_a_journal_of_other_work_is_left_alone(tmp_path: Path, work: str) -> None:
    knit(tmp_path / "journal", "hat")
    refused = "is there, and is no journal of `lookalike"
    with pytest.raises(FileError, match=refused), Journal(tmp_path / "journal", work, WOOL):
        pass
    restarted = Journal(tmp_path / "journal", work, WOOL, restart=True)
    with pytest.raises(FileError, match=refused), restarted:
        pass
    assert (tmp_path / "journal").exists()


@pytest.mark.parametrize("line", ["{}", "[]", "3", "nonsense", '{"id": 1}'])
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    knit(tmp_path / "journal", "hat", "sock")
    lines = (tmp_path / "journal").read_text().splitlines()
    (tmp_path / "journal").write_text("\n".join([*lines[:2], line, *lines[2:], ""]))
    with pytest.raises(FileError, match="journal: line 3 is damaged; unravel it"):
        knit(tmp_path / "journal")
    with pytest.raises(FileError, match="journal: line 3 is damaged; remove it"):
        knit(tmp_path / "journal", changed="")
    with Journal(tmp_path / "journal", WORK, WOOL, restart=True) as journal:
        journal.add("scarf")
    knit(tmp_path / "journal", "glove")


def test_a_file_that_was_cut_off_anywhere_loses_what_was_cut_and_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "journal"
    knit(file, "hat", "sock")
    whole = file.read_bytes()
    first, hat, _ = whole.splitlines(keepends=True)
    for size in range(len(whole)):
        file.write_bytes(whole[:size])
        knit(file, "scarf")
        ids = [json.loads(line).get("id") for line in file.read_text().splitlines()]
        assert ids == [None, *["hat"] * (size >= len(first + hat)), "scarf"], size


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk to write to")
def test_a_full_disk_is_told_with_the_file(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal", WORK, WOOL) as journal:
        assert journal._stream is not None
        journal._stream.close()
        journal._stream = Path("/dev/full").open("wb")  # noqa: SIM115 (the journal closes it)
        with pytest.raises(FileError, match="journal: cannot be written: No space left on"):
            journal.add("hat")


def test_a_place_that_cannot_be_written_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file/journal"
    with (
        pytest.raises(FileError) as refused,
        Journal(path, WORK, WOOL, unwritable="knit elsewhere"),
    ):
        pass
    assert str(refused.value) == f"{path}: cannot be written: Not a directory; knit elsewhere"

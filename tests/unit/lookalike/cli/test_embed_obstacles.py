"""`lookalike embed` past photos, folders and files that are in the way."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from lookalike.cli.vectors_file import VectorsFile
from tests.command_line import Run
from tests.fake_services import FakeEmbedder, Served
from tests.unit.lookalike.cli.conftest import SPACE, unix, unreadable

IDS = ["a.jpg", "b.JPG", "c.jpeg", "d.png", "more/e.jpg"]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "made" / "vectors.parquet"


@unix
def test_an_entry_that_cannot_be_used_is_listed_and_the_rest_goes_on(
    run: Run, embedder: FakeEmbedder, photos: Path, out: Path, unusable: list[str]
) -> None:
    ended = run("embed", photos, "-o", out)
    assert ended.code == 3
    assert "2 photos failed, listed in" in ended.err
    with out.with_suffix(".failures.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["id"] for row in rows] == unusable
    assert {row["reason"] for row in rows} == {"UNREADABLE_FILE"}
    assert pq.read_table(out)["id"].to_pylist() == IDS


@unix
def test_what_was_embedded_below_a_folder_that_cannot_be_read_now_stays(
    run: Run,
    embedder: FakeEmbedder,
    photos: Path,
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run("embed", photos, "-o", out)
    unreadable(monkeypatch, photos / "more")
    (photos / "a.jpg").unlink()
    assert run("embed", photos, "-o", out, "--json").json["photos"] == 4
    assert pq.read_table(out)["id"].to_pylist() == IDS[1:]
    assert IDS[-1] == "more/e.jpg"


class StuckOn(FakeEmbedder):
    """Never answers one photo."""

    def __init__(self, photo: bytes) -> None:
        super().__init__(SPACE)
        self.photo = photo

    def StreamEmbedImages(self, requests: Any, context: Any) -> Iterator[Any]:
        fine = (message for message in requests if message.request.image != self.photo)
        return super().StreamEmbedImages(fine, context)


def test_a_photo_that_is_never_answered_is_listed_and_the_run_goes_on(
    run: Run, photos: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = Served(StuckOn((photos / "b.JPG").read_bytes()))
    monkeypatch.setenv("LOOKALIKE_EMBEDDER", served.address)
    ended = run("embed", photos, "-o", out, "--timeout", "0.6")
    assert ended.code == 3
    listed = out.with_suffix(".failures.csv")
    assert "b.JPG,DEADLINE_EXCEEDED,nothing was heard for 0.6 s" in listed.read_text()
    assert pq.read_table(out)["id"].to_pylist() == [name for name in IDS if name != "b.JPG"]

    assert run("embed", photos, "-o", out, "--timeout", "0.6").code == 3
    assert "b.JPG,DEADLINE_EXCEEDED" in listed.read_text()
    served.stop()


def test_standard_input_is_not_for_embed(run: Run, out: Path) -> None:
    ended = run("embed", "-", "-o", out)
    assert (ended.code, "- is not for embed" in ended.err) == (2, True)


@pytest.mark.parametrize("damage", ["vectors", "id", "file", "pages"])
def test_what_is_damaged_is_named_with_what_heals_it(
    run: Run, embedder: FakeEmbedder, photos: Path, out: Path, damage: str
) -> None:
    if damage in {"file", "pages"}:
        run("embed", photos, "-o", out)
        data = bytearray(out.read_bytes())
        data[-20:] = [] if damage == "file" else data[-20:]
        data[4:-2000] = bytes(len(data[4:-2000]))
        out.write_bytes(data)
        damaged = out
    else:
        with pytest.MonkeyPatch.context() as broken:
            broken.setattr(VectorsFile, "write", _interrupted)
            run("embed", photos, "-o", out)
        damaged = out.with_name(out.name + ".journal")
        damaged.write_text(damaged.read_text().replace(f'"{damage}"', '"other"'))
    ended = run("embed", photos, "-o", out)
    assert ended.code == 1
    assert len(ended.err.splitlines()) <= 2, "one may tell what was done before"
    assert str(damaged) in ended.err
    assert "damaged" in ended.err
    assert "--restart embeds every photo anew" in ended.err

    assert run("embed", photos, "-o", out, "--restart").code == 0
    assert pq.read_table(out)["id"].to_pylist() == IDS


def _interrupted(*_: object, **__: object) -> int:
    raise KeyboardInterrupt

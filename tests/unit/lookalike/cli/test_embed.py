"""`lookalike embed`: what is written, what a second run does, and what interrupts it."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lookalike.cli import embed
from lookalike.embedder.v1 import embedder_pb2
from lookalike.errors import InvalidImageError, UpstreamUnavailableError
from tests.command_line import Run
from tests.fake_services import FakeEmbedder, Served, vector_of
from tests.unit.lookalike.cli.conftest import SPACE, DrawPhoto

IDS = ["a.jpg", "b.JPG", "c.jpeg", "d.png", "more/e.jpg"]


class TwoOutputs(FakeEmbedder):
    """Has `features` too: the vector the other way round."""

    def GetModel(self, request: Any, context: Any) -> embedder_pb2.GetModelResponse:
        answer = super().GetModel(request, context)
        answer.model.outputs.add(name="features", dimension=2, kind="embedding")
        return answer

    def _response(self, request: Any) -> embedder_pb2.EmbedImageResponse:
        answer = super()._response(request)
        for embedding in answer.embeddings:
            if embedding.output == "features":
                embedding.values[:] = reversed(embedding.values)
        return answer


class StopsAfter(FakeEmbedder):
    """Answers some photos, and then none until `go` is set."""

    def __init__(self, photos: int) -> None:
        super().__init__(SPACE)
        self.photos = photos
        self.answered = 0
        self.stuck = threading.Event()
        self.go = threading.Event()
        self._lock = threading.Lock()

    def _response(self, request: Any) -> embedder_pb2.EmbedImageResponse:
        with self._lock:
            self.answered += 1
            wait = self.answered > self.photos
        if wait:
            self.stuck.set()
            self.go.wait(30)
        return super()._response(request)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "made" / "vectors.parquet"


def journal(out: Path) -> list[str]:
    """The lines of a run that is not whole: the first says of what, then there is one a photo."""
    file = out.with_name("vectors.parquet.journal")
    return file.read_text().splitlines() if file.exists() else []


def failures(out: Path) -> list[dict[str, str]]:
    with out.with_suffix(".failures.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_each_photo_is_a_row(run: Run, embedder: FakeEmbedder, photos: Path, out: Path) -> None:
    ended = run("embed", photos, "-o", out)
    assert (ended.code, ended.out) == (0, "")
    assert f"{out}: vectors of 5 photos" in " ".join(ended.err.split())
    rows = pq.read_table(out).to_pylist()
    assert [row["id"] for row in rows] == IDS
    for row in rows:
        image = (photos / row["id"]).read_bytes()
        assert row["vector"] == vector_of(image)
        assert row["embedding_space"] == SPACE
        assert row["bytes"] == len(image)
    assert sorted(path.name for path in out.parent.iterdir()) == ["vectors.parquet"]


def test_another_output_is_a_column(
    run: Run, photos: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = Served(TwoOutputs(SPACE))
    monkeypatch.setenv("LOOKALIKE_EMBEDDER", served.address)
    ended = run("embed", photos / "a.jpg", "-o", out, "--output", "features")
    unknown = run("embed", photos / "a.jpg", "-o", out, "--output", "colour")
    served.stop()
    assert ended.code == 0
    (row,) = pq.read_table(out).to_pylist()
    assert row["features"] == row["vector"][::-1]
    assert pq.read_schema(out).field("features").type == pa.list_(pa.float32(), 2)
    assert unknown.code == 2
    assert "no output 'colour' (--output); it has category, features" in unknown.err


def test_ids_of_several_paths_are_the_paths(
    run: Run, embedder: FakeEmbedder, photos: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos)
    assert run("embed", "more", "a.jpg", "./a.jpg", "-o", out).code == 0
    assert pq.read_table(out)["id"].to_pylist() == ["a.jpg", "more/e.jpg"]


def test_a_second_run_embeds_only_what_is_new_or_has_changed(
    run: Run, embedder: FakeEmbedder, photos: Path, out: Path, draw_photo: DrawPhoto
) -> None:
    run("embed", photos, "-o", out)
    embedder.received.clear()
    (photos / "a.jpg").write_bytes(draw_photo(70))
    (photos / "b.JPG").unlink()
    (photos / "new.jpg").write_bytes(draw_photo(71))
    ended = run("embed", photos, "-o", out, "--json")
    assert sorted(embedder.received) == sorted([draw_photo(70), draw_photo(71)])
    assert ended.json["skipped"] == 3
    rows = {row["id"]: row["vector"] for row in pq.read_table(out).to_pylist()}
    assert sorted(rows) == ["a.jpg", "c.jpeg", "d.png", "more/e.jpg", "new.jpg"]
    assert rows["a.jpg"] == vector_of(draw_photo(70))


def test_failures_are_listed_and_tried_again(
    run: Run, embedder: FakeEmbedder, photos: Path, out: Path
) -> None:
    bad = (photos / "c.jpeg").read_bytes()
    embedder.refuse[bad] = InvalidImageError("truncated")
    ended = run("embed", photos, "-o", out, "--json")
    assert ended.code == 3
    assert ended.json["failed"] == 1
    assert ended.json["reasons"] == {"INVALID_IMAGE": 1}
    assert failures(out) == [{"id": "c.jpeg", "reason": "INVALID_IMAGE", "message": "truncated"}]
    assert "1 photo failed, listed in" in ended.err

    embedder.refuse.clear()
    embedder.received.clear()
    assert run("embed", photos, "-o", out).code == 0
    assert embedder.received == [bad]
    assert pq.read_table(out)["id"].to_pylist() == IDS
    assert not out.with_suffix(".failures.csv").exists()


def test_if_every_photo_fails_the_status_is_1(
    run: Run, embedder: FakeEmbedder, photos: Path, out: Path
) -> None:
    embedder.refuse[(photos / "a.jpg").read_bytes()] = InvalidImageError("truncated")
    assert run("embed", photos / "a.jpg", "-o", out).code == 1


def test_a_file_of_another_space_is_refused_until_restart(
    run: Run, embedder: FakeEmbedder, photos: Path, out: Path
) -> None:
    run("embed", photos, "-o", out)
    before = out.read_bytes()
    embedder.space = "another"
    ended = run("embed", photos, "-o", out)
    assert ended.code == 1
    assert f"embedding space is {SPACE}, the model's is another; --restart" in ended.err
    assert out.read_bytes() == before

    assert run("embed", photos, "-o", out, "--restart").code == 0
    assert set(pq.read_table(out)["embedding_space"].to_pylist()) == {"another"}


@pytest.mark.parametrize("foreign", ["text", "parquet", "cut"])
def test_a_file_of_somebody_else_is_left_alone(
    run: Run, embedder: FakeEmbedder, photos: Path, out: Path, foreign: str
) -> None:
    out.parent.mkdir()
    if foreign == "text":
        out.write_text("dear diary")
    else:
        pq.write_table(pa.table({"id": ["x"]}), out)
    if foreign == "cut":
        out.write_bytes(out.read_bytes()[:-20])
    before = out.read_bytes()
    ended = run("embed", photos, "-o", out)
    assert ended.code == 1
    assert "is no file of `lookalike embed`" in ended.err
    assert len(ended.err.splitlines()) == 1
    assert out.read_bytes() == before


def test_a_model_that_changes_on_the_way_stops_it_and_keeps_what_was_done(
    run: Run, embedder: FakeEmbedder, photos: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changing(request: Any) -> embedder_pb2.EmbedImageResponse:
        answer = FakeEmbedder._response(embedder, request)
        if len(embedder.received) == 3:
            answer.embeddings[0].embedding_space = "another"
        return answer

    monkeypatch.setattr(embedder, "_response", changing)
    monkeypatch.setattr(embedder, "limits", embedder_pb2.Limits(max_stream_in_flight=1))
    ended = run("embed", photos, "-o", out)
    assert ended.code == 1
    assert "changed its model from" in ended.err
    assert not out.exists()
    assert len(journal(out)) > 1


def test_an_embedder_that_is_gone_keeps_what_was_done(
    run: Run, embedder: FakeEmbedder, photos: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lookalike.cli.failing._MOST_IN_A_ROW", 2)
    for name in IDS[1:]:
        embedder.refuse[(photos / name).read_bytes()] = UpstreamUnavailableError("gone")
    ended = run("embed", photos, "-o", out)
    assert ended.code == 1
    assert "gone (UPSTREAM_UNAVAILABLE)" in ended.err
    embedder.refuse.clear()
    embedder.received.clear()
    assert run("embed", photos, "-o", out).code == 0
    assert (photos / "a.jpg").read_bytes() not in embedder.received


@pytest.fixture
def stopping(monkeypatch: pytest.MonkeyPatch) -> Iterator[StopsAfter]:
    embedder = StopsAfter(3)
    served = Served(embedder)
    monkeypatch.setenv("LOOKALIKE_EMBEDDER", served.address)
    yield embedder
    embedder.go.set()
    served.stop()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_goes_on(
    run: Run, stopping: StopsAfter, photos: Path, out: Path, number: signal.Signals
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "lookalike.cli", "embed", str(photos), "-o", str(out)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.getcwd()},  # noqa: PTH109
    )
    assert stopping.stuck.wait(30)
    while len(journal(out)) < 1 + 3:
        assert process.poll() is None
    process.send_signal(number)
    try:
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    if number is signal.SIGINT:
        assert process.returncode == 130
        kept = "interrupted; what is embedded is kept, the same command goes on from there"
        assert said == f"lookalike: {kept}\n"
    assert not out.exists()

    stopping.go.set()
    stopping.received.clear()
    ended = run("embed", photos, "-o", out)
    assert ended.code == 0
    assert "3 photos of 5 embedded before" in ended.err
    assert len(set(stopping.received)) == 2, "a set: the first run's last may come in late"
    rows = pq.read_table(out).to_pylist()
    assert [row["id"] for row in rows] == IDS
    assert all(row["vector"] == vector_of((photos / row["id"]).read_bytes()) for row in rows)
    assert not journal(out)


def test_what_an_earlier_version_left_unfinished_is_told_and_not_used(
    run: Run, embedder: FakeEmbedder, photos: Path, out: Path
) -> None:
    parts = out.with_name("vectors.parquet.parts")
    parts.mkdir(parents=True)
    (parts / "0.parquet").write_bytes(b"whatever")
    ended = run("embed", photos, "-o", out)
    assert ended.code == 0
    assert f"{parts}: an earlier version's, not gone on with" in " ".join(ended.err.split())
    assert len(embedder.received) == len(IDS)


def test_a_restart_that_broke_off_goes_on_without_it(
    run: Run, embedder: FakeEmbedder, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "vectors.parquet"
    run("embed", photos, "-o", out)
    embedded = embed._embedded

    def interrupted(*arguments: Any) -> Iterator[Any]:
        for number, photo in enumerate(embedded(*arguments), 1):
            yield photo
            if number == 2:
                raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(embed, "_embedded", interrupted)
        ended = run("embed", photos, "-o", out, "--restart")
    assert ended.code == 130
    assert "the same command without --restart goes on from there" in ended.err
    again = run("embed", photos, "-o", out, "--json").json
    assert (again["skipped"], again["embedded"], again["photos"]) == (2, 3, 5)
    assert run("embed", photos, "-o", out, "--json").json["skipped"] == 5

"""`python -m sample`: what it writes, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from sample import marketplace
from sample.command import main


def test_too_small_a_sample_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--out", str(tmp_path / "sample"), "--listings", "5"]) == 1
    assert capsys.readouterr().err == "sample: 5 listings are asked for; the least is 39\n"
    assert not (tmp_path / "sample").exists()


def test_a_sample_replaces_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert main(["--out", str(tmp_path)]) == 1
    assert f"{tmp_path} is not empty and holds no readable sample.json" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


def test_drawing_shows_how_far_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(marketplace, "draw_photo", lambda *_: Image.new("RGB", (64, 48)))
    assert main(["--out", str(tmp_path / "sample"), "--listings", "39"]) == 0
    first, *_ = capsys.readouterr().out.splitlines()

    assert first.startswith("Drawing photos: ")
    done, total = first.split()[2].split("/")
    assert done == total

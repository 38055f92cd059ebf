"""Every program in examples/, as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lookalike.serving.local_stack import LocalStack
from tests.conftest import DrawPhoto

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted(file.name for file in (ROOT / "examples").glob("[!_]*.py"))
MAX_LINES = 60

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(stack: LocalStack) -> Run:
    """Runs an example on the stack; must succeed, unless told otherwise."""

    def run(name: str, *arguments: object, status: int = 0) -> subprocess.CompletedProcess[str]:
        example = (ROOT / "examples" / name).read_text(encoding="utf-8")
        services = {"gateway": "gateway", "embedder": "embedder_service"}
        addresses = [
            f"--{flag}={stack.address(service)}"
            for flag, service in services.items()
            if f'"--{flag}"' in example
        ]
        done = subprocess.run(
            [sys.executable, ROOT / "examples" / name, *map(str, arguments), *addresses],
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "EMBEDDER": stack.address("embedder_service"),
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == status, done.stderr
        return done

    return run


@pytest.fixture
def folder(tmp_path: Path, draw_photo: DrawPhoto) -> Path:
    """Four photos, of which one is none, and a table of them."""
    rows = ["item_id,product_id,category,title,price,currency,location,photo"]
    for number in range(3):
        (tmp_path / f"{number}.jpg").write_bytes(draw_photo(9000 + number))
        rows.append(
            f"example-{number},example-{number},c,Lamp {number},1{number},GBP,here,{number}.jpg"
        )
    (tmp_path / "bad.jpg").write_bytes(b"not a photo")
    (tmp_path / "listings.csv").write_text("\n".join(rows) + "\n")
    rows.append("example-bad,example-bad,c,Bad,,,here,bad.jpg")
    (tmp_path / "flawed.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def test_classify_photo(run: Run, folder: Path) -> None:
    out = run("classify_photo.py", folder / "0.jpg", folder / "1.jpg").stdout.splitlines()
    assert len(out) == 2
    assert out[0].startswith(f"{folder}/0.jpg: category ")
    flawed = run("classify_photo.py", folder / "bad.jpg", folder / "none.jpg", status=1)
    assert "bad.jpg: " in flawed.stderr
    assert "No such file" in flawed.stderr


def test_catalogue_is_ingested_and_found_again(run: Run, folder: Path) -> None:
    assert run("ingest_catalogue.py", folder / "listings.csv").stdout == (
        "3 photos written, 0 failed\n"
    )
    flawed = run("ingest_catalogue.py", folder / "flawed.csv", status=1)
    assert flawed.stdout == "3 photos written, 1 failed\n"
    assert flawed.stderr.startswith("example-bad: ")

    found = run("find_similar.py", folder / "1.jpg", "--max-price", 11, "--category", "c").stdout
    assert found.startswith("looks like category ")
    assert "example-1" in found.splitlines()[1]
    assert "example-2" not in found
    several = run("find_similar.py", folder / "0.jpg", folder / "1.jpg", "--k", 2).stdout
    assert len(several.splitlines()) == 3

    priced = run("fair_price.py", folder / "1.jpg").stdout.splitlines()
    assert priced[0].startswith("about ")
    assert any(line.startswith("ranked by ") for line in priced)

    out = run("async_search.py", folder / "0.jpg", folder / "2.jpg", folder / "bad.jpg").stdout
    lines = dict(line.split(": ", 1) for line in out.splitlines())
    assert lines[f"{folder}/0.jpg"].startswith("example-0 at ")
    assert lines[f"{folder}/2.jpg"].startswith("example-2 at ")
    assert len(lines) == 3


def test_embed_folder(run: Run, folder: Path) -> None:
    done = run("embed_folder.py", folder, folder / "out.npz")
    assert done.stdout == f"3 vectors of 13 floats in {folder}/out.npz\n"
    assert "bad.jpg: " in done.stderr
    with np.load(folder / "out.npz") as kept:
        assert sorted(kept["names"]) == ["0.jpg", "1.jpg", "2.jpg"]
        assert kept["vectors"].shape == (3, 13)
        assert kept["vectors"].dtype == np.float32
        assert len(str(kept["embedding_space"])) == 32


def test_numpy_notebook(run: Run) -> None:
    assert "(4, 13)" in run("numpy_notebook.py").stdout


def test_every_example_is_run_and_short() -> None:
    tests = Path(__file__).read_text(encoding="utf-8")
    for name in EXAMPLES:
        assert f'run("{name}"' in tests
        assert len((ROOT / "examples" / name).read_text("utf-8").splitlines()) <= MAX_LINES

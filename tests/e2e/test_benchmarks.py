"""The benchmarks' command line, on the smallest measurement there is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long


def test_quick_slice_measures_the_whole_way_and_writes_json(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks", "slice", "--quick", "--json", str(file)]
    subprocess.run(command, check=True, timeout=280)
    figures = json.loads(file.read_text(encoding="utf-8"))["figures"]
    values = {figure["name"]: figure["value"] for figure in figures}
    assert all(value > 0 for value in values.values())
    steps = {name.removeprefix("demo: ") for name in values if name.startswith("demo: ")}
    assert steps >= {"sample", "prepare", "train", "export", "fill index", "in all"}
    ratio = values["stream of photos, 64 in flight"] / values["loop in process, decode overlapped"]
    assert 0.05 < ratio < 5
    assert {figure["unit"] for figure in figures} == {"s", "ms", "photos/s", "ratio"}


def test_quick_training_compares_features_with_the_bare_engine(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks", "training", "--quick", "--json", str(file)]
    subprocess.run(command, check=True, timeout=280)
    figures = json.loads(file.read_text(encoding="utf-8"))["figures"]
    values = {figure["name"]: figure["value"] for figure in figures}
    assert all(value > 0 for value in values.values())
    assert {"training, frozen", "training, layer4", "training, all"} < set(values)
    assert 0.05 < values["features / engine"] < 5


def test_quick_embedder_is_compared_with_the_loop_and_with_other_servers(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks", "embedder", "--quick", "--json", str(file)]
    subprocess.run(command, check=True, timeout=280)
    figures = json.loads(file.read_text(encoding="utf-8"))["figures"]
    values = {figure["name"]: figure["value"] for figure in figures}
    for name in ("ceiling / engine alone", "stream / ceiling", "ours / mosec"):
        assert 0.05 < values[name] < 20
    assert 50 < values["resident after 400 calls"] < 2000
    assert sum(figure["target"] is not None for figure in figures) >= 12


def test_quick_index_is_compared_with_empty_calls_and_with_faiss(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks", "index", "--quick", "--json", str(file)]
    subprocess.run(command, check=True, timeout=280)
    rows = json.loads(file.read_text(encoding="utf-8"))["figures"]
    values = {row["name"]: row["value"] for row in rows}
    for name in (
        "one query at 10 k / empty call",
        "16 callers / empty",
        "1,000 queries a call / FAISS",
    ):
        assert 0.05 < values[name] < 20
    assert 0.9 < values["recall@10 at 100,000"] <= 1
    assert 0 < values["resident an item at 30,000, exact"] < 10_000
    assert all(row["value"] is not None or row["note"] for row in rows)
    assert Path("var/bench/index.png").stat().st_size > 10_000


def test_quick_gateway_is_compared_with_the_services_behind_it(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks", "gateway", "--quick", "--json", str(file)]
    subprocess.run(command, check=True, timeout=280)
    rows = json.loads(file.read_text(encoding="utf-8"))["figures"]
    values = {row["name"]: row["value"] for row in rows}
    assert values["by a photo that is cached, p50"] > 0
    assert values["by a photo that is cached, p50"] < values["FindSimilarListings by a photo, p50"]
    assert 0.05 < values["Client.embed_many / bare stream"] < 20
    assert all(row["value"] is not None or row["note"] for row in rows)
    assert sum(row["target"] is not None for row in rows) == 7


def test_quick_outside_searches_each_format_and_damages_photos(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks", "outside", "--quick", "--json", str(file)]
    subprocess.run(command, check=True, timeout=280)
    figures = json.loads(file.read_text(encoding="utf-8"))["figures"]
    costliest = [row for row in figures if row["name"].startswith("costliest")]
    assert len(costliest) >= 5
    assert all(0 < row["value"] < 20 for row in costliest)
    values = {row["name"]: row["value"] for row in figures}
    assert 0.05 < values["goodput of others"] < 5
    assert " of 2,000 refused" in figures[-1]["note"]


def test_quick_operations_executes_the_claim_that_is_named(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks", "operations", "--quick", "--only", "starts"]
    subprocess.run([*command, "--json", str(file)], check=True, timeout=280)
    rows = json.loads(file.read_text(encoding="utf-8"))["figures"]
    assert [row["unit"] for row in rows] == ["s"] * 4
    assert all(0 < row["value"] < 60 and row["target"] for row in rows)

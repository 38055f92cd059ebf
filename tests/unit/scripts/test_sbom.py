from __future__ import annotations

import json
from pathlib import Path

import pytest

from lookalike import __version__
from scripts import sbom

HASH = "0" * 64


def test_a_bill_names_packages_versions_and_hashes(tmp_path: Path) -> None:
    lock = f"lamps==1.0 \\\n    --hash=sha256:{HASH}\nsofas==2.0\n"
    sbom.write("lookalike-index", lock, tmp_path / "a" / "index.json")
    bill = json.loads((tmp_path / "a" / "index.json").read_text(encoding="utf-8"))
    assert bill["bomFormat"] == "CycloneDX"
    made = bill["metadata"]["component"]
    assert (made["name"], made["version"]) == ("lookalike-index", __version__)
    lamps, sofas = bill["components"]
    assert (lamps["purl"], sofas["purl"]) == ("pkg:pypi/lamps@1.0", "pkg:pypi/sofas@2.0")
    assert HASH in json.dumps(lamps)


def test_without_locks_there_is_no_bill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sbom, "LOCKS", tmp_path)
    assert sbom.main(["--out", str(tmp_path / "out")]) == 1
    assert "`make lock` writes them" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_every_lock_and_the_wheel_get_a_bill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "index.txt").write_text("lamps==1.0\n", encoding="utf-8")
    monkeypatch.setattr(sbom, "LOCKS", tmp_path)
    monkeypatch.setattr(sbom, "resolved", lambda extra: f"{extra}==3.0")
    assert sbom.main(["--out", str(tmp_path / "out")]) == 0
    written = sorted(file.name for file in (tmp_path / "out").iterdir())
    assert written == ["index.cdx.json", "wheel.cdx.json"]

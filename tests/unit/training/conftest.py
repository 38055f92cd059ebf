"""What the pipeline's steps leave for one another, made once: a marketplace up to a bundle."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import openvino
import pytest

from tests.small_backbone import small_backbones
from training.config import TrainConfig

LISTINGS = 80
# 32 pixels are the least that ResNet50 makes something of; the prepared photos have the same size,
# so that nothing is scaled twice.
SIZE = 32
# Listings nearest to a photo that its likeness is fitted on. After so short a training it is
# chance, which differs by processor, whether a listing's other photo is among the usual 10 of 76.
NEAREST = 20


@pytest.fixture(scope="module", autouse=True)
def backbone() -> Iterator[None]:
    """Networks of this folder's tests are small; so are those of its session's fixtures."""
    with small_backbones():
        yield


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory that is gone after the session: runs and bundles take hundreds of megabytes."""
    folder = tmp_path_factory.mktemp("workshop")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """A directory that is gone after the test, for what is too large to keep."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def marketplace(workshop: Path) -> Path:
    """A raw catalogue."""
    from tests.small_sample import write_small_sample

    write_small_sample(workshop / "marketplace", listings=LISTINGS)
    return workshop / "marketplace"


@pytest.fixture(scope="session")
def data(workshop: Path, marketplace: Path) -> Path:
    """The prepared data set."""
    from training.prepare import prepare

    prepare(marketplace, workshop / "data", image_size=SIZE)
    return workshop / "data"


@pytest.fixture(scope="session")
def config() -> TrainConfig:
    """A run of seconds."""
    return TrainConfig("none", image_size=SIZE, head_units=16, epochs=2, batch_size=32)


@pytest.fixture(scope="session")
def run(workshop: Path, data: Path, config: TrainConfig) -> Path:
    """A complete run, evaluated."""
    from training.evaluate import evaluate
    from training.train import train

    with small_backbones():
        train(data, workshop / "run", config)
        evaluate(data, workshop / "run")
    return workshop / "run"


@pytest.fixture(scope="session")
def bundle(workshop: Path, data: Path, run: Path) -> Path:
    """Its bundle."""
    from training.export import export

    with small_backbones():
        export(data, run, workshop / "bundle")
    return workshop / "bundle"


@pytest.fixture(scope="session")
def converted(run: Path) -> openvino.Model:
    """The run's network in OpenVINO."""
    from lookalike.catalogue.categories import CATEGORIES
    from training.evaluate import load_run
    from training.features import to_openvino

    with small_backbones():
        return to_openvino(load_run(run, len(CATEGORIES))[1], SIZE)


@pytest.fixture(scope="session")
def vectors(workshop: Path, marketplace: Path, bundle: Path) -> Path:
    """The catalogue's vectors."""
    from training.embed import embed

    return embed(bundle, marketplace, workshop / "vectors.parquet").file


@pytest.fixture
def own_run(run: Path, scratch: Path) -> Path:
    """A complete run that the test may change; its weights, which are large, are linked to."""
    (scratch / "run").mkdir()
    for name in ("config.json", "data.json", "run.json", "metrics.json"):
        shutil.copyfile(run / name, scratch / "run" / name)
    (scratch / "run/model.safetensors").symlink_to(run / "model.safetensors")
    return scratch / "run"


@pytest.fixture
def fits_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has rankings and ranges of prices fitted to the few validation photos that there are."""
    fit_few(monkeypatch)


def fit_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `fits_few` does, for fixtures that last longer than a test."""
    monkeypatch.setattr("training.fitting.LEAST_SIBLINGS", 5)
    monkeypatch.setattr("training.pricing.LEAST_PRICES", 5)
    monkeypatch.setattr("training.likeness.LISTINGS", NEAREST)

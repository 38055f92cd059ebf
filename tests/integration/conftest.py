"""What several of the integration tests need."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from lookalike.model import bundle as bundles
from lookalike.model.bundle import Bundle
from lookalike.serving.local_stack import LocalStack, ServiceProcess
from tests.running_gateway import Services, Start


@pytest.fixture(scope="session")
def embedder(
    tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServiceProcess]:
    """An embedder of the tiny bundle in fp32; nobody changes it."""
    settings = {"BUNDLE": tiny_bundle.path, "PRECISION": "fp32", "PORT": 0, "ADMIN_PORT": 0}
    environment = {f"LOOKALIKE_EMBEDDER_{name}": str(value) for name, value in settings.items()}
    log = tmp_path_factory.mktemp("embedder") / "embedder_service.log"
    with ServiceProcess("embedder_service", environment, log) as service:
        yield service


@pytest.fixture(scope="session")
def reading_stack(
    reading_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalStack]:
    """The three services on a bundle that reads words; tests keep to ids of their own."""
    folder = tmp_path_factory.mktemp("reading-stack")
    with LocalStack(
        bundle=reading_bundle.path, index_dir=folder / "index", log_dir=folder / "logs"
    ) as stack:
        yield stack


@pytest.fixture
def services(
    start_service: Start,
    open_channel: Callable[[str], grpc.Channel],
    tiny_bundle: Bundle,
    tmp_path: Path,
) -> Services:
    index_dir = tmp_path / "index"
    embedder = start_service("embedder_service", bundle=tiny_bundle.path)
    index = start_service("index_service", data_dir=index_dir)
    gateway = start_service("gateway", embedder=embedder.address, index=index.address)
    channel = open_channel(gateway.address)
    return Services(start_service, tiny_bundle.path, index_dir, channel, embedder, index, gateway)


@pytest.fixture
def other_bundle(tiny_bundle: Bundle, tmp_path: Path) -> Bundle:
    """The same model after one more step of training: all weights are a little different."""
    from safetensors.torch import load_file, save_file

    weights = load_file(tiny_bundle.path / bundles.WEIGHTS)
    save_file({name: values + 1 for name, values in weights.items()}, tmp_path / "weights")
    manifest = tiny_bundle.manifest
    files = {name: tiny_bundle.path / name for name in manifest.files}
    return bundles.write(
        tmp_path / "other",
        name="other",
        version="2",
        labels=manifest.labels,
        architecture=manifest.architecture,
        preprocessing=manifest.preprocessing,
        outputs=manifest.outputs,
        metrics={},
        files=files | {bundles.WEIGHTS: tmp_path / "weights"},
    )

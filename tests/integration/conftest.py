"""What several of the integration tests need."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from lookalike.model import bundle as bundles
from lookalike.model.bundle import Bundle
from lookalike.serving.local_stack import PREFIXES, LocalStack, ServiceProcess
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


class Behind:
    """The embedder and the index behind one gateway after the other, started again when stopped."""

    def __init__(self, bundle: Path, folder: Path) -> None:
        self.index_dir = folder / "index"
        settings = {
            "embedder_service": {"BUNDLE": bundle, "PORT": 0, "ADMIN_PORT": 0},
            "index_service": {"DATA_DIR": self.index_dir, "PORT": 0},
        }
        self._processes = {
            name: ServiceProcess(
                name,
                {PREFIXES[name] + key: str(value) for key, value in of_one.items()},
                folder / f"{name}.log",
            )
            for name, of_one in settings.items()
        }
        self._collections = 0

    def running(self, name: str) -> ServiceProcess:
        process = self._processes[name]
        if not process.running:
            process.start()
        return process

    def new_collection(self) -> str:
        self._collections += 1
        return f"catalogue-{self._collections}"

    def stop(self) -> None:
        for process in self._processes.values():
            process.stop()


@pytest.fixture(scope="session")
def behind(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    behind = Behind(tiny_bundle.path, tmp_path_factory.mktemp("behind"))
    yield behind
    behind.stop()


@pytest.fixture
def services(
    behind: Behind,
    start_service: Start,
    open_channel: Callable[[str], grpc.Channel],
    tiny_bundle: Bundle,
) -> Services:
    embedder, index = (behind.running(name) for name in ("embedder_service", "index_service"))
    collection = behind.new_collection()
    gateway = start_service(
        "gateway",
        embedder=embedder.address,
        index=index.address,
        collection=collection,
        restart_wait_s=0,
    )
    return Services(
        start_service,
        tiny_bundle.path,
        behind.index_dir,
        collection,
        open_channel(gateway.address),
        embedder,
        index,
        gateway,
    )


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

"""What tests share: photos drawn in memory, a real but untrained model bundle, and the services."""

from __future__ import annotations

import gc
import io
import os
import random
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import grpc
import hypothesis
import pytest
from PIL import Image, ImageDraw

from lookalike.errors import LookalikeError, StartupError
from lookalike.model import bundle as bundles
from lookalike.model.bundle import Architecture, Bundle, Output, Preprocessing, TextTower
from lookalike.serving.local_stack import PREFIXES, LocalStack, ServiceProcess
from lookalike.status import from_rpc_error

# Collecting imports torch and the like, whose objects stay: looking through them for garbage, again
# and again, takes a fifth of the time. `pytest_collection_finish` turns it on.
gc.disable()
# A shell starts what runs in the background with this signal ignored, and programs inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# Here many small sums are computed one after the other. Threads that wait for their share of each
# burn a core; services are started with this environment too. Set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# OpenVINO and NNCF report each conversion to their makers; without this package they do not.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
# Machines differ in speed: a slow example is no failure.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")
# Each service would compile the repository's modules anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

LABELS = tuple(f"category {number}" for number in range(13))
IMAGE_SIZE = 32

# Each group shares what takes seconds to make: a trained run and its bundle; services and theirs.
TOGETHER = {
    "tests/unit/training/": "network",
    "tests/integration/": "services",
    "tests/e2e/": "services",
    "tests/operations/": "services",
    "tests/test_contract.py": "services",
    "tests/unit/embedder_service/": "services",
    "tests/deploy/": "services",
}


def pytest_collection_finish() -> None:
    """Looks for garbage from now on, but not among what collecting has left."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Gives each process of pytest-xdist whole files, and the groups above as a whole."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file: str = super()._split_scope(nodeid)
            return next((name for path, name in TOGETHER.items() if file.startswith(path)), file)

    return Scheduling(config, log)


class DrawPhoto(Protocol):
    """Draws the photo of a seed: the same bytes each time, other bytes for another seed."""

    def __call__(
        self, seed: int, size: tuple[int, int] = (96, 64), kind: str = "JPEG", **options: Any
    ) -> bytes: ...


def _draw(seed: int, size: tuple[int, int]) -> Image.Image:
    dice = random.Random(seed)
    image = Image.new("RGB", size, tuple(dice.randbytes(3)))
    pen = ImageDraw.Draw(image)
    for _ in range(6):
        left, right = sorted(dice.sample(range(size[0] + 1), 2))
        top, bottom = sorted(dice.sample(range(size[1] + 1), 2))
        pen.rectangle((left, top, right, bottom), fill=tuple(dice.randbytes(3)))
    return image


@pytest.fixture(scope="session")
def draw_photo() -> DrawPhoto:
    """Rectangles in random colours, encoded by Pillow with its options."""

    def draw(
        seed: int, size: tuple[int, int] = (96, 64), kind: str = "JPEG", **options: Any
    ) -> bytes:
        out = io.BytesIO()
        _draw(seed, size).save(out, kind, **options)
        return out.getvalue()

    return draw


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle as `training export` writes it, of small input, few blocks and random weights.

    Its weights are not those of a ResNet50, so only the OpenVINO engine can load it.
    """
    from tests.small_backbone import small_backbones

    with small_backbones():
        return _untrained(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def resnet50_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The same with the backbone of every bundle that is shipped, which any engine can load."""
    from tests.small_backbone import real_backbones

    with real_backbones():
        return _untrained(tmp_path_factory.mktemp("resnet50"))


@pytest.fixture(scope="session")
def reading_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Such a bundle with features, and with a text tower of a few words."""
    from tests.small_backbone import small_backbones
    from tests.text_towers import untrained_tower

    folder = tmp_path_factory.mktemp("reading")
    outputs = (Output("category", len(LABELS), "logits"), Output("features", 4, "embedding"))
    with small_backbones():
        return _untrained(folder, outputs, untrained_tower(outputs, folder))


def _untrained(
    folder: Path,
    outputs: tuple[Output, ...] = (
        Output("category", len(LABELS), "logits"),
        Output("style", 4, "embedding"),
    ),
    text: tuple[TextTower, dict[str, Path]] | None = None,
) -> Bundle:
    import openvino
    import torch
    from safetensors.torch import save_file

    from lookalike.model.engines.torch_network import Network
    from training.features import to_openvino

    architecture, preprocessing = Architecture(), Preprocessing(IMAGE_SIZE)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = Network(architecture, preprocessing, outputs)
    with warnings.catch_warnings():
        # torch deprecates the tracing that OpenVINO's converter does.
        warnings.simplefilter("ignore", DeprecationWarning)
        model = to_openvino(network, IMAGE_SIZE)
    openvino.save_model(model, folder / "model.xml", compress_to_fp16=False)
    save_file(network.state_dict(), folder / "model.safetensors")
    return bundles.write(
        folder / "bundle",
        name="tiny",
        version="1",
        labels=LABELS,
        architecture=architecture,
        preprocessing=preprocessing,
        outputs=outputs,
        metrics={},
        files={
            bundles.WEIGHTS: folder / "model.safetensors",
            bundles.OPENVINO_MODEL: folder / "model.xml",
            bundles.OPENVINO_WEIGHTS: folder / "model.bin",
            **(text[1] if text else {}),
        },
        text=text[0] if text else None,
    )


@pytest.fixture(scope="session")
def stack(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """The three services on the tiny bundle and an empty index; tests keep to ids of their own."""
    folder = tmp_path_factory.mktemp("stack")
    with LocalStack(
        bundle=tiny_bundle.path, index_dir=folder / "index", log_dir=folder / "logs"
    ) as stack:
        yield stack


class StartService(Protocol):
    """Starts `python -m module` with settings named as the fields of its settings class."""

    def __call__(self, module: str, **settings: object) -> ServiceProcess: ...


@pytest.fixture
def start_service(tmp_path: Path) -> Iterator[StartService]:
    """Those that still run at the end of the test are stopped, the newest first."""
    services: list[ServiceProcess] = []

    def start(module: str, **settings: object) -> ServiceProcess:
        prefix = PREFIXES[module]
        environment = {prefix + name.upper(): str(value) for name, value in settings.items()}
        environment.setdefault(prefix + "PORT", "0")
        if module == "embedder_service":
            environment.setdefault(prefix + "ADMIN_PORT", "0")
        if module == "gateway":
            environment.setdefault(prefix + "HTTP_PORT", "0")
        log = tmp_path / f"{len(services)}-{module}.log"
        services.append(ServiceProcess(module, environment, log))
        services[-1].start()
        return services[-1]

    yield start
    for service in reversed(services):
        service.stop()


@pytest.fixture
def last_words(start_service: StartService) -> Callable[..., str]:
    """The last line of a service that does not start."""

    def last_words(module: str, **settings: object) -> str:
        with pytest.raises(StartupError) as caught:
            start_service(module, **settings)
        return str(caught.value)

    return last_words


@pytest.fixture
def open_channel() -> Iterator[Callable[[str], grpc.Channel]]:
    """Plain channels, closed at the end of the test."""
    channels: list[grpc.Channel] = []

    def connect(target: str) -> grpc.Channel:
        channels.append(grpc.insecure_channel(target))
        return channels[-1]

    yield connect
    for channel in channels:
        channel.close()


@pytest.fixture(scope="session")
def refusal() -> Callable[[Callable[[], object]], LookalikeError]:
    """Makes a call that must fail, and returns the error that its status tells of."""

    def refusal(call: Callable[[], object]) -> LookalikeError:
        with pytest.raises(grpc.RpcError) as caught:
            call()
        return from_rpc_error(caught.value)

    return refusal

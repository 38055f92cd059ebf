"""The compose stack answers as the three processes do. Run by `make e2e`: it needs Docker."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from lookalike.gateway.v1 import gateway_pb2 as pb
from lookalike.gateway.v1.gateway_pb2_grpc import GatewayServiceStub
from lookalike.model.bundle import Bundle
from lookalike.serving.local_stack import LocalStack

ROOT = Path(__file__).resolve().parents[2]
IMAGES = {"embedder": "embedder_service", "index": "index_service", "gateway": "gateway"}
# Extras that an image has no business with.
FORBIDDEN = {
    "embedder": ("torch", "faiss", "pandas"),
    "index": ("torch", "openvino", "PIL", "pandas"),
    "gateway": ("torch", "openvino", "faiss", "pandas"),
}

pytestmark = [
    pytest.mark.skipif(
        os.environ.get("LOOKALIKE_E2E_DOCKER") != "1",
        reason="builds images and starts containers; `make e2e` runs it",
    ),
    pytest.mark.timeout(1500),
]


class Compose:
    """One compose project with the repository's docker-compose.yml."""

    def __init__(self, bundle: Path) -> None:
        self._command = [
            *(["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]),
            *("--project-name", "lookalike-e2e", "--file", str(ROOT / "docker-compose.yml")),
        ]
        ports = {f"LOOKALIKE_{name.upper()}_PORT": "0" for name in (*IMAGES, "gateway_http")}
        self._environment = {**os.environ, **ports, "LOOKALIKE_BUNDLE": str(bundle)}

    def __call__(self, *arguments: str) -> str:
        return subprocess.run(
            [*self._command, *arguments],
            env=self._environment, check=True, text=True, stdout=subprocess.PIPE,
        ).stdout.strip()  # fmt: skip


@pytest.fixture(scope="module")
def compose(tiny_bundle: Bundle) -> Iterator[Compose]:
    for name, folder in IMAGES.items():
        subprocess.run(
            ["docker", "build", "--network", "host", "--quiet",
             "--file", f"{folder}/Dockerfile", "--tag", f"lookalike-{name}", "."],
            cwd=ROOT, check=True,
        )  # fmt: skip
    # pytest's own folders are closed to the containers' user
    bundle = ROOT / "var/e2e/bundle"
    shutil.rmtree(bundle, ignore_errors=True)
    shutil.copytree(tiny_bundle.path, bundle)
    compose = Compose(bundle)
    compose("up", "--detach", "--no-build")
    try:
        yield compose
    finally:
        compose("down", "--volumes")


@pytest.fixture(scope="module")
def gateway(compose: Compose) -> str:
    address = compose("port", "gateway", "50050")
    with grpc.insecure_channel(address) as channel:
        grpc.channel_ready_future(channel).result(timeout=120)
    return address


def answers(address: str, draw_photo: Callable[[int], bytes]) -> list[Any]:
    """Ingests a few photos and asks about one that is not among them."""
    with grpc.insecure_channel(address) as channel:
        stub = GatewayServiceStub(channel)
        for seed in range(12):
            photo = pb.CataloguePhoto(item_id=f"photo-{seed}", product_id=f"listing-{seed // 2}")
            request = pb.IngestListingRequest(photo=photo, image=draw_photo(seed))
            stub.IngestListing(request, timeout=60)
        request = pb.FindSimilarListingsRequest(image=draw_photo(99), k=5)
        answer = stub.FindSimilarListings(request, timeout=60)
    assert len(answer.listings) == 5
    return [
        answer.classification.scores[0].category,
        *((hit.photo.item_id, pytest.approx(hit.distance)) for hit in answer.listings),
    ]


def test_containers_answer_the_same_query_as_the_processes_do(
    gateway: str, stack: LocalStack, draw_photo: Callable[[int], bytes]
) -> None:
    assert answers(gateway, draw_photo) == answers(stack.address("gateway"), draw_photo)


@pytest.mark.parametrize("service", IMAGES)
def test_container_runs_as_an_ordinary_user_with_its_own_packages_only(
    compose: Compose, gateway: str, service: str
) -> None:
    assert compose("exec", "-T", service, "id", "-u") == "10001"
    probe = (
        "import importlib.util, sys; "
        "print([name for name in sys.argv[1:] if importlib.util.find_spec(name)])"
    )
    found = compose("exec", "-T", service, "python", "-c", probe, *FORBIDDEN[service])
    assert found == "[]"


def test_items_outlive_the_index_container(
    compose: Compose, gateway: str, draw_photo: Callable[[int], bytes]
) -> None:
    before = answers(gateway, draw_photo)
    compose("restart", "index")
    with grpc.insecure_channel(compose("port", "gateway", "50050")) as channel:
        stub = GatewayServiceStub(channel)
        # The gateway is serving all the time, as photos can be classified without an index.
        deadline = time.monotonic() + 120
        while not stub.GetStatus(pb.GetStatusRequest(), timeout=10).index.ready:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        request = pb.FindSimilarListingsRequest(image=draw_photo(99), k=5)
        answer = stub.FindSimilarListings(request, timeout=60)
    assert [hit.photo.item_id for hit in answer.listings] == [item for item, _ in before[1:]]


def test_stopped_containers_drain_and_exit_with_0(compose: Compose, gateway: str) -> None:
    containers = {service: compose("ps", "-q", service) for service in IMAGES}
    compose("stop")
    for container in containers.values():
        status = subprocess.run(
            ["docker", "inspect", "--format", "{{.State.ExitCode}}", container],
            check=True, text=True, stdout=subprocess.PIPE,
        ).stdout.strip()  # fmt: skip
        assert status == "0"

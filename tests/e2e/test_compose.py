"""The compose stack answers as the three processes do. Run by `make e2e`: it needs Docker."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

import lookalike
from lookalike.client.index import IndexClient, ItemView
from lookalike.gateway.v1 import gateway_pb2 as pb
from lookalike.gateway.v1.gateway_pb2_grpc import GatewayServiceStub
from lookalike.model.bundle import Bundle
from lookalike.serving.local_stack import LocalStack
from scripts import images
from tests.e2e.compose_stack import (
    EMBEDDERS,
    SERVICES,
    Compose,
    Ingesting,
    docker,
    inspect,
    open_to_containers,
    wait,
)

# What an image has no business with.
FORBIDDEN = {
    "embedder": ("torch", "faiss", "pandas", "pip", "openvino_telemetry", "huggingface_hub"),
    "index": ("torch", "openvino", "PIL", "pandas", "pip"),
    "gateway": ("torch", "openvino", "faiss", "pandas", "pip"),
}
PROGRAMS = ("pip", "gcc", "cc", "make", "curl", "wget")

pytestmark = [
    pytest.mark.skipif(
        os.environ.get("LOOKALIKE_E2E_DOCKER") != "1",
        reason="builds images and starts containers; `make e2e` runs it",
    ),
    pytest.mark.timeout(1500),
]


@pytest.fixture(scope="module")
def compose(tiny_bundle: Bundle) -> Iterator[Compose]:
    for name in SERVICES:
        images.build(name, "--network", "host")
    compose = Compose(open_to_containers(tiny_bundle.path))
    try:
        compose("up", "--detach", "--no-build", "--scale", f"embedder={EMBEDDERS}")
        compose.wait_until_it_answers()
        yield compose
    finally:
        compose("down", "--volumes")


def answers(address: str, draw_photo: Callable[[int], bytes]) -> list[Any]:
    """Ingests a few photos and asks about one that is not among them."""
    with grpc.insecure_channel(address) as channel:
        stub = GatewayServiceStub(channel)
        for seed in range(12):
            photo = pb.CataloguePhoto(item_id=f"photo-{seed}", product_id=f"listing-{seed // 2}")
            listing = pb.IngestListingRequest(photo=photo, image=draw_photo(seed))
            stub.IngestListing(listing, timeout=60)
        request = pb.FindSimilarListingsRequest(image=draw_photo(99), k=5)
        answer = stub.FindSimilarListings(request, timeout=60)
    assert len(answer.listings) == 5
    return [
        answer.classification.scores[0].category,
        *((hit.photo.item_id, pytest.approx(hit.distance)) for hit in answer.listings),
    ]


def test_containers_answer_the_same_query_as_the_processes_do(
    compose: Compose, stack: LocalStack, draw_photo: Callable[[int], bytes]
) -> None:
    assert answers(compose.gateway, draw_photo) == answers(stack.address("gateway"), draw_photo)


def embedded(container: str) -> int:
    """How many photos an embedder's log says that it was asked for."""
    logged = subprocess.run(
        ["docker", "logs", container], check=True, text=True, capture_output=True
    )  # fmt: skip
    lines = (logged.stderr + logged.stdout).splitlines()
    return sum("/EmbedImage" in line for line in lines)


def test_calls_go_round_all_embedders(compose: Compose, draw_photo: Callable[[int], bytes]) -> None:
    containers = compose.containers("embedder")
    assert len(containers) == EMBEDDERS
    before = [embedded(container) for container in containers]
    with grpc.insecure_channel(compose.gateway) as channel:
        stub = GatewayServiceStub(channel)
        for seed in range(60):  # each another photo: the gateway remembers those that it has seen
            request = pb.ClassifyListingRequest(images=[draw_photo(7000 + seed)])
            stub.ClassifyListing(request, timeout=60)
    got = [embedded(each) - had for each, had in zip(containers, before, strict=True)]
    assert sum(got) == 60
    assert min(got) >= 15, got


def test_an_embedder_that_is_added_later_gets_calls_too(
    compose: Compose, draw_photo: Callable[[int], bytes]
) -> None:
    had = compose.containers("embedder")
    scaled = ("up", "--detach", "--no-build", "--no-recreate", "--scale")
    compose(*scaled, f"embedder={EMBEDDERS + 1}")
    try:
        (added,) = set(compose.containers("embedder")) - set(had)
        with Ingesting(compose.gateway, draw_photo, "added") as load:
            wait(lambda: embedded(added) > 0)
        assert load.failed == []
    finally:
        compose(*scaled, f"embedder={EMBEDDERS}")


@pytest.mark.parametrize("service", SERVICES)
def test_image_keeps_to_its_size_and_says_what_it_is(compose: Compose, service: str) -> None:
    assert images.size_mb(service) <= images.LIMITS_MB[service]
    labels = inspect(f"lookalike-{service}")["Config"]["Labels"]
    told = {name.removeprefix("org.opencontainers.image."): text for name, text in labels.items()}
    assert told["version"] == lookalike.__version__
    assert told["revision"] == images.revision()
    assert told["title"] == f"lookalike-{service}"
    assert told["licenses"] == "Apache-2.0"
    assert "source" not in told


@pytest.mark.parametrize("service", SERVICES)
def test_container_runs_as_an_ordinary_user_with_its_own_packages_only(
    compose: Compose, service: str
) -> None:
    assert compose("exec", "-T", service, "id", "-u") == "10001"
    probe = (
        "import importlib.util, shutil, sys; "
        "print([name for name in sys.argv[1:] if importlib.util.find_spec(name)]); "
        f"print([name for name in {PROGRAMS} if shutil.which(name)])"
    )
    found = compose("exec", "-T", service, "python", "-c", probe, *FORBIDDEN[service])
    assert found.split() == ["[]", "[]"]


@pytest.mark.parametrize("service", SERVICES)
def test_container_writes_nowhere_but_to_its_volume_and_tmp(compose: Compose, service: str) -> None:
    probe = """
import os
writable = []
for folder, names, files in os.walk("/"):
    if folder == "/":
        names[:] = set(names) - {"proc", "sys", "dev"}
    try:
        open(os.path.join(folder, "probe"), "w").close()
        os.remove(os.path.join(folder, "probe"))
    except OSError:
        continue
    writable.append(folder)
    names[:] = []
print(sorted(writable))
"""
    own = {"index": ["/data"], "gateway": ["/thumbnails"]}.get(service, [])
    found = compose("exec", "-T", service, "python", "-c", probe)
    assert found == str(sorted(["/tmp", *own]))
    host = inspect(compose.containers(service)[0])["HostConfig"]
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]


@pytest.mark.parametrize("service", SERVICES)
def test_modules_are_compiled_in_the_image(compose: Compose, service: str) -> None:
    probe = """
import importlib.util, pathlib, sys, sysconfig
paths = sysconfig.get_paths()
missing = [
    str(file)
    for folder in ("/app", paths["purelib"], paths["stdlib"])
    for file in pathlib.Path(folder).rglob("*.py")
    if "site-packages" not in str(file) or folder != paths["stdlib"]
    if not pathlib.Path(importlib.util.cache_from_source(str(file))).exists()
]
print(len(missing), missing[:5])
"""
    assert compose("exec", "-T", service, "python", "-c", probe) == "0 []"


def test_items_outlive_the_index_container(
    compose: Compose, draw_photo: Callable[[int], bytes]
) -> None:
    before = answers(compose.gateway, draw_photo)
    compose("restart", "index")
    compose.wait_until_it_answers()
    with grpc.insecure_channel(compose.gateway) as channel:
        stub = GatewayServiceStub(channel)
        request = pb.FindSimilarListingsRequest(image=draw_photo(99), k=5)
        answer = stub.FindSimilarListings(request, timeout=60)
    assert [hit.photo.item_id for hit in answer.listings] == [item for item, _ in before[1:]]


@pytest.mark.parametrize("service", SERVICES)
def test_no_acknowledged_write_is_lost_when_a_container_is_killed_under_load(
    compose: Compose, draw_photo: Callable[[int], bytes], service: str
) -> None:
    container = compose.containers(service)[0]
    with Ingesting(compose.gateway, draw_photo, f"killed-{service}") as load:
        load.wait_for_more(20)
        docker("kill", "--signal", "KILL", container)
        if service == "embedder":
            load.wait_for_more(20)  # by the two that are left
        docker("start", container)
        compose.wait_until_ready(service, container)
        load.wait_for_more(20)
    if service == "embedder":
        assert load.failed == []
    print(  # noqa: T201  the figures of the run
        f"{service} killed: {len(load.acknowledged)} acknowledged, {len(load.failed)} failed"
    )
    with IndexClient(compose.index) as index:
        kept = {item.id for item in index.items("listings", view=ItemView.IDS)}
    assert set(load.acknowledged) - kept == set()


def test_stopped_containers_drain_and_exit_with_0(
    compose: Compose, draw_photo: Callable[[int], bytes]
) -> None:
    containers = [each for service in SERVICES for each in compose.containers(service)]
    with Ingesting(compose.gateway, draw_photo, "stopped") as load:
        load.wait_for_more(20)
        compose("stop")
    states = [inspect(each)["State"] for each in containers]
    # 137 would be that of one that was killed when its time was over
    assert [state["ExitCode"] for state in states] == [0] * len(containers), json.dumps(states)

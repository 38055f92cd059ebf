"""The contract as its users meet it: protos, stubs, and the services through reflection alone."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.rpc import error_details_pb2

from lookalike import __version__
from lookalike.model.bundle import Bundle
from lookalike.serving.local_stack import LocalStack
from scripts import protos

DrawPhoto = Callable[..., bytes]

MODULES = {
    "gateway": "lookalike.gateway.v1.GatewayService",
    "embedder_service": "lookalike.embedder.v1.EmbedderService",
    "index_service": "lookalike.index.v1.IndexService",
}

# Imports every stub, and sends a message of each service, errors within, there and back.
CLIENT = """
import sys
import google.protobuf
import lookalike
from lookalike.embedder.v1 import embedder_pb2, embedder_pb2_grpc
from lookalike.gateway.v1 import gateway_pb2, gateway_pb2_grpc
from lookalike.index.v1 import index_pb2, index_pb2_grpc
from google.rpc import status_pb2

for message in (
    embedder_pb2.StreamEmbedImagesResponse(id="a", error=status_pb2.Status(code=3, message="b")),
    gateway_pb2.IngestListingRequest(photo=gateway_pb2.CataloguePhoto(item_id="a", price=0)),
    index_pb2.Item(id="a", attributes={"b": "c"}, vector=index_pb2.Vector(values=[1, 2])),
):
    assert type(message).FromString(message.SerializeToString()) == message
print(google.protobuf.__version__)
print(*sys.modules)
"""


@pytest.fixture(scope="session")
def buf() -> Path:
    if shutil.which("npm") is None:
        pytest.skip("buf comes from npm, which is not on PATH")
    return protos.buf()


def run_client(*paths: Path) -> tuple[str, set[str]]:
    """Runs the program above in a fresh interpreter: protobuf's version, and what was loaded."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", CLIENT],
        cwd=protos.ROOT,
        env={"PYTHONPATH": ":".join(map(str, paths))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found, modules = done.stdout.splitlines()
    return found, {name.partition(".")[0] for name in modules.split()}


def test_stubs_are_what_the_protos_give() -> None:
    assert protos.check() == 0, "stale; run `make proto`"


@pytest.mark.usefixtures("buf")
def test_protos_pass_bufs_lint() -> None:
    assert protos.lint() == 0


def test_clients_load_nothing_that_only_services_need() -> None:
    _, loaded = run_client()
    assert {"lookalike", "grpc", "google"} <= loaded
    heavy = {"torch", "faiss", "pandas", "openvino", "numpy", "PIL"}
    assert loaded & heavy == set()


@pytest.mark.parametrize("major", ["6", "7"])
def test_stubs_run_on_every_protobuf_that_is_allowed(major: str, tmp_path: Path) -> None:
    if version("protobuf").partition(".")[0] != major:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        wanted = ["--no-deps", "--target", str(tmp_path), f"protobuf=={major}.*"]
        done = subprocess.run([*pip, *wanted], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"pip has no protobuf {major}: {done.stderr.strip().splitlines()[-1]}")
    found, _ = run_client(tmp_path)
    assert found.partition(".")[0] == major


Curl = Callable[..., Any]


@pytest.fixture
def curl(buf: Path, stack: LocalStack) -> Curl:
    """Calls a method with JSON and returns the JSON of the answer, knowing no proto beforehand."""

    def curl(module: str, method: str = "", data: object = None, *flags: str) -> Any:
        name = method if "/" in method else f"{MODULES[module]}/{method}"
        url = f"http://{stack.address(module)}" + (f"/{name}" if method else "")
        command = [str(buf), "curl", "--protocol", "grpc", "--http2-prior-knowledge", *flags]
        done = subprocess.run(
            [*command, *([] if data is None else ["--data", "@-"]), url],
            input=json.dumps(data).encode(),
            capture_output=True,
            check=False,
        )
        if done.returncode:
            return json.loads(done.stderr)
        return done.stdout.decode().split() if flags else json.loads(done.stdout)

    return curl


@pytest.mark.parametrize("module", MODULES)
def test_reflection_lists_the_service_and_its_health(curl: Curl, module: str) -> None:
    services = set(curl(module, "", None, "--list-services"))
    assert services >= {MODULES[module], "grpc.health.v1.Health"}
    assert services & set(MODULES.values()) == {MODULES[module]}


def test_embedder_answers_json(curl: Curl, tiny_bundle: Bundle) -> None:
    model = curl("embedder_service", "GetModel", {})["model"]
    assert model["embeddingSpace"] == tiny_bundle.manifest.embedding_space
    assert model["labels"] == list(tiny_bundle.manifest.labels)
    assert model["outputs"][0] == {"name": "category", "dimension": 13, "kind": "logits"}


def test_embedder_speaks_the_open_inference_protocol_in_json_too(
    curl: Curl, draw_photo: DrawPhoto
) -> None:
    service = "inference.GRPCInferenceService"
    assert service in curl("embedder_service", "", None, "--list-services")
    assert curl("embedder_service", f"{service}/ModelReady", {"name": "tiny"}) == {"ready": True}
    photo = base64.b64encode(draw_photo(1)).decode()
    image = {"name": "image", "datatype": "BYTES", "shape": [1]}
    request = {"modelName": "tiny", "inputs": [image | {"contents": {"bytesContents": [photo]}}]}
    (output,) = curl("embedder_service", f"{service}/ModelInfer", request)["outputs"]
    assert (output["name"], output["shape"]) == ("category", ["1", "13"])
    assert len(output["contents"]["fp32Contents"]) == 13


def test_index_answers_json(curl: Curl) -> None:
    collection = {"name": "from-curl", "embeddingSpace": "space", "dimension": 2}
    created = curl("index_service", "CreateCollection", {"collection": collection})
    defaults = {"metric": "METRIC_SQUARED_L2", "exactUpTo": "200000", "targetRecall": 0.99}
    assert created == {"collection": collection | defaults}
    vector = {"values": [0.5, -1], "embeddingSpace": "space"}
    item = {"id": "a", "productId": "x", "price": 0, "vector": vector}
    upsert = {"collection": "from-curl", "items": [item]}
    assert curl("index_service", "BatchUpsertItems", upsert)["inserted"] == "1"
    got = curl("index_service", "GetItem", {"collection": "from-curl", "itemId": "a"})
    assert got == {"item": item}


def test_gateway_answers_json(curl: Curl, tiny_bundle: Bundle, draw_photo: DrawPhoto) -> None:
    photo = base64.b64encode(draw_photo(1)).decode()
    answer = curl("gateway", "ClassifyImage", {"image": photo, "includeVector": True})
    scores = answer["classification"]["scores"]
    assert {score["category"] for score in scores} == set(tiny_bundle.manifest.labels)
    assert sum(score["probability"] for score in scores) == pytest.approx(1, abs=1e-5)
    assert len(answer["vector"]) == 13
    assert int(answer["timings"]["embedNs"]) > 0


def test_every_face_tells_the_one_version(curl: Curl, stack: LocalStack) -> None:
    assert curl("gateway", "GetStatus", {})["version"] == __version__
    described = httpx.get(f"http://{stack.http_address}/openapi.json").json()
    assert described["info"]["version"] == __version__
    server = curl("embedder_service", "inference.GRPCInferenceService/ServerMetadata", {})
    assert server["version"] == __version__
    for module in MODULES:
        metrics = httpx.get(f"http://{stack.metrics_address(module)}/metrics").text
        assert f'version="{__version__}"' in metrics


def test_errors_are_googles_and_readable_without_any_code_of_ours(curl: Curl) -> None:
    error = curl("gateway", "FindSimilarListings", {"itemId": "a", "k": 1001})
    assert error["code"] == "invalid_argument"
    assert error["message"] == "k is 1001; it must be 1 to 1000, or 0 for 10"
    # buf leaves off the padding.
    details = {d["type"]: base64.b64decode(d["value"] + "==") for d in error["details"]}
    info = error_details_pb2.ErrorInfo.FromString(details["google.rpc.ErrorInfo"])
    assert (info.reason, info.domain) == ("INVALID_ARGUMENT", "lookalike")
    (violation,) = error_details_pb2.BadRequest.FromString(
        details["google.rpc.BadRequest"]
    ).field_violations
    assert (violation.field, violation.description) == ("k", error["message"])

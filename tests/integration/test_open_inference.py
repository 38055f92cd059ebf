"""The Open Inference Protocol as other servers' clients speak it.

NVIDIA's tritonclient brings stubs of the same names as ours, and a process can hold one set of
them: it runs in a process of its own.
"""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from lookalike.embedder.v1 import embedder_pb2
from lookalike.embedder.v1.embedder_pb2_grpc import EmbedderServiceStub
from lookalike.errors import (
    InvalidArgumentError,
    InvalidImageError,
    LookalikeError,
    ModelNotFoundError,
    UnknownOutputError,
)
from lookalike.inference import open_inference_pb2 as pb
from lookalike.inference.open_inference_pb2_grpc import GRPCInferenceServiceStub
from lookalike.model.bundle import Bundle
from lookalike.serving.local_stack import ServiceProcess

DrawPhoto = Callable[..., bytes]
Refusal = Callable[[Callable[[], object]], LookalikeError]

TRITON = """
import json, pathlib, sys
import numpy as np
import tritonclient.grpc as triton

address, *files = sys.argv[1:]
client = triton.InferenceServerClient(address)
photos = np.array([[pathlib.Path(file).read_bytes()] for file in files], dtype=np.object_)
image = triton.InferInput("image", photos.shape, "BYTES")
image.set_data_from_numpy(photos)
wanted = [triton.InferRequestedOutput(name) for name in ("style", "category")]
result = client.infer("tiny", [image], outputs=wanted, request_id="mine")
try:
    client.infer("other", [image])
    refused = None
except triton.InferenceServerException as error:
    refused = [error.status(), error.message()]
metadata = client.get_model_metadata("tiny", as_json=True)
print(json.dumps({
    "live": client.is_server_live(),
    "ready": [client.is_server_ready(), client.is_model_ready("tiny"),
              client.is_model_ready("tiny", "1"), client.is_model_ready("tiny", "2")],
    "server": client.get_server_metadata(as_json=True)["name"],
    "inputs": metadata["inputs"],
    "outputs": metadata["outputs"],
    "id": result.get_response().id,
    "style": result.as_numpy("style").tolist(),
    "category": result.as_numpy("category").tolist(),
    "refused": refused,
}))
"""


@pytest.fixture(scope="module")
def channel(embedder: ServiceProcess) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(embedder.address) as channel:
        yield channel


@pytest.fixture(scope="module")
def stub(channel: grpc.Channel) -> GRPCInferenceServiceStub:
    return GRPCInferenceServiceStub(channel)


def own_vectors(channel: grpc.Channel, photos: list[bytes], output: str) -> list[list[float]]:
    """What our own API says of the same photos."""
    stub = EmbedderServiceStub(channel)
    requests = [embedder_pb2.EmbedImageRequest(image=photo, outputs=[output]) for photo in photos]
    return [list(stub.EmbedImage(request).embeddings[0].values) for request in requests]


def request_for(photos: list[bytes], **changes: Any) -> pb.ModelInferRequest:
    tensor = pb.ModelInferRequest.InferInputTensor(
        name="image", datatype="BYTES", shape=[len(photos)]
    )
    tensor.contents.bytes_contents.extend(photos)
    fields: dict[str, Any] = {"model_name": "tiny", "id": "a", "inputs": [tensor]}
    return pb.ModelInferRequest(**(fields | changes))


def test_tritonclient_works_unchanged(
    embedder: ServiceProcess, channel: grpc.Channel, draw_photo: DrawPhoto, tmp_path: Path
) -> None:
    photos = [draw_photo(seed) for seed in range(3)]
    files = []
    for number, photo in enumerate(photos):
        files.append(str(tmp_path / f"{number}.jpg"))
        Path(files[-1]).write_bytes(photo)
    done = subprocess.run(
        [sys.executable, "-c", TRITON, embedder.address, *files],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["live"] is True
    assert told["ready"] == [True, True, True, False]
    assert told["server"] == "lookalike-embedder"
    assert told["inputs"] == [{"name": "image", "datatype": "BYTES", "shape": ["-1", "1"]}]
    assert told["outputs"] == [
        {"name": "category", "datatype": "FP32", "shape": ["-1", "13"]},
        {"name": "style", "datatype": "FP32", "shape": ["-1", "4"]},
    ]
    assert told["id"] == "mine"
    for output in ("style", "category"):
        expected = own_vectors(channel, photos, output)
        np.testing.assert_allclose(told[output], expected, atol=1e-4)
    assert told["refused"] == [
        "StatusCode.NOT_FOUND", "model 'other' is not served; 'tiny' version '1' is",
    ]  # fmt: skip


def test_contents_that_are_not_raw_are_answered_in_kind(
    stub: GRPCInferenceServiceStub,
    channel: grpc.Channel,
    draw_photo: DrawPhoto,
    tiny_bundle: Bundle,
) -> None:
    photos = [draw_photo(seed) for seed in range(2)]
    response = stub.ModelInfer(request_for(photos))
    (output,) = response.outputs
    assert (output.name, output.datatype, list(output.shape)) == ("category", "FP32", [2, 13])
    found = np.reshape(output.contents.fp32_contents, (2, 13))
    np.testing.assert_allclose(found, own_vectors(channel, photos, "category"), atol=1e-4)
    assert not response.raw_output_contents
    assert (response.model_name, response.model_version, response.id) == ("tiny", "1", "a")
    space = response.parameters["embedding_space"].string_param
    assert space == tiny_bundle.manifest.embedding_space


def tensor(**changes: Any) -> pb.ModelInferRequest.InferInputTensor:
    fields: dict[str, Any] = {"name": "image", "datatype": "BYTES", "shape": [1]}
    return pb.ModelInferRequest.InferInputTensor(**(fields | changes))


@pytest.mark.parametrize(
    ("changes", "error_class", "field"),
    [
        ({"model_name": "other"}, ModelNotFoundError, ""),
        ({"model_version": "9"}, ModelNotFoundError, ""),
        ({"inputs": []}, InvalidArgumentError, "inputs"),
        ({"inputs": [tensor(name="pixels")]}, InvalidArgumentError, "inputs"),
        ({"inputs": [tensor(), tensor()]}, InvalidArgumentError, "inputs"),
        ({"inputs": [tensor(datatype="UINT8")]}, InvalidArgumentError, "inputs[0].datatype"),
        ({"inputs": [tensor(shape=[])]}, InvalidArgumentError, "inputs[0].shape"),
        ({"inputs": [tensor(shape=[0])]}, InvalidArgumentError, "inputs[0].shape"),
        ({"inputs": [tensor(shape=[1, 2])]}, InvalidArgumentError, "inputs[0].shape"),
        ({"inputs": [tensor(shape=[-1])]}, InvalidArgumentError, "inputs[0].shape"),
        ({"inputs": [tensor(shape=[257])]}, InvalidArgumentError, "inputs[0].shape"),
        ({"inputs": [tensor()]}, InvalidArgumentError, "inputs[0].contents"),
        ({"raw_input_contents": [b"", b""]}, InvalidArgumentError, "raw_input_contents"),
        ({"raw_input_contents": [b"a"]}, InvalidArgumentError, "raw_input_contents"),
        (
            {"inputs": [tensor()], "raw_input_contents": [b"\5\0\0\0abcd"]},
            InvalidArgumentError,
            "raw_input_contents[0]",
        ),
        (
            {"inputs": [tensor()], "raw_input_contents": [b"\1\0\0"]},
            InvalidArgumentError,
            "raw_input_contents[0]",
        ),
        (
            {"inputs": [tensor()], "raw_input_contents": [b"\1\0\0\0a\1\0\0\0b"]},
            InvalidArgumentError,
            "raw_input_contents[0]",
        ),
        (
            {"inputs": [tensor()], "raw_input_contents": [b"\4\0\0\0text"]},
            InvalidImageError,
            "image",
        ),
        (
            {"outputs": [pb.ModelInferRequest.InferRequestedOutputTensor(name="none")]},
            UnknownOutputError,
            "outputs[0]",
        ),
    ],
)
def test_malformed_request_is_refused_with_the_field(
    stub: GRPCInferenceServiceStub,
    refusal: Refusal,
    draw_photo: DrawPhoto,
    *,
    changes: dict[str, Any],
    error_class: type[LookalikeError],
    field: str,
) -> None:
    error = refusal(lambda: stub.ModelInfer(request_for([draw_photo(1)], **changes)))
    assert (type(error), error.field) == (error_class, field)


def test_bad_photo_among_good_ones_fails_the_call_alone(
    stub: GRPCInferenceServiceStub, refusal: Refusal, draw_photo: DrawPhoto
) -> None:
    raw = b"".join(
        struct.pack("<I", len(photo)) + photo for photo in (draw_photo(1), b"<html>", draw_photo(2))
    )
    bad = request_for([], inputs=[tensor(shape=[3])], raw_input_contents=[raw])
    error = refusal(lambda: stub.ModelInfer(bad))
    assert (type(error), error.field) == (InvalidImageError, "image[1]")
    assert error.message.startswith("element 1 of 3: ")
    assert stub.ModelInfer(request_for([draw_photo(1)])).outputs

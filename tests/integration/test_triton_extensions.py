"""Extensions of Triton's protocol, as its own client asks for them: see test_open_inference.py."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from lookalike.embedder.v1 import embedder_pb2
from lookalike.embedder.v1.embedder_pb2_grpc import EmbedderServiceStub
from lookalike.errors import (
    InvalidArgumentError,
    LookalikeError,
    ModelNotFoundError,
    NotSupportedError,
)
from lookalike.inference import open_inference_pb2 as pb
from lookalike.inference.open_inference_pb2_grpc import GRPCInferenceServiceStub
from lookalike.model.bundle import Bundle
from tests.conftest import LABELS, StartService
from tests.embedders import vector

DrawPhoto = Callable[..., bytes]
OpenChannel = Callable[[str], grpc.Channel]
Refusal = Callable[[Callable[[], object]], LookalikeError]

TRITON = """
import json, pathlib, sys
import numpy as np
import tritonclient.grpc as triton

address, *files = sys.argv[1:]
client = triton.InferenceServerClient(address)
photos = np.array([pathlib.Path(file).read_bytes() for file in files], dtype=np.object_)

def infer(photos, **outputs):
    image = triton.InferInput("image", photos.shape, "BYTES")
    image.set_data_from_numpy(photos)
    wanted = [triton.InferRequestedOutput(name, class_count=n) for name, n in outputs.items()]
    return client.infer("tiny", [image], outputs=wanted)

def refusal(photos):
    try:
        infer(photos, category=0)
    except triton.InferenceServerException as error:
        return error.message()

def texts(result, name):
    return [[text.decode() for text in row] for row in result.as_numpy(name)]

found = infer(photos, category=3, style=99)
print(json.dumps({
    "extensions": client.get_server_metadata(as_json=True)["extensions"],
    "config": client.get_model_config("tiny", as_json=True)["config"],
    "index": client.get_model_repository_index(as_json=True),
    "category": texts(found, "category"),
    "style": texts(found, "style"),
    "datatype": found.get_output("category").datatype,
    "refused": refusal(np.array([photos[0], b"no photo"], dtype=np.object_)),
    "one refused": refusal(np.array([b"no photo"], dtype=np.object_)),
    "of one": client.get_inference_statistics("tiny", "1", as_json=True),
    "of all": client.get_inference_statistics(as_json=True),
}))
"""


@pytest.fixture
def address(start_service: StartService, tiny_bundle: Bundle) -> str:
    """A service that nobody else asks, in fp32 so that values are the same in every batch."""
    return start_service("embedder_service", bundle=tiny_bundle.path, precision="fp32").address


def ask(address: str, folder: Path, photos: list[bytes]) -> dict[str, Any]:
    """What the program prints."""
    files = [folder / f"{number}.jpg" for number in range(len(photos))]
    for file, photo in zip(files, photos, strict=True):
        file.write_bytes(photo)
    done = subprocess.run(
        [sys.executable, "-c", TRITON, address, *map(str, files)],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_tritonclient_gets_classes_index_statistics_and_the_bad_element(
    address: str, open_channel: OpenChannel, draw_photo: DrawPhoto, tmp_path: Path
) -> None:
    before = time.time()
    photos = [draw_photo(seed) for seed in range(3)]
    told = ask(address, tmp_path, photos)

    assert told["extensions"] == ["classification", "model_configuration", "statistics"]
    config = told["config"]
    assert config["input"] == [{"name": "image", "data_type": "TYPE_STRING", "dims": ["1"]}]
    dims = {output["name"]: output["dims"] for output in config["output"]}
    assert dims == {"category": ["13"], "style": ["4"]}
    assert config["max_batch_size"] == 256
    assert config["dynamic_batching"]["preferred_batch_size"] == [8]
    assert told["index"] == {"models": [{"name": "tiny", "version": "1", "state": "READY"}]}
    assert told["datatype"] == "BYTES"
    stub = EmbedderServiceStub(open_channel(address))
    for photo, category, style in zip(photos, told["category"], told["style"], strict=True):
        values = np.array(vector(stub, photo, "category"))
        best = np.argsort(-values)[:3]
        assert [text.split(":")[1:] for text in category] == [[str(i), LABELS[i]] for i in best]
        found = [float(text.split(":")[0]) for text in category]
        np.testing.assert_allclose(found, values[best], atol=1e-4)
        # All four are fewer than those asked for, and have no labels.
        assert sorted(text.split(":")[1:] for text in style) == [["0"], ["1"], ["2"], ["3"]]
    assert told["refused"].startswith("element 1 of 2: image is not one of JPEG")
    assert told["one refused"].startswith("image is not one of JPEG")

    assert told["of one"] == told["of all"]
    (stats,) = told["of one"]["model_stats"]
    assert (stats["name"], stats["version"]) == ("tiny", "1")
    assert int(stats["inference_count"]) == 3
    assert before - 1 <= int(stats["last_inference"]) / 1000 <= time.time() + 1
    totals = stats["inference_stats"]
    assert {name: int(total["count"]) for name, total in totals.items()} == {
        "success": 1, "fail": 2, "queue": 1,
        "compute_input": 1, "compute_infer": 1, "compute_output": 1,
    }  # fmt: skip
    stages = ("queue", "compute_input", "compute_infer")
    assert all(int(totals[stage]["ns"]) > 0 for stage in stages)
    assert int(totals["success"]["ns"]) >= max(int(totals[stage]["ns"]) for stage in stages)


def test_statistics_count_photos_of_our_own_api_and_batches_by_size(
    address: str, open_channel: OpenChannel, draw_photo: DrawPhoto
) -> None:
    channel = open_channel(address)
    ours, theirs = EmbedderServiceStub(channel), GRPCInferenceServiceStub(channel)
    nothing = theirs.ModelStatistics(pb.ModelStatisticsRequest()).model_stats[0]
    assert (nothing.inference_count, nothing.execution_count, nothing.last_inference) == (0, 0, 0)

    single = embedder_pb2.EmbedImageRequest(image=draw_photo(1))
    ours.EmbedImage(single)
    requests = [embedder_pb2.EmbedImageRequest(image=draw_photo(seed)) for seed in range(20)]
    requests.append(embedder_pb2.EmbedImageRequest(image=b"no photo"))
    ours.BatchEmbedImages(embedder_pb2.BatchEmbedImagesRequest(requests=requests))

    (stats,) = theirs.ModelStatistics(pb.ModelStatisticsRequest(name="tiny")).model_stats
    assert stats.inference_count == stats.inference_stats.success.count == 21
    assert stats.inference_stats.fail.count == 1
    sizes = {batch.batch_size: batch.compute_infer for batch in stats.batch_stats}
    assert sum(size * total.count for size, total in sizes.items()) == 21
    assert sum(total.count for total in sizes.values()) == stats.execution_count
    assert all(total.ns > 0 for total in sizes.values())


def test_what_is_not_served_is_refused(
    address: str, open_channel: OpenChannel, refusal: Refusal, draw_photo: DrawPhoto
) -> None:
    stub = GRPCInferenceServiceStub(open_channel(address))
    for wanted in ({"name": "other"}, {"name": "tiny", "version": "2"}, {"version": "2"}):
        unknown = pb.ModelStatisticsRequest(**wanted)
        assert isinstance(refusal(lambda r=unknown: stub.ModelStatistics(r)), ModelNotFoundError)
    named = pb.RepositoryIndexRequest(repository_name="mine")
    assert isinstance(refusal(lambda: stub.RepositoryIndex(named)), NotSupportedError)

    tensor = pb.ModelInferRequest.InferInputTensor(name="image", datatype="BYTES", shape=[1])
    tensor.contents.bytes_contents.append(draw_photo(1))
    for parameter in (
        pb.InferParameter(int64_param=0),
        pb.InferParameter(int64_param=-1),
        pb.InferParameter(string_param="3"),
        pb.InferParameter(),
    ):
        output = pb.ModelInferRequest.InferRequestedOutputTensor(
            name="category", parameters={"classification": parameter}
        )
        request = pb.ModelInferRequest(model_name="tiny", inputs=[tensor], outputs=[output])
        error = refusal(lambda r=request: stub.ModelInfer(r))
        assert isinstance(error, InvalidArgumentError)
        assert error.field == "outputs[0].parameters"


def test_classes_come_in_contents_if_photos_did(
    address: str, open_channel: OpenChannel, draw_photo: DrawPhoto
) -> None:
    stub = GRPCInferenceServiceStub(open_channel(address))
    tensor = pb.ModelInferRequest.InferInputTensor(name="image", datatype="BYTES", shape=[2])
    tensor.contents.bytes_contents.extend([draw_photo(1), draw_photo(2)])
    output = pb.ModelInferRequest.InferRequestedOutputTensor(
        name="category", parameters={"classification": pb.InferParameter(int64_param=2)}
    )
    request = pb.ModelInferRequest(model_name="tiny", inputs=[tensor], outputs=[output])
    answer = stub.ModelInfer(request)
    (classes,) = answer.outputs
    assert (classes.datatype, list(classes.shape)) == ("BYTES", [2, 2])
    assert len(classes.contents.bytes_contents) == 4
    assert not answer.raw_output_contents

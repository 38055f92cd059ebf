"""An embedder with a text tower reads words, and says what it cannot read."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from lookalike.embedder.v1 import embedder_pb2 as pb
from lookalike.embedder.v1.embedder_pb2_grpc import EmbedderServiceStub
from lookalike.errors import (
    InvalidArgumentError,
    LookalikeError,
    UnknownOutputError,
    WordsUnavailableError,
)
from lookalike.model.bundle import Bundle
from lookalike.serving.local_stack import ServiceProcess
from tests.text_towers import MOST_TOKENS

# In a process of its own: see test_open_inference.py.
TRITON = """
import json, sys
import numpy as np
import tritonclient.grpc as triton

address, *titles = sys.argv[1:]
client = triton.InferenceServerClient(address)

def infer(*texts):
    array = np.array(texts, dtype=np.object_)
    tensor = triton.InferInput("text", array.shape, "BYTES")
    tensor.set_data_from_numpy(array)
    return client.infer("tiny", [tensor], outputs=[triton.InferRequestedOutput("features")])

def refusal(*texts):
    try:
        infer(*texts)
    except triton.InferenceServerException as error:
        return error.message()

print(json.dumps({
    "inputs": [each["name"] for each in client.get_model_metadata("tiny", as_json=True)["inputs"]],
    "features": infer(*titles).as_numpy("features").tolist(),
    "empty": refusal("oak", ""),
    "bytes": refusal(bytes([255])),
}))
"""

Refusal = Callable[[Callable[[], object]], LookalikeError]


@pytest.fixture(scope="module")
def service(
    reading_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServiceProcess]:
    settings = {"BUNDLE": reading_bundle.path, "PRECISION": "fp32", "PORT": 0, "ADMIN_PORT": 0}
    environment = {f"LOOKALIKE_EMBEDDER_{name}": str(value) for name, value in settings.items()}
    log: Path = tmp_path_factory.mktemp("reader") / "embedder.log"
    with ServiceProcess("embedder_service", environment, log) as service:
        yield service


@pytest.fixture(scope="module")
def reader(service: ServiceProcess) -> Iterator[EmbedderServiceStub]:
    with grpc.insecure_channel(service.address) as channel:
        yield EmbedderServiceStub(channel)


def read(reader: EmbedderServiceStub, title: str, *outputs: str, **more: str) -> list[float]:
    response = reader.EmbedText(pb.EmbedTextRequest(title=title, outputs=outputs, **more))
    return [value for embedding in response.embeddings for value in embedding.values]


def test_words_have_the_outputs_of_photos(
    reader: EmbedderServiceStub, reading_bundle: Bundle
) -> None:
    request = pb.EmbedTextRequest(title="A green armchair", outputs=["category", "features"])
    response = reader.EmbedText(request)
    category, features = response.embeddings
    assert (category.output, len(category.values)) == ("category", 13)
    assert math.isclose(math.hypot(*features.values), 1, rel_tol=1e-5)
    space = reading_bundle.manifest.embedding_space
    assert {category.embedding_space, features.embedding_space} == {space}
    assert (response.tokens, response.truncated) == (3, False)
    assert response.timings.inference_ns > 0
    assert read(reader, "Green armchair", "category") != list(category.values)


def test_the_model_tells_how_it_reads(reader: EmbedderServiceStub) -> None:
    model = reader.GetModel(pb.GetModelRequest()).model
    tower = model.text
    assert (tower.encoder, tower.max_tokens, tower.precision) == ("words", MOST_TOKENS, "fp32")
    assert (tower.temperature, tower.photos_weight, tower.words_weight) == (0.5, 0.5, 1.5)
    assert model.limits.max_text_length == 8192


def test_what_is_beyond_the_most_tokens_is_left_out(reader: EmbedderServiceStub) -> None:
    oak = " ".join(["oak"] * MOST_TOKENS)
    response = reader.EmbedText(pb.EmbedTextRequest(title=oak, description="table"))
    assert (response.tokens, response.truncated) == (MOST_TOKENS, True)
    assert read(reader, oak) == pytest.approx(read(reader, oak + " lamp " * 900), rel=1e-5)
    # Few tokens, of many characters.
    response = reader.EmbedText(pb.EmbedTextRequest(title="x" * 8192))
    assert (response.tokens, response.truncated) == (1, True)


def test_an_entity_of_a_number_beyond_reading_says_nothing(reader: EmbedderServiceStub) -> None:
    absurd = f"oak &#{'9' * 5000}; table"
    assert read(reader, absurd) == pytest.approx(read(reader, "oak table"), rel=1e-5)


def test_what_a_site_adds_is_not_read(reader: EmbedderServiceStub) -> None:
    plain = read(reader, "Oak table")
    assert read(reader, "<b>Oak</b> table | in Leeds, West Yorkshire | Gumtree") == plain
    assert (
        read(reader, "Oak table", description="Posted by Ann in Tables in Leeds. 3 May 2021")
        == plain
    )


@pytest.mark.parametrize(
    "title",
    [
        "\U0001f6cb\ufe0f\U0001f49a sofa",
        "\u05db\u05d5\u05e8\u05e1\u05d0 armchair",
        "oak\x00\x07table",
        "e\u0301" * 500,
        "\u202eelbat",
    ],
)
def test_any_script_is_read(reader: EmbedderServiceStub, title: str) -> None:
    assert all(map(math.isfinite, read(reader, title)))


@pytest.mark.parametrize(
    ("request_", "field", "words"),
    [
        (pb.EmbedTextRequest(), "title", "title and description are empty"),
        (
            pb.EmbedTextRequest(title="<br>", description="www.example.com 07123 456789"),
            "title",
            "say nothing that can be read",
        ),
        (pb.EmbedTextRequest(title="?! \U0001f6cb\ufe0f"), "title", "no letter and no digit"),
        (
            pb.EmbedTextRequest(title="a" * 8193),
            "title",
            "title has 8193 characters; the limit is 8192",
        ),
        (
            pb.EmbedTextRequest(title="oak", description="b" * 1_000_000),
            "description",
            "has 1000000 characters; the limit is 8192",
        ),
    ],
)
def test_what_cannot_be_read_is_named(
    reader: EmbedderServiceStub,
    refusal: Refusal,
    request_: pb.EmbedTextRequest,
    field: str,
    words: str,
) -> None:
    error = refusal(lambda: reader.EmbedText(request_))
    assert isinstance(error, InvalidArgumentError)
    assert error.field == field
    assert words in error.message
    assert read(reader, "oak table"), "it goes on"


def test_an_output_that_the_model_has_not_is_named(
    reader: EmbedderServiceStub, refusal: Refusal
) -> None:
    error = refusal(lambda: read(reader, "oak", "style"))
    assert isinstance(error, UnknownOutputError)
    assert error.field == "outputs[0]"


def test_a_model_without_a_text_tower_says_what_it_lacks(
    embedder: ServiceProcess, refusal: Refusal
) -> None:
    with grpc.insecure_channel(embedder.address) as channel:
        stub = EmbedderServiceStub(channel)
        error = refusal(lambda: read(stub, "oak"))
        model = stub.GetModel(pb.GetModelRequest()).model
    assert isinstance(error, WordsUnavailableError)
    assert "train-text" in error.message
    assert not model.HasField("text")
    assert model.limits.max_text_length == 0


def test_clients_of_triton_send_texts_and_name_the_bad_one(
    reader: EmbedderServiceStub, service: ServiceProcess
) -> None:
    titles = ["Green armchair", "Oak table"]
    command = [sys.executable, "-c", TRITON, service.address, *titles]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["inputs"] == ["image", "text"]
    for row, title in zip(answer["features"], titles, strict=True):
        assert row == pytest.approx(read(reader, title, "features"), abs=1e-5)
    assert "element 1 of 2: title and description are empty" in answer["empty"]
    assert "element 0 of 1 is not UTF-8" in answer["bytes"]

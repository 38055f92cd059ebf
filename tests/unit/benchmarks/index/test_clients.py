from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from benchmarks.index import messages
from benchmarks.index.clients import IN_FLIGHT, called, lone_caller, streamed
from benchmarks.index.ingest import Ingest
from benchmarks.index.photos import BLOCK, Photos
from benchmarks.index.servers import empty_service, in_stream
from lookalike.index.v1 import index_pb2 as pb
from lookalike.index.v1.index_pb2_grpc import (
    IndexServiceServicer,
    add_IndexServiceServicer_to_server,
)


class Recorder(IndexServiceServicer):
    """Takes whatever is written, but for the collection `refused`."""

    def __init__(self) -> None:
        self.items: list[str] = []

    def StreamUpsertItems(
        self, request_iterator: Iterator[pb.StreamUpsertItemsRequest], context: Any
    ) -> Iterator[pb.StreamUpsertItemsResponse]:
        for sent in request_iterator:
            response = pb.StreamUpsertItemsResponse(id=sent.id)
            if sent.request.collection == "refused":
                response.error.message = "no such collection"
            else:
                self.items += [item.id for item in sent.request.items]
                response.response.inserted = len(sent.request.items)
            yield response

    def FindNeighbors(
        self, request: pb.FindNeighborsRequest, context: Any
    ) -> pb.FindNeighborsResponse:
        return pb.FindNeighborsResponse()


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()  # type: ignore[abstract]


@pytest.fixture
def address(recorder: Recorder) -> Iterator[str]:
    server = grpc.server(futures.ThreadPoolExecutor(4))
    add_IndexServiceServicer_to_server(recorder, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


@pytest.fixture
def photos() -> Photos:
    return Photos(np.random.default_rng(3).normal(size=(2 * BLOCK, 4)).astype(np.float32))


def test_stream_writes_every_batch_once(address: str, recorder: Recorder, photos: Photos) -> None:
    count = 2 * IN_FLIGHT
    seconds = streamed(address, in_stream(messages.batches(photos, "photos", count * BLOCK)))
    assert seconds > 0
    assert len(recorder.items) == len(set(recorder.items)) == count * BLOCK


def test_refused_batch_ends_the_measurement(address: str, photos: Photos) -> None:
    with pytest.raises(RuntimeError, match="no such collection"):
        streamed(address, in_stream(messages.batches(photos, "refused", BLOCK)))


def test_another_process_writes_while_this_one_goes_on(
    address: str, recorder: Recorder, photos: Photos
) -> None:
    with Ingest(address, "photos", photos, first=1, blocks=3) as ingest:
        assert recorder.items == []
        assert ingest.going()
        ingest.begin()
        while ingest.going():
            time.sleep(0.005)
        assert ingest.rate() > 0
    assert len(recorder.items) == 3 * BLOCK
    assert min(int(item, 16) for item in recorder.items) == BLOCK


def test_empty_service_answers_with_what_it_was_given(tmp_path: Path, photos: Photos) -> None:
    response = pb.FindNeighborsResponse(applied_seq=3, embedding_space="benchmark")
    request = messages.query("photos", photos.queries(1)[0])
    with empty_service(tmp_path, response) as empty:
        with lone_caller(empty) as stub:
            assert stub.FindNeighbors(request) == response
        assert called(empty, "FindNeighbors", [request.SerializeToString()] * 20, 4) > 0

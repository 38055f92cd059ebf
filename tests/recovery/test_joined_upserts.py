"""Upserts without a request id, which the writer does many of as one, beside the process's end."""

from __future__ import annotations

import threading
from itertools import count
from pathlib import Path

import grpc
import pytest

from lookalike.index.v1 import index_pb2 as pb
from lookalike.index.v1.index_pb2_grpc import IndexServiceStub
from lookalike.serving.local_stack import ServiceProcess

CALLERS = 32
ENOUGH = 400  # writes before the kill


@pytest.mark.timeout(120)
def test_what_was_answered_is_there_after_a_kill_and_batches_are_whole(tmp_path: Path) -> None:
    environment = {"LOOKALIKE_INDEX_DATA_DIR": str(tmp_path / "data"), "LOOKALIKE_INDEX_PORT": "0"}
    service = ServiceProcess("index_service", environment, tmp_path / "log")
    service.start()
    answered: dict[str, int] = {}  # the number of each batch's write
    enough = threading.Event()

    def write(stub: IndexServiceStub, caller: int) -> None:
        for number in count():
            name = f"{caller}-{number}"
            request = pb.BatchUpsertItemsRequest(
                collection="listings", items=[item(name, part) for part in "ab"]
            )
            try:
                answer = stub.BatchUpsertItems(request, timeout=60)
            except grpc.RpcError:
                return
            assert (answer.inserted, answer.replaced) == (2, 0)
            answered[name] = answer.seq
            if len(answered) >= ENOUGH:
                enough.set()

    try:
        with grpc.insecure_channel(service.address) as channel:
            stub = IndexServiceStub(channel)
            collection = pb.Collection(
                name="listings", embedding_space="s", dimension=2, metric=pb.METRIC_SQUARED_L2
            )
            stub.CreateCollection(pb.CreateCollectionRequest(collection=collection))
            callers = [threading.Thread(target=write, args=(stub, i)) for i in range(CALLERS)]
            for caller in callers:
                caller.start()
            assert enough.wait(60)
            service.kill()
            for caller in callers:
                caller.join()
        service.start()
        with grpc.insecure_channel(service.address) as channel:
            found = listed(IndexServiceStub(channel))
    finally:
        service.kill()
    assert len(set(answered.values())) == len(answered)
    assert found >= {f"{name}-{part}" for name in answered for part in "ab"}
    assert {item_id[:-1] + part for item_id in found for part in "ab"} == found


def item(name: str, part: str) -> pb.Item:
    vector = pb.Vector(values=[1, 2], embedding_space="s")
    return pb.Item(id=f"{name}-{part}", product_id=name, vector=vector)


def listed(stub: IndexServiceStub) -> set[str]:
    found: set[str] = set()
    request = pb.ListItemsRequest(collection="listings", page_size=1000)
    while True:
        page = stub.ListItems(request, timeout=60)
        found |= {each.id for each in page.items}
        if not (token := page.next_page_token):
            return found
        request.page_token = token

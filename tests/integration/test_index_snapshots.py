"""Snapshots through real processes: written while serving, restored, served read-only."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from lookalike.errors import IndexRecoveringError, LookalikeError, ReadOnlyError
from lookalike.index.v1 import index_pb2 as pb
from lookalike.index.v1.index_pb2_grpc import IndexServiceStub
from tests.conftest import StartService
from tests.listings import create, item, upsert, vector

Refusal = Callable[[Callable[[], object]], LookalikeError]
Serve = Callable[..., IndexServiceStub]

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def serve(start_service: StartService, open_channel: Callable[[str], grpc.Channel]) -> Serve:
    def serve(directory: Path, **settings: object) -> IndexServiceStub:
        service = start_service("index_service", data_dir=directory, **settings)
        return IndexServiceStub(open_channel(service.address))

    return serve


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "index_service", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def found(stub: IndexServiceStub, min_seq: int = 0) -> pb.FindNeighborsResponse:
    return stub.FindNeighbors(
        pb.FindNeighborsRequest(
            collection="shop",
            queries=[pb.Query(vector=vector(0, 0)), pb.Query(item_id="5")],
            k=10,
            min_seq=min_seq,
        )
    )


def fill(stub: IndexServiceStub) -> None:
    stub.CreateCollection(create())
    stub.SetAlias(pb.SetAliasRequest(name="shop", collection="listings"))
    photos = [item(id=str(i), product_id=f"p{i}", vector=vector(i, 0)) for i in range(100)]
    stub.BatchUpsertItems(upsert(*photos))


def test_snapshot_is_restored_and_served_read_only_as_the_index_was(
    serve: Serve, refusal: Refusal, tmp_path: Path
) -> None:
    first = serve(tmp_path / "first")
    fill(first)
    snapshot = first.CreateSnapshot(pb.CreateSnapshotRequest()).snapshot
    before = found(first)
    later = first.BatchUpsertItems(upsert(item(id="later"))).seq
    path = tmp_path / "first" / "snapshots" / snapshot.name
    assert snapshot.seq == later - 1
    assert snapshot.size_bytes == sum(p.stat().st_size for p in path.rglob("*") if p.is_file())

    replicas = [serve(path, read_only="true") for _ in range(2)]
    assert [found(replica) for replica in replicas] == [before, before]
    refused = refusal(lambda: replicas[0].BatchUpsertItems(upsert(item(id="new"))))
    assert isinstance(refused, ReadOnlyError)
    refused = refusal(lambda: found(replicas[0], min_seq=later))
    assert isinstance(refused, IndexRecoveringError)
    assert replicas[0].GetIndex(pb.GetIndexRequest()).read_only

    done = run("restore", path, tmp_path / "second")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"all writes up to {snapshot.seq}" in done.stdout
    second = serve(tmp_path / "second")
    assert found(second) == before
    assert second.BatchUpsertItems(upsert(item(id="other"))).seq == later
    assert found(replicas[1]) == before


def test_restoring_what_is_damaged_or_over_an_index_ends_in_one_line(
    serve: Serve, tmp_path: Path
) -> None:
    stub = serve(tmp_path / "first")
    fill(stub)
    name = stub.CreateSnapshot(pb.CreateSnapshotRequest()).snapshot.name
    path = tmp_path / "first" / "snapshots" / name
    over = run("restore", path, tmp_path / "first")
    assert over.returncode != 0
    assert over.stderr.strip().count("\n") == 0
    assert "holds an index already" in over.stderr
    database = path / "index.sqlite3"
    database.write_bytes(database.read_bytes()[:-1])
    damaged = run("restore", path, tmp_path / "second")
    assert damaged.returncode != 0
    assert "index.sqlite3 is truncated" in damaged.stderr
    assert not (tmp_path / "second").exists()


def test_retry_across_a_restart_is_answered_as_the_first_was(
    start_service: StartService, open_channel: Callable[[str], grpc.Channel], tmp_path: Path
) -> None:
    def serve() -> tuple[IndexServiceStub, Callable[[], object]]:
        service = start_service("index_service", data_dir=tmp_path / "data")
        return IndexServiceStub(open_channel(service.address)), service.kill

    stub, kill = serve()
    fill(stub)
    attributes = {f"attribute {i}": f"value {i}" for i in range(30)}
    photos = [item(id=f"new-{i}", attributes=attributes, price=0) for i in range(30)]
    request = upsert(*photos, request_id="request-1")
    deletion = pb.BatchDeleteItemsRequest(
        collection="listings", item_ids=["1", "2"], request_id="request-2"
    )
    written, deleted = stub.BatchUpsertItems(request), stub.BatchDeleteItems(deletion)
    assert (written.inserted, deleted.deleted) == (30, 2)
    for _ in range(2):
        kill()
        stub, kill = serve()
        assert stub.BatchUpsertItems(request) == written
        assert stub.BatchDeleteItems(deletion) == deleted
        count = stub.CountItems(pb.CountItemsRequest(collection="listings"))
        assert count.items == 128


def test_salvage_keeps_what_can_be_read_and_the_index_goes_on(
    serve: Serve, start_service: StartService, tmp_path: Path
) -> None:
    directory = tmp_path / "data"
    service = start_service("index_service", data_dir=directory)
    with grpc.insecure_channel(service.address) as channel:
        fill(IndexServiceStub(channel))
        busy = run("salvage", directory)
        assert busy.returncode != 0
        assert "another process is using" in busy.stderr
    service.stop()
    done = run("salvage", directory)
    assert (done.returncode, done.stderr) == (0, "")
    assert "100 items" in done.stdout
    assert "; 0 more were damaged" in done.stdout
    assert len(found(serve(directory)).results[0].neighbors) == 10

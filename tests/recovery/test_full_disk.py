"""A disk that is full, or that cannot be written: refused in words, nothing half written."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest

from lookalike.errors import LookalikeError, StartupError, StorageFullError
from lookalike.index.v1 import index_pb2 as pb
from lookalike.index.v1.index_pb2_grpc import IndexServiceStub
from lookalike.status import from_rpc_error
from tests.logs import lines_for_people
from tests.recovery.ledger.audit import Shown, observe
from tests.recovery.processes import serving

SPACE = "space-1"
DISK_BYTES = 2 << 20

Refusal = Callable[[Callable[[], object]], LookalikeError]


def mount(options: str, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", options, "lookalike-tests", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no small disk can be mounted: {done.stderr.strip()}")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    if os.geteuid():
        pytest.skip("only root can mount a small disk")
    folder = tmp_path / "disk"
    mount(f"size={DISK_BYTES}", folder)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def create(stub: IndexServiceStub) -> None:
    collection = pb.Collection(name="listings", embedding_space=SPACE, dimension=2)
    stub.CreateCollection(pb.CreateCollectionRequest(collection=collection))


def upsert(stub: IndexServiceStub, batch: int, size: int = 20) -> pb.BatchUpsertItemsResponse:
    items = [
        pb.Item(
            id=f"{batch}-{i}",
            product_id=str(batch),
            vector=pb.Vector(values=[batch, i], embedding_space=SPACE),
            attributes={"text": "x" * 2000},
        )
        for i in range(size)
    ]
    request = pb.BatchUpsertItemsRequest(collection="listings", items=items, request_id=str(batch))
    return stub.BatchUpsertItems(request)


def fill(stub: IndexServiceStub) -> tuple[int, Shown]:
    """Writes until the disk is full; returns the batch that was refused, and what there is."""
    for batch in range(DISK_BYTES // 40_000):
        before = observe(stub)
        try:
            upsert(stub, batch)
        except grpc.RpcError as error:
            refused = from_rpc_error(error)
            if not isinstance(refused, StorageFullError):
                raise
            return batch, before
    raise AssertionError("the disk does not fill")


def find(stub: IndexServiceStub, batch: int) -> str:
    query = pb.Query(vector=pb.Vector(values=[batch, 0], embedding_space=SPACE))
    request = pb.FindNeighborsRequest(collection="listings", queries=[query], k=1)
    (result,) = stub.FindNeighbors(request).results
    return result.neighbors[0].item.id


def test_full_disk_refuses_writes_answers_reads_and_recovers(disk: Path, tmp_path: Path) -> None:
    # Somebody else's file takes up room, and goes.
    ballast = disk / "ballast"
    ballast.write_bytes(b"\0" * (DISK_BYTES // 2))
    with serving(disk / "data", tmp_path / "1.log") as service:
        create(service.stub)
        batch, before = fill(service.stub)
        assert observe(service.stub) == before
        assert find(service.stub, batch - 1) == f"{batch - 1}-0"
        ballast.unlink()
        assert upsert(service.stub, batch).inserted == 20
        after = observe(service.stub)
        assert len(after.items) == len(before.items) + 20
    with serving(disk / "data", tmp_path / "2.log") as service:
        assert observe(service.stub) == after


def test_kill_on_a_full_disk_loses_nothing(disk: Path, tmp_path: Path, refusal: Refusal) -> None:
    ballast = disk / "ballast"
    ballast.write_bytes(b"\0" * (DISK_BYTES // 2))
    with serving(disk / "data", tmp_path / "1.log") as service:
        create(service.stub)
        batch, before = fill(service.stub)
    with ExitStack() as stack:
        try:
            service = stack.enter_context(serving(disk / "data", tmp_path / "2.log"))
        except StartupError:  # recovery may need room of its own
            ballast.unlink()
            service = stack.enter_context(serving(disk / "data", tmp_path / "3.log"))
        assert observe(service.stub) == before
        ballast.unlink(missing_ok=True)
        assert upsert(service.stub, batch).inserted == 20


def test_snapshot_that_finds_no_room_is_refused_and_leaves_nothing(
    disk: Path, tmp_path: Path, refusal: Refusal
) -> None:
    ballast = disk / "ballast"
    with serving(disk / "data", tmp_path / "1.log") as service:
        stub = service.stub
        create(stub)
        for batch in range(6):
            upsert(stub, batch)
        before = observe(stub)
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        ballast.write_bytes(b"\0" * (free - (128 << 10)))
        refused = refusal(lambda: stub.CreateSnapshot(pb.CreateSnapshotRequest()))
        assert refused.reason == "STORAGE_FULL"
        snapshots = disk / "data" / "snapshots"
        assert not snapshots.exists() or not list(snapshots.iterdir())
        assert observe(stub).items == before.items
        ballast.unlink()
        taken = stub.CreateSnapshot(pb.CreateSnapshotRequest()).snapshot
        assert (snapshots / taken.name).is_dir()
        assert service.process.stop() == 0


def test_service_that_ends_on_a_full_disk_keeps_all_but_the_cache(
    disk: Path, tmp_path: Path
) -> None:
    ballast = disk / "ballast"
    ballast.write_bytes(b"\0" * (DISK_BYTES // 2))
    with serving(disk / "data", tmp_path / "1.log") as service:
        create(service.stub)
        _, before = fill(service.stub)
        assert service.process.stop() == 0
    ballast.unlink()
    with serving(disk / "data", tmp_path / "2.log") as service:
        assert observe(service.stub) == before


def test_read_only_data_directory_is_told_in_one_line(disk: Path, tmp_path: Path) -> None:
    data_dir, log = disk / "data", tmp_path / "index_service.log"
    with serving(data_dir, log) as service:
        create(service.stub)
        upsert(service.stub, 0)
        assert service.process.stop() == 0
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with pytest.raises(StartupError) as caught, serving(data_dir, log):
        pass
    assert str(caught.value).startswith("index_service: cannot write to the data directory")
    assert str(data_dir) in str(caught.value)
    assert len(lines_for_people(log)) == 1

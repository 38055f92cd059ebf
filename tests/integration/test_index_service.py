"""The index service as a process: its API, and what survives how it ends."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from lookalike.errors import (
    CollectionExistsError,
    CollectionNotFoundError,
    DimensionMismatchError,
    EmbeddingSpaceMismatchError,
    InvalidArgumentError,
    ItemNotFoundError,
    LookalikeError,
    NonFiniteVectorError,
    StartupError,
)
from lookalike.index.v1 import index_pb2 as pb
from lookalike.index.v1.index_pb2_grpc import IndexServiceStub
from lookalike.serving.local_stack import ServiceProcess
from lookalike.status import from_rpc_error
from tests.logs import lines_for_people

NAME = "lookalike.index.v1.IndexService"
SPACE = "space-1"

Start = Callable[..., ServiceProcess]


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def start(tmp_path: Path, data_dir: Path) -> Iterator[Start]:
    """Starts a service on the data directory; those that still run at the end are stopped."""
    services: list[ServiceProcess] = []

    def start(**settings: str) -> ServiceProcess:
        environment = {"LOOKALIKE_INDEX_PORT": "0", "LOOKALIKE_INDEX_DATA_DIR": str(data_dir)}
        environment |= {f"LOOKALIKE_INDEX_{name.upper()}": v for name, v in settings.items()}
        log = tmp_path / f"index_service-{len(services)}.log"
        services.append(ServiceProcess("index_service", environment, log))
        services[-1].start()
        return services[-1]

    yield start
    for service in services:
        service.stop()


@pytest.fixture
def connect() -> Iterator[Callable[[ServiceProcess], IndexServiceStub]]:
    channels: list[grpc.Channel] = []

    def connect(service: ServiceProcess) -> IndexServiceStub:
        channels.append(grpc.insecure_channel(service.address))
        return IndexServiceStub(channels[-1])

    yield connect
    for channel in channels:
        channel.close()


Connect = Callable[[ServiceProcess], IndexServiceStub]


@pytest.fixture
def service(start: Start) -> ServiceProcess:
    return start()


@pytest.fixture
def stub(service: ServiceProcess, connect: Connect) -> IndexServiceStub:
    return connect(service)


def vector(*values: float, space: str = SPACE) -> pb.Vector:
    return pb.Vector(values=values, embedding_space=space)


def item(item_id: str, product_id: str, *values: float) -> pb.Item:
    return pb.Item(id=item_id, product_id=product_id, vector=vector(*values))


def create(stub: IndexServiceStub, dimension: int = 2) -> pb.Collection:
    collection = pb.Collection(name="listings", embedding_space=SPACE, dimension=dimension)
    request = pb.CreateCollectionRequest(collection=collection)
    return stub.CreateCollection(request).collection


def upsert(stub: IndexServiceStub, *items: pb.Item) -> pb.BatchUpsertItemsResponse:
    request = pb.BatchUpsertItemsRequest(collection="listings", items=items)
    return stub.BatchUpsertItems(request)


def find(stub: IndexServiceStub, query: pb.Query, k: int = 10) -> pb.FindNeighborsResponse:
    request = pb.FindNeighborsRequest(collection="listings", queries=[query], k=k)
    return stub.FindNeighbors(request)


def item_count(stub: IndexServiceStub) -> int:
    request = pb.GetCollectionRequest(name="listings")
    return stub.GetCollection(request).collection.item_count


def refusal(call: Callable[[], object]) -> LookalikeError:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return from_rpc_error(caught.value)


def last_words(start: Start, **settings: str) -> str:
    with pytest.raises(StartupError) as caught:
        start(**settings)
    return str(caught.value)


def test_collections_are_created_described_listed_and_deleted(stub: IndexServiceStub) -> None:
    created = create(stub)
    assert created.metric == pb.METRIC_SQUARED_L2
    upsert(stub, item("a", "x", 0, 0), item("b", "x", 1, 0))
    (listed,) = stub.ListCollections(pb.ListCollectionsRequest()).collections
    assert listed == pb.Collection(
        name="listings",
        embedding_space=SPACE,
        dimension=2,
        metric=pb.METRIC_SQUARED_L2,
        item_count=2,
        exact_up_to=200_000,
        target_recall=0.99,
    )
    assert isinstance(refusal(lambda: create(stub)), CollectionExistsError)
    deleted = stub.DeleteCollection(pb.DeleteCollectionRequest(name="listings"))
    assert deleted.deleted_items == 2
    missing = refusal(lambda: item_count(stub))
    assert isinstance(missing, CollectionNotFoundError)
    assert missing.resource == ("collection", "listings")


def test_items_are_written_read_found_and_deleted(stub: IndexServiceStub) -> None:
    create(stub)
    lamp = item("lamp-1", "lamp", 0, 0)
    lamp.category, lamp.price = "Home & Garden", 12.5
    lamp.attributes["title"] = "Lamp ☂"
    written = upsert(stub, lamp, item("lamp-2", "lamp", 1, 0), item("sofa-1", "sofa", 3, 4))
    assert (written.inserted, written.replaced) == (3, 0)
    again = upsert(stub, lamp, item("desk-1", "desk", 5, 12))
    assert (again.inserted, again.replaced) == (1, 1)
    assert again.seq > written.seq

    got = stub.GetItem(pb.GetItemRequest(collection="listings", item_id="lamp-1")).item
    assert got == lamp

    request = pb.FindNeighborsRequest(
        collection="listings",
        queries=[pb.Query(vector=vector(0, 0)), pb.Query(item_id="lamp-1")],
        k=3,
        distinct_products=True,
        exclude_same_product=True,
    )
    answer = stub.FindNeighbors(request)
    by_vector, by_item = answer.results
    assert [(n.item.id, n.distance) for n in by_vector.neighbors] == [
        ("lamp-1", 0),
        ("sofa-1", 25),
        ("desk-1", 169),
    ]
    lamp.ClearField("vector")
    assert by_vector.neighbors[0].item == lamp
    assert by_vector.method == pb.SEARCH_METHOD_EXACT
    # With the row of the lamp that was replaced.
    assert (by_vector.candidates_scanned, by_vector.shortfall) == (5, "")
    assert [n.item.id for n in by_item.neighbors] == ["sofa-1", "desk-1"]
    expected = "the collection has 2 other products besides those left out"
    assert by_item.shortfall == expected
    assert answer.applied_seq == again.seq
    assert answer.embedding_space == SPACE

    deletion = pb.BatchDeleteItemsRequest(
        collection="listings", item_ids=["sofa-1", "unknown"], product_ids=["lamp"]
    )
    deleted = stub.BatchDeleteItems(deletion)
    assert (deleted.deleted, item_count(stub)) == (3, 1)
    assert deleted.seq > again.seq
    gone = refusal(lambda: find(stub, pb.Query(item_id="lamp-1")))
    assert isinstance(gone, ItemNotFoundError)
    assert gone.resource == ("item", "lamp-1")


def test_refused_batch_leaves_nothing_behind_and_says_why(stub: IndexServiceStub) -> None:
    create(stub)
    good = item("a", "x", 0, 0)
    foreign = pb.Item(id="b", product_id="x", vector=vector(0, 0, space="space-2"))
    mismatch = refusal(lambda: upsert(stub, good, foreign))
    assert isinstance(mismatch, EmbeddingSpaceMismatchError)
    assert mismatch.metadata == {
        "collection_embedding_space": SPACE,
        "vector_embedding_space": "space-2",
    }
    for bad, error, field in [
        (item("b", "x", 0, 0, 0), DimensionMismatchError, "items[1].vector.values"),
        (item("b", "x", 0, float("nan")), NonFiniteVectorError, "items[1].vector.values"),
        (item("", "x", 0, 0), InvalidArgumentError, "items[1].id"),
        (item("a", "x", 0, 0), InvalidArgumentError, "items[1].id"),
    ]:
        refused = refusal(lambda bad=bad: upsert(stub, good, bad))
        assert type(refused) is error
        assert refused.field == field
    for k in (0, 1001):
        refused = refusal(lambda k=k: find(stub, pb.Query(vector=vector(0, 0)), k))
        assert (type(refused), refused.field) == (InvalidArgumentError, "k")
    assert item_count(stub) == 0


def test_health_and_reflection_know_the_service(service: ServiceProcess) -> None:
    with grpc.insecure_channel(service.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", NAME):
            status = health.Check(health_pb2.HealthCheckRequest(service=name)).status
            assert status == health_pb2.HealthCheckResponse.SERVING
        assert NAME in ProtoReflectionDescriptorDatabase(channel).get_services()


def test_sigterm_ends_it_with_exit_code_0_and_a_restart_has_everything(
    service: ServiceProcess, stub: IndexServiceStub, start: Start, connect: Connect, data_dir: Path
) -> None:
    create(stub)
    upsert(stub, item("a", "x", 3, 4))
    before = find(stub, pb.Query(vector=vector(0, 0)))
    assert service.stop() == 0
    assert not list(data_dir.glob("*-wal")), "the log was not folded into the database"
    assert find(connect(start()), pb.Query(vector=vector(0, 0))) == before


def test_sigkill_amid_writes_loses_no_acknowledged_write_and_splits_no_batch(
    service: ServiceProcess, stub: IndexServiceStub, start: Start, connect: Connect
) -> None:
    create(stub)
    acknowledged: list[pb.BatchUpsertItemsResponse] = []
    enough = threading.Event()

    def write() -> None:
        for batch in itertools.count():
            items = [item(f"{batch}-{i}", f"{batch}", batch, i) for i in range(20)]
            try:
                acknowledged.append(upsert(stub, *items))
            except grpc.RpcError:
                return
            if len(acknowledged) == 30:
                enough.set()

    writer = threading.Thread(target=write)
    writer.start()
    assert enough.wait(30)
    service.kill()
    writer.join()

    restarted = connect(start())
    batches, rest = divmod(item_count(restarted), 20)
    assert rest == 0
    assert batches - len(acknowledged) in {0, 1}  # the one in flight may have been committed
    for batch in range(len(acknowledged)):
        (result,) = find(restarted, pb.Query(vector=vector(batch, 19)), k=1).results
        assert [(n.item.id, n.distance) for n in result.neighbors] == [(f"{batch}-19", 0)]
    assert upsert(restarted, item("new", "x", 0, 0)).seq > acknowledged[-1].seq


def test_abandoned_writes_leave_memory_and_disk_in_agreement(
    service: ServiceProcess, stub: IndexServiceStub, start: Start, connect: Connect
) -> None:
    create(stub)
    for batch in range(40):
        items = [item(f"{batch}-{i}", f"{batch}", batch, i) for i in range(500)]
        request = pb.BatchUpsertItemsRequest(collection="listings", items=items)
        call = stub.BatchUpsertItems.future(request, timeout=0.001 * (batch % 10 + 1))
        if batch % 2:
            call.cancel()
        else:
            call.exception()
    upsert(stub, item("last", "x", 0, 0))  # all before it were written by now, or never will be
    count, answer = item_count(stub), find(stub, pb.Query(vector=vector(0, 0)), k=1000)
    service.kill()
    restarted = connect(start())
    assert item_count(restarted) == count
    assert find(restarted, pb.Query(vector=vector(0, 0)), k=1000) == answer


def test_second_process_on_the_same_data_directory_refuses_to_start(
    stub: IndexServiceStub, start: Start, data_dir: Path
) -> None:
    create(stub)
    words = last_words(start)
    assert words.startswith(
        f"index_service: another process is using the data directory {data_dir}"
    )
    assert item_count(stub) == 0


@pytest.mark.parametrize("broken", ["port", "data_dir", "database", "setting"])
def test_reason_not_to_start_is_told_in_one_line(
    broken: str, start: Start, data_dir: Path, tmp_path: Path
) -> None:
    settings, expected = {}, ""
    if broken == "port":
        port = start(data_dir=str(tmp_path / "other")).address.rpartition(":")[2]
        settings, expected = {"port": port}, f"cannot listen on 127.0.0.1:{port}"
    elif broken == "data_dir":
        data_dir.write_text("a file is where the directory should be")
        expected = f"cannot write to the data directory {data_dir}"
    elif broken == "database":
        data_dir.mkdir()
        (data_dir / "index.sqlite3").write_bytes(b"\xff" * 8192)
        expected = f"the store {data_dir / 'index.sqlite3'} is damaged"
    else:
        settings, expected = {"search_threads": "many"}, "LOOKALIKE_INDEX_SEARCH_THREADS is 'many'"
    assert last_words(start, **settings).startswith(f"index_service: {expected}")
    lines = lines_for_people(max(tmp_path.glob("index_service-*.log")))
    # gRPC's C++ core adds a line of its own when it cannot have a port.
    assert len([line for line in lines if "add_port.cc" not in line]) == 1

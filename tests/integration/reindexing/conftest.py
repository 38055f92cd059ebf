"""`lookalike reindex` in this process, on a real index and a new model that answers by rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from lookalike.catalogue.schema import TEXT_ATTRIBUTES
from lookalike.index.v1 import index_pb2 as pb
from lookalike.index.v1.index_pb2_grpc import IndexServiceStub
from lookalike.serving.local_stack import ServiceProcess
from tests.command_line import Ended, Run, runner
from tests.fake_services import Served
from tests.reindexing import OLD, OLD_SPACE, PHOTOS, Index, NewModel, item, photo


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    folder = tmp_path_factory.mktemp("reindex")
    environment = {"LOOKALIKE_INDEX_PORT": "0", "LOOKALIKE_INDEX_DATA_DIR": str(folder / "data")}
    with ServiceProcess("index_service", environment, folder / "index.log") as process:
        yield process


@pytest.fixture
def index(process: ServiceProcess, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """Holds a dozen photos in the old space, and the alias that leads to them."""
    monkeypatch.setenv("LOOKALIKE_INDEX", process.address)
    with grpc.insecure_channel(process.address) as channel:
        index = Index(IndexServiceStub(channel))
        collection = pb.Collection(
            name=OLD,
            embedding_space=OLD_SPACE,
            dimension=2,
            text_attributes=TEXT_ATTRIBUTES,
            metric=pb.METRIC_COSINE,
            indexed_attributes=["location", "near_duplicate"],
            exact_up_to=77,
        )
        index.stub.CreateCollection(pb.CreateCollectionRequest(collection=collection))
        index.stub.SetAlias(pb.SetAliasRequest(name="listings", collection=OLD))
        index.write(*(item(key, photo(number)) for number, key in enumerate(PHOTOS)))
        yield index
        index.clear()


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Iterator[NewModel]:
    model = NewModel()
    served = Served(model)
    monkeypatch.setenv("LOOKALIKE_EMBEDDER", served.address)
    yield model
    served.stop()


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "images"
    folder.mkdir()
    for number, key in enumerate(PHOTOS):
        (folder / f"{key}.jpg").write_bytes(photo(number))
    return folder


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys)


@pytest.fixture
def reindex(run: Run, index: Index, model: NewModel, images: Path) -> Callable[..., Ended]:
    return lambda *options: run("reindex", "--images", images, *options)

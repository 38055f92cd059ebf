"""From raw photos to an answered query: one run of the demo, and what leads on from its bundle."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import grpc
import pytest
from PIL import Image

import training.command
from demo import running
from demo.files import DemoFiles
from lookalike.catalogue.categories import CATEGORIES
from lookalike.gateway.v1 import gateway_pb2 as pb
from lookalike.gateway.v1.gateway_pb2_grpc import GatewayServiceStub
from lookalike.serving.local_stack import LocalStack

pytestmark = pytest.mark.long  # half a minute of each of two processors, at the least
ROOT = Path(__file__).resolve().parents[2]
LISTINGS = "39"  # the least
RUN_TIMEOUT_S = 280

# `python -m demo`, but what it trains, judges and exports is a small network.
SMALL = """\
import sys
import demo.command
import demo.pipeline
from tests.e2e.small_steps import run
demo.pipeline._run = run
sys.exit(demo.command.main())
"""

# `python -m demo`, but for the ports, which others may hold, and the bundle, which is there.
ON_FREE_PORTS = """\
import sys
import demo.command
from demo import running
running.PORTS = dict.fromkeys(running.PORTS, 0)
demo.command.make_bundle = lambda *_, **__: None
sys.exit(demo.command.main())
"""


@dataclasses.dataclass(frozen=True)
class Ran:
    """A run of the demo: what it printed, and whether a process of it was left."""

    output: str
    left_behind: bool


RunDemo = Callable[[], Ran]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(("-c", SMALL), id="small"),
        pytest.param(("-m", "demo"), id="as it is"),
    ],
)
def program(request: pytest.FixtureRequest) -> tuple[str, str]:
    """What Python runs."""
    which: tuple[str, str] = request.param
    return which


@pytest.fixture(scope="module")
def folder(program: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Gone after the tests: runs and bundles take hundreds of megabytes."""
    folder = tmp_path_factory.mktemp("pipeline")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def files(folder: Path) -> DemoFiles:
    return DemoFiles(folder / "demo")


@pytest.fixture(scope="module")
def run_demo(files: DemoFiles, program: tuple[str, str]) -> RunDemo:
    """Runs the demo, which must succeed."""

    def run() -> Ran:
        arguments = ["--files", str(files.root), "run", "--listings", LISTINGS, "--epochs", "1"]
        with subprocess.Popen(
            [sys.executable, *program, *arguments],
            cwd=ROOT,
            env={**os.environ, "COLUMNS": "160"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            start_new_session=True,  # a group of its own, which its services belong to
        ) as process:
            try:
                output, _ = process.communicate(timeout=RUN_TIMEOUT_S)
                left_behind = group_runs(process.pid)
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        assert process.returncode == 0, output
        return Ran(output, left_behind)

    return run


@pytest.fixture(scope="module")
def first(run_demo: RunDemo) -> Ran:
    return run_demo()


def group_runs(group: int) -> bool:
    """Returns whether any of it is left, a moment after its leader ended."""
    deadline = time.monotonic() + 5  # helpers of multiprocessing end when they see that it is gone
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.05)
    return True


def times(*folders: Path) -> dict[Path, int]:
    return {file: file.stat().st_mtime_ns for folder in folders for file in folder.rglob("*")}


def answer_of(ran: Ran) -> str:
    return ran.output[ran.output.index("\ncategory ") : ran.output.index("contact sheet: ")]


def test_the_pipelines_commands_lead_from_photos_to_hits(
    first: Ran, files: DemoFiles, capsys: pytest.CaptureFixture[str]
) -> None:
    def step(command: str) -> str:
        assert training.command.main(shlex.split(command)) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    for said in (  # by sample, prepare, train, evaluate and export
        f"{LISTINGS} listings",
        "4 rejected:",
        "best epoch 1 of 1: ",
        "photos of the test split: accuracy ",
        "embedding space ",
    ):
        assert said in first.output
    vectors = shlex.quote(str(files.root / "vectors.parquet"))
    bundle, marketplace = (shlex.quote(str(path)) for path in (files.bundle, files.marketplace))
    embedded = step(f"embed --bundle {bundle} --data {marketplace} --out {vectors}")
    photos = re.search(r"(\d+) photos; 4 failed:", embedded)
    assert photos is not None
    with (
        LocalStack(
            bundle=files.bundle, index_dir=files.root / "second", log_dir=files.root / "second-logs"
        ) as stack,
        grpc.insecure_channel(stack.address("gateway")) as channel,
    ):
        indexed = step(f"index --vectors {vectors} --target {stack.address('index_service')}")
        assert f"{photos[1]} inserted, 0 replaced; {photos[1]} items" in indexed
        queries = files.marketplace / "queries"
        query = json.loads((queries / "queries.json").read_text())[0]["file"]
        image = (queries / query).read_bytes()
        request = pb.FindSimilarListingsRequest(image=image, k=3)
        answer = GatewayServiceStub(channel).FindSimilarListings(request, timeout=60)

    assert len(answer.listings) == 3
    assert all(hit.photo.title and hit.photo.category in CATEGORIES for hit in answer.listings)
    distances = [hit.distance for hit in answer.listings]
    assert distances == sorted(distances)
    assert answer.classification.scores[0].category in CATEGORIES


def test_the_demo_answers_and_leaves_nothing_running(first: Ran, files: DemoFiles) -> None:
    said = first.output
    category = re.search(r"^category (.+), confidence [<>]?\d+ %$", said, re.MULTILINE)
    assert category is not None
    assert category[1] in CATEGORIES
    assert re.search(r"^such things cost £", said, re.MULTILINE)
    rows = re.findall(r"^\W*(\d) .*£[\d,.]+", said, re.MULTILINE)
    assert rows == ["1", "2", "3", "4", "5"] * 2  # by a photo, then by words
    assert re.search(r"^ +[\d.]+% +find another photo of their listing", said, re.MULTILINE)
    with Image.open(files.result) as sheet:
        assert sheet.format == "PNG"
        assert sheet.width > 1000
        assert sheet.height > 400
    assert f"contact sheet: {files.result}" in said
    assert not first.left_behind
    assert not files.processes.exists()


@pytest.mark.long
def test_a_second_run_of_the_demo_redoes_nothing(
    first: Ran, files: DemoFiles, run_demo: RunDemo
) -> None:
    made = (files.marketplace, files.prepared, files.bundle)
    # The figures of `evaluate` alone are made again.
    weights = [files.run / "model.safetensors", files.run / "run.json"]
    before = times(*made) | {file: file.stat().st_mtime_ns for file in weights}
    second = run_demo()

    assert times(*made) | {file: file.stat().st_mtime_ns for file in weights} == before
    for done, again in (
        ("marketplace: written", "marketplace: reused"),
        ("epoch 1/1: validation accuracy", "best epoch 1 of 1"),
        ("converting to OpenVINO", "embedding space"),
        ("$ lookalike ingest", "the index is filled already"),
    ):
        assert done in first.output
        assert done not in second.output
        assert again in second.output
    assert answer_of(second) == answer_of(first)
    assert not second.left_behind


@pytest.mark.usefixtures("first")
def test_up_leaves_services_that_down_ends(files: DemoFiles) -> None:
    def verb(*words: str, status: int = 0) -> str:
        command = [sys.executable, "-c", ON_FREE_PORTS, "--files", str(files.root), *words]
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
        assert ran.returncode == status, ran.stderr
        return ran.stdout + ran.stderr

    pids: dict[str, int] = {}
    try:
        said = verb("up")
        pids = json.loads(files.processes.read_text())
        assert list(pids) == ["embedder_service", "index_service", "gateway"]
        gateway = re.search(rf"^gateway +(\S+) +process {pids['gateway']}, ", said, re.MULTILINE)
        assert gateway is not None
        assert "confidence" in verb("ask", "--gateway", gateway[1])
        assert "the services are running already" in verb("up", status=1)

        assert verb("down") == "stopped: gateway, index_service, embedder_service\n"
        assert not any(running._is_ours(pid, module) for module, pid in pids.items())
        assert not files.processes.exists()
        assert verb("down") == "stopped: nothing was running\n"
    finally:
        for module, pid in pids.items():
            if running._is_ours(pid, module):
                os.kill(pid, signal.SIGKILL)

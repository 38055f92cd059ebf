"""The command line as processes, on real services: docs/cli.md, interruptions, a re-indexing."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pyarrow.parquet as pq
import pytest

from lookalike import Client, LookalikeError
from lookalike.model import bundle as bundles
from lookalike.model.bundle import Bundle
from lookalike.serving.local_stack import ServiceProcess
from tests.conftest import DrawPhoto, StartService

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
COMMAND = [sys.executable, "-m", "lookalike.cli"]
# The same, and Ctrl-C works even where the tests run in the background.
INTERRUPTIBLE = [
    sys.executable,
    "-c",
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from lookalike.cli import main; sys.exit(main())",
]
LISTINGS = 8


class Serving:
    """`lookalike serve` in a process, and where its services listen."""

    def __init__(self, bundle: Path, data: Path) -> None:
        command = f"serve --bundle {bundle} --data {data} --json --port 0 --http-port 0"
        command += " --embedder-port 0 --index-port 0 --admin-port 0"
        self.process = subprocess.Popen(
            [*INTERRUPTIBLE, *command.split()],
            cwd=ROOT,
            env={**os.environ, "LOOKALIKE_EMBEDDER_BUNDLE_POLL_S": "0"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout
        self.addresses: dict[str, str] = json.loads(self.process.stdout.readline())

    def environment(self) -> dict[str, str]:
        """What leads commands to these services."""
        return {
            "LOOKALIKE_GATEWAY": self.addresses["gateway"],
            "LOOKALIKE_EMBEDDER": self.addresses["embedder_service"],
            "LOOKALIKE_INDEX": self.addresses["index_service"],
        }

    def stop(self, number: signal.Signals = signal.SIGINT) -> tuple[int, str]:
        """Ends it; returns its status and what it said."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said


class Workplace:
    """A folder as docs/cli.md has it, and services that were started there."""

    def __init__(self, folder: Path, serving: Serving, new_model: Path) -> None:
        self.folder = folder
        self.serving = serving
        self.new_model = new_model

    def run(self, command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs a line of the shell."""
        done = subprocess.run(
            ["bash", "-c", f'lookalike() {{ {" ".join(COMMAND)} "$@"; }}; {command}'],
            cwd=self.folder,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                **self.serving.environment(),
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done


def write_marketplace(folder: Path, draw_photo: DrawPhoto) -> None:
    """Two photos a listing."""
    (folder / "images").mkdir(parents=True)
    (folder / "queries").mkdir()
    (folder / "queries" / "one.jpg").write_bytes(draw_photo(1))
    products, images = [",id,product_name,category,product_description,price,location"], []
    for number in range(LISTINGS):
        about = f"l{number},Lamp {number},Home & Garden / Lamps,For an oak table."
        row = f"{number},{about},£{number + 5},Leeds"
        products.append(row)
        for side in range(2):
            photo = f"p{number}-{side}"
            images.append(f"{photo},l{number}")
            (folder / "images" / f"{photo}.jpg").write_bytes(draw_photo(100 + 2 * number + side))
    (folder / "Products.csv").write_text("\n".join(products) + "\n")
    (folder / "Images.csv").write_text("\n".join(["id,product_id", *images]) + "\n")


@pytest.fixture
def new_bundle(reading_bundle: Bundle, tmp_path: Path) -> Bundle:
    """The same model with other weights: another embedding space."""
    old = reading_bundle.manifest
    return bundles.write(
        tmp_path / "new-bundle",
        name="tiny",
        version="2",
        labels=old.labels,
        architecture=old.architecture,
        preprocessing=old.preprocessing,
        outputs=old.outputs,
        metrics={},
        files={name: reading_bundle.path / name for name in old.files}
        | {bundles.WEIGHTS: _other_weights(reading_bundle, tmp_path)},
        text=old.text,
    )


def _other_weights(bundle: Bundle, folder: Path) -> Path:
    from safetensors.torch import load_file, save_file

    weights = load_file(bundle.path / bundles.WEIGHTS)
    save_file({name: values + 1 for name, values in weights.items()}, folder / "weights")
    return folder / "weights"


@pytest.fixture
def workplace(
    reading_bundle: Bundle,
    new_bundle: Bundle,
    tmp_path: Path,
    draw_photo: DrawPhoto,
) -> Iterator[Workplace]:
    folder = tmp_path / "workplace"
    write_marketplace(folder / "var/demo/marketplace", draw_photo)
    shutil.copytree(reading_bundle.path, folder / "var/demo/bundle")
    for photo in (folder / "photo.jpg", folder / "var/demo/marketplace/images/photo.jpg"):
        photo.write_bytes(draw_photo(1))
    (folder / "another.jpg").write_bytes(draw_photo(2))
    (folder / "README.md").write_text("# no photo")
    serving = Serving(folder / "var/demo/bundle", folder / "var/served")
    yield Workplace(folder, serving, new_bundle.path)
    serving.stop()


def commands() -> list[str]:
    """The lines of the document's shell blocks that run `lookalike`."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", DOCUMENT, re.DOTALL | re.MULTILINE)
    lines = "".join(blocks).replace("\\\n", "").splitlines()
    return [line.removeprefix("$ ") for line in lines if line.startswith(("lookalike ", "$ look"))]


@pytest.mark.long
def test_every_command_of_the_document_does_what_it_says(
    workplace: Workplace, start_service: StartService
) -> None:
    new_model = start_service("embedder_service", bundle=workplace.new_model, precision="fp32")
    # What is not run: what would change this machine's shell, and the services that run already.
    left_out = [
        c for c in commands() if "--install-completion" in c or c.startswith("lookalike serve")
    ]
    assert len(left_out) == 2
    expected = {
        "lookalike classify README.md": 1,
        "lookalike --show-completion bash": 0,
    }
    ran = [command for command in commands() if command not in left_out]
    for command in ran:
        line = command.replace("127.0.0.1:50071", new_model.address)
        done = workplace.run(line)
        assert done.returncode == expected.get(command, 0), f"{line}: {done.stderr}"
        if "--json" in line:
            assert [json.loads(each) for each in done.stdout.splitlines()]
        if "classify README.md" in line:
            assert done.stderr.startswith("lookalike: README.md: image is not one of JPEG")
            assert done.stderr.endswith("(INVALID_IMAGE)\n")
    assert len(ran) >= 19
    for made in ("sheet.png", "words.png", "vectors.parquet", "two.parquet"):
        assert (workplace.folder / "var" / made).stat().st_size > 1000
    assert len(pq.read_table(workplace.folder / "var/vectors.parquet")) == 2 * LISTINGS + 1


def test_every_command_is_in_the_document() -> None:
    headings = re.findall(r"^## (\w+)$", DOCUMENT, re.MULTILINE)
    table = re.findall(r"^\| \[`(\w+)`\]", DOCUMENT, re.MULTILINE)
    folder = ROOT / "lookalike" / "cli"
    modules = [p.stem for p in folder.glob("*.py") if "\ndef command(" in p.read_text()]
    assert sorted(headings) == sorted(table) == sorted(modules)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_stops_what_it_started(
    tiny_bundle: Bundle, tmp_path: Path, number: signal.Signals
) -> None:
    serving = Serving(tiny_bundle.path, tmp_path)
    with Client(serving.addresses["gateway"]) as client:
        assert client.status().embedder.model_name == "tiny"
    status, said = serving.stop(number)
    assert status == 0
    assert said.splitlines() == ["Ctrl-C stops them", "stopping …"]
    for name in ("gateway", "embedder_service", "index_service"):
        host, _, port = serving.addresses[name].rpartition(":")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, int(port)), timeout=5)


def test_serve_ends_when_a_service_does(tiny_bundle: Bundle, tmp_path: Path) -> None:
    serving = Serving(tiny_bundle.path, tmp_path)
    log = (tmp_path / "logs" / "index_service.log").read_text()
    pid = next(e["pid"] for e in map(json.loads, log.splitlines()) if e["event"] == "serving")
    os.kill(pid, signal.SIGKILL)
    status = serving.process.wait(60)
    _, said = serving.stop()
    assert status == 1
    assert "index_service has ended; see" in said


def test_serve_of_a_taken_port_is_one_line(tiny_bundle: Bundle, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = f"serve --bundle {tiny_bundle.path} --data {tmp_path} --port 0 --http-port 0"
        command += f" --embedder-port {port} --index-port 0 --admin-port 0"
        done = subprocess.run(
            [*COMMAND, *command.split()], cwd=ROOT, capture_output=True, text=True, check=False
        )
    assert done.returncode == 1
    assert str(port) in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_embed_interrupted_in_the_middle_goes_on(
    embedder: ServiceProcess, tmp_path: Path, draw_photo: DrawPhoto
) -> None:
    photos, out, total = tmp_path / "photos", tmp_path / "vectors.parquet", 500
    photos.mkdir()
    for number in range(50):
        (photos / f"{number}.jpg").write_bytes(draw_photo(number, size=(300, 200)))
    for number in range(50, total):
        os.link(photos / f"{number % 50}.jpg", photos / f"{number}.jpg")
    command = ["embed", str(photos), "-o", str(out), "--embedder", embedder.address]
    terminal, theirs = os.openpty()
    process = subprocess.Popen(
        [*INTERRUPTIBLE, *command],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env={**os.environ, "COLUMNS": "80", "TERM": "xterm"},
    )
    os.close(theirs)
    shown = ""
    while not (seen := re.search(rf"[1-9]\d\d/{total}", shown)):
        assert process.poll() is None, shown
        shown += _read(terminal)
    process.send_signal(signal.SIGINT)
    while process.poll() is None:
        shown += _read(terminal)
    shown += _read(terminal)
    os.close(terminal)
    assert process.returncode == 130, shown
    assert seen
    assert "photos/s" in shown
    assert "the same command goes on from there" in shown
    assert "Traceback" not in shown
    assert not out.exists()

    done = subprocess.run(
        [*COMMAND, *command, "--json"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["photos"] == total
    assert answer["skipped"] + answer["embedded"] == total
    assert answer["skipped"] >= 100
    table = pq.read_table(out)
    assert len(set(table["id"].to_pylist())) == total


def _read(terminal: int) -> str:
    """What a terminal shows, if something comes within a moment."""
    if not select.select([terminal], [], [], 0.1)[0]:
        return ""
    try:
        return os.read(terminal, 1 << 16).decode(errors="replace")
    except OSError:  # nobody writes there any more
        return ""


class Asking(threading.Thread):
    """Somebody who searches again and again.

    Attributes:
        outcomes: `found`, or the reason why not, one after the other.
    """

    def __init__(self, gateway: str, photo: bytes) -> None:
        super().__init__()
        self.outcomes: list[str] = []
        self._gateway = gateway
        self._photo = photo
        self._enough = threading.Event()

    def run(self) -> None:
        with Client(self._gateway) as client:
            while not self._enough.wait(0.01):
                try:
                    client.similar(self._photo, k=3)
                    self.outcomes.append("found")
                except LookalikeError as error:
                    self.outcomes.append(error.reason)

    def until(self, outcome: str) -> None:
        """Waits until that is what comes now."""
        seen, deadline = len(self.outcomes), time.monotonic() + 30
        while outcome not in self.outcomes[seen:]:
            assert time.monotonic() < deadline, self.outcomes[-5:]
            time.sleep(0.02)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self.join()


@pytest.mark.long
def test_a_new_model_is_taken_up_and_given_back_while_the_gateway_serves(
    workplace: Workplace, start_service: StartService, draw_photo: DrawPhoto
) -> None:
    market = workplace.folder / "var/demo/marketplace"
    ingest = f"lookalike ingest --products {market}/Products.csv --images {market}/images"
    assert workplace.run(ingest).returncode == 0
    new_model = start_service("embedder_service", bundle=workplace.new_model, precision="fp32")
    bundle, admin = workplace.folder / "var/demo/bundle", workplace.serving.addresses["admin"]
    old_bundle = bundle.with_name("old")

    def served() -> tuple[bool, str]:
        status = json.loads(workplace.run("lookalike status --json").stdout)
        return status["ready"], status["index"]["serving_collection"]

    with Asking(workplace.serving.addresses["gateway"], draw_photo(1)) as somebody:
        somebody.until("found")
        # Put in place beforehand: the embedder looks only when it is told.
        bundle.rename(old_bundle)
        shutil.copytree(workplace.new_model, bundle)
        reindex = f"lookalike reindex --embedder {new_model.address} --images {market}/images"
        assert workplace.run(f"{reindex} --dry-run").returncode == 0
        assert set(somebody.outcomes) == {"found"}, "nothing that is served changed"
        done = workplace.run(f"{reindex} --yes --reload {admin} --json")
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
        assert answer["photos"] == answer["kept"] == 2 * LISTINGS
        somebody.until("found")
        assert served() == (True, answer["new"])

        shutil.rmtree(bundle)
        old_bundle.rename(bundle)
        done = workplace.run(f"lookalike reindex --rollback --reload {admin}")
        assert done.returncode == 0, done.stderr
        somebody.until("found")
        assert served() == (True, answer["old"])
    assert set(somebody.outcomes) <= {"found", "EMBEDDING_SPACE_MISMATCH"}


@pytest.mark.long
def test_a_reload_that_serves_another_model_is_told(
    workplace: Workplace, start_service: StartService
) -> None:
    market = workplace.folder / "var/demo/marketplace"
    ingest = f"lookalike ingest --products {market}/Products.csv --images {market}/images"
    assert workplace.run(ingest).returncode == 0
    new_model = start_service("embedder_service", bundle=workplace.new_model, precision="fp32")
    reindex = f"lookalike reindex --embedder {new_model.address} --images {market}/images"
    done = workplace.run(f"{reindex} --yes --reload {workplace.serving.addresses['admin']}")
    assert done.returncode == 1
    assert "put the new bundle into its directory, or go back with --rollback" in done.stderr
    assert workplace.run("lookalike reindex --rollback").returncode == 0
    assert workplace.run("lookalike status").returncode == 0

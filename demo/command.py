"""`python -m demo run|up|down|fill|ask`: what `make demo`, `make up` and `make down` call."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from demo import running
from demo.catalogue import fill, is_filled, mark_filled
from demo.files import DemoFiles
from demo.pipeline import EPOCHS, LISTINGS, make_bundle
from demo.query import ask, ask_words, draw, show
from demo.timing import Stopwatch
from lookalike import Client
from lookalike.errors import LookalikeError, StartupError
from lookalike.files import FileError
from lookalike.serving.local_stack import LocalStack
from training.errors import TrainingError

# Queries to evaluate: a few seconds' worth.
MOST_ASKED = 60
WORDS = "green armchair"


def main(arguments: list[str] | None = None) -> int:
    """Runs one verb; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--files", type=Path, default=DemoFiles().root, help="where to keep things")
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, text, more in (
        ("run", "sample, train, serve, fill, ask one photo, stop", "On free ports of 127.0.0.1."),
        ("up", "leave the services running", running.where()),
    ):
        added = verbs.add_parser(verb, help=text, epilog=more)
        added.add_argument(
            "--listings", type=int, default=LISTINGS, help="size of the sample marketplace"
        )
        added.add_argument("--epochs", type=int, default=EPOCHS, help="passes over it in training")
    verbs.add_parser("down", help="stop them")
    for verb, text in (("fill", "fill a running gateway's catalogue"), ("ask", "ask a gateway")):
        added = verbs.add_parser(verb, help=text)
        added.add_argument("--gateway", default=f"127.0.0.1:{running.PORTS['gateway']}")
    options = parser.parse_args(arguments)
    files = DemoFiles(options.files)
    try:
        match options.verb:
            case "run":
                run(files, Stopwatch(), listings=options.listings, epochs=options.epochs)
            case "up":
                up(files, listings=options.listings, epochs=options.epochs)
            case "down":
                print("stopped: " + (", ".join(running.stop(files)) or "nothing was running"))
            case "fill":
                fill(options.gateway, files.marketplace, files.ingest_journal)
            case "ask":
                _ask(options.gateway, files)
    except (StartupError, TrainingError, FileError, LookalikeError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        where = error.filename or files.root  # a full disk does not name the file
        print(f"demo: {where}: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


def run(files: DemoFiles, stopwatch: Stopwatch, *, listings: int, epochs: int) -> None:
    """Runs every step once, and stops the services it started."""
    started = time.monotonic()
    make_bundle(files, stopwatch, listings=listings, epochs=epochs)
    _forget_what_was_removed(files)
    with stopwatch.step("start services"):
        print("\nstarting embedder, index and gateway on loopback …", flush=True)
        stack = LocalStack(
            bundle=files.bundle,
            index_dir=files.index,
            log_dir=files.logs,
            thumbnails=files.thumbnails,
        )
        gateway = stack.start()
    try:
        with stopwatch.step("fill index"):
            _fill_once(gateway, files)
        with stopwatch.step("query"):
            _ask(gateway, files)
        with stopwatch.step("judge answers"):
            _judge(gateway, files)
    finally:
        with stopwatch.step("stop services"):
            stack.stop()
    steps = ", ".join(f"{name} {seconds:.1f}" for name, seconds in stopwatch.seconds.items())
    print(f"\n{time.monotonic() - started:.1f} s in all: {steps}")


def up(files: DemoFiles, *, listings: int, epochs: int) -> None:
    """Makes what is missing, and starts services that keep running."""
    make_bundle(files, Stopwatch(), listings=listings, epochs=epochs)
    _forget_what_was_removed(files)
    stack = running.start(files)
    try:
        _fill_once(stack.address("gateway"), files)
    except BaseException:
        running.stop(files)  # so that the same command goes on
        raise
    for service in stack.services:
        print(f"{service.module:17} {service.address}  process {service.pid}, log {service.log}")
    print(f"the web page:     http://{stack.http_address}/")
    print("`make down` stops them")


def _forget_what_was_removed(files: DemoFiles) -> None:
    if not (files.index.exists() and files.thumbnails.exists()):
        files.filled.unlink(missing_ok=True)


def _fill_once(gateway: str, files: DemoFiles) -> None:
    """Fills the index unless it holds this marketplace and this model already."""
    facts = _filling(files)
    if is_filled(files.filled, facts):
        print("the index is filled already")
        return
    fill(gateway, files.marketplace, files.ingest_journal)
    mark_filled(files.filled, facts)


def _filling(files: DemoFiles) -> dict[str, str]:
    """Returns what tells whether an index was filled with this marketplace and this model."""
    manifest = json.loads((files.bundle / "manifest.json").read_text())
    sample = (files.marketplace / "sample.json").read_text()
    return {"embedding_space": manifest["embedding_space"], "sample": sample}


def _ask(gateway: str, files: DemoFiles) -> None:
    query = json.loads((files.marketplace / "queries/queries.json").read_text())[0]
    photo = files.marketplace / "queries" / query["file"]
    answer = ask(gateway, photo)
    show(answer, photo)
    draw(answer, photo, files.marketplace / "images", files.result)
    print(f"contact sheet: {files.result}")
    answer = ask_words(gateway, WORDS)
    show(answer, WORDS)
    draw(answer, WORDS, files.marketplace / "images", files.words_result)
    print(f"contact sheet: {files.words_result}")


def _judge(gateway: str, files: DemoFiles) -> None:
    """Prints the quality of answers to photos that training has not seen."""
    # pandas and scipy, which the other verbs do without
    from demo.quality import known_photos, measure
    from training.prepare import load_prepared

    everything = known_photos(load_prepared(files.prepared), files.marketplace)
    asked = [photo for photo in everything if photo.split == "test"][:MOST_ASKED]
    # Each photo is out of the catalogue for a while: who is stopped meanwhile fills it again.
    files.filled.unlink(missing_ok=True)
    with Client(gateway) as client:
        served = measure(client, everything, asked)
    mark_filled(files.filled, _filling(files))
    print(f"\nof {served.photos} photos that training has not seen, ranked by {served.ranking}:")
    for figure, value in served.lines():
        print(f"  {value:>6}  {figure}")

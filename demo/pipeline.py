"""Makes the demo's model with the training pipeline's own commands."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import shlex
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from demo.files import DemoFiles
from demo.timing import Stopwatch
from lookalike.errors import StartupError

LISTINGS = 520
EPOCHS = 6
# Small photos and a network from scratch: no download, and a model in about a minute on two cores.
# So few steps leave no time for an average; features whitened less pass the gate of int8.
TRAIN_OPTIONS = (
    "--weights none --stage all --image-size 64 --head-units 0 --dropout 0 "
    "--batch-size 32 --learning-rate 2e-3 --label-smoothing 0.05 "
    "--contrastive-weight 0.2 --backbone-rate 1 --augment hflip --ema 0 --whiten 0.2"
)
# The language model stays as its package brings it: heads alone are learnt in seconds.
TEXT_OPTIONS = "--frozen --epochs 6 --batch-size 32 --head-rate 3e-3"


def make_bundle(
    files: DemoFiles, stopwatch: Stopwatch, *, listings: int = LISTINGS, epochs: int = EPOCHS
) -> None:
    """Runs every command from sample to export; each skips finished work."""
    marketplace, prepared, trained, text, bundle = (
        shlex.quote(str(path))
        for path in (files.marketplace, files.prepared, files.run, files.text_run, files.bundle)
    )
    commands = (
        f"sample --out {marketplace} --listings {listings}",
        f"training prepare --data {marketplace} --out {prepared} --image-size 128",
        f"training train --data {prepared} --out {trained} {TRAIN_OPTIONS} --epochs {epochs}",
        f"training evaluate --data {prepared} --run {trained}",
        f"training train-text --data {prepared} --run {trained} --out {text} {TEXT_OPTIONS}",
        f"training evaluate-text --data {prepared} --run {trained} --text {text}",
        f"training export --data {prepared} --run {trained} --text {text} --out {bundle}",
    )
    # All in one process, whose end frees its memory: importing torch takes longer than some steps.
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawned, initializer=_let_others_run) as pool:
        for command in commands:
            print(f"\n$ python -m {command}", flush=True)
            name = command.partition(" --")[0]
            with stopwatch.step(name.removeprefix("training ")):
                try:
                    status = pool.submit(_run, *shlex.split(command)).result()
                except BrokenProcessPool:
                    status = "its process was killed"
            if status:
                raise StartupError(
                    f"`python -m {name}` failed with status {status}; "
                    f"`rm -rf {files.root}` starts afresh"
                )


def _let_others_run() -> None:
    # Threads of torch that wait for each other spin by default. On idle cores that makes a step a
    # quarter faster; beside other programs it takes eight times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _run(package: str, *arguments: str) -> int | str | None:
    """Runs `python -m PACKAGE ARGUMENTS` in this process; returns the exit status."""
    main = importlib.import_module(f"{package}.command").main
    try:
        status: int = main(list(arguments))
    except SystemExit as error:
        return error.code
    return status

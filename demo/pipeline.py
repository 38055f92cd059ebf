"""Makes the demo's model by the training pipeline's own commands."""

from __future__ import annotations

import shlex
import subprocess
import sys

from demo.files import DemoFiles
from demo.timing import Stopwatch
from lookalike.errors import StartupError

LISTINGS = 520
# Small photos and a network from scratch: no download, and a model in about a minute on two cores.
TRAIN_OPTIONS = (
    "--weights none --stage all --image-size 64 --head-units 0 --dropout 0.1 "
    "--epochs 10 --batch-size 32 --learning-rate 2e-3 --label-smoothing 0.1"
)


def make_bundle(files: DemoFiles, stopwatch: Stopwatch) -> None:
    """Runs sample, prepare, train, evaluate and export; each keeps what it finds done."""
    for command in (
        f"sample --out {files.marketplace} --listings {LISTINGS}",
        f"prepare --data {files.marketplace} --out {files.prepared} --image-size 128",
        f"train --data {files.prepared} --out {files.run} {TRAIN_OPTIONS}",
        f"evaluate --data {files.prepared} --run {files.run}",
        f"export --data {files.prepared} --run {files.run} --out {files.bundle}",
    ):
        print(f"\n$ python -m training {command}", flush=True)
        name, *_ = command.split()
        with stopwatch.step(name):
            status = subprocess.run(
                [sys.executable, "-m", "training", *shlex.split(command)], check=False
            ).returncode
        if status:
            raise StartupError(f"`python -m training {name}` failed with status {status}")

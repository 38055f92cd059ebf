"""Makes the demo's model by the training pipeline's own commands."""

from __future__ import annotations

import shlex
import subprocess
import sys

from demo.files import DemoFiles
from demo.timing import Stopwatch
from lookalike.errors import StartupError

LISTINGS = 520
EPOCHS = 10
# Small photos and a network from scratch: no download, and a model in about a minute on two cores.
# So few steps leave no time for an average; features whitened less pass the gate of int8.
TRAIN_OPTIONS = (
    "--weights none --stage all --image-size 64 --head-units 0 --dropout 0.1 "
    "--batch-size 32 --learning-rate 2e-3 --label-smoothing 0.1 "
    "--contrastive-weight 0.1 --backbone-rate 1 --augment hflip --ema 0 --whiten 0.2"
)


def make_bundle(
    files: DemoFiles, stopwatch: Stopwatch, *, listings: int = LISTINGS, epochs: int = EPOCHS
) -> None:
    """Runs sample, prepare, train, evaluate and export; each keeps what it finds done."""
    marketplace, prepared, trained, bundle = (
        shlex.quote(str(path))
        for path in (files.marketplace, files.prepared, files.run, files.bundle)
    )
    for command in (
        f"sample --out {marketplace} --listings {listings}",
        f"prepare --data {marketplace} --out {prepared} --image-size 128",
        f"train --data {prepared} --out {trained} {TRAIN_OPTIONS} --epochs {epochs}",
        f"evaluate --data {prepared} --run {trained}",
        f"export --data {prepared} --run {trained} --out {bundle}",
    ):
        print(f"\n$ python -m training {command}", flush=True)
        name, *_ = command.split()
        with stopwatch.step(name):
            status = subprocess.run(
                [sys.executable, "-m", "training", *shlex.split(command)], check=False
            ).returncode
        if status:
            raise StartupError(
                f"`python -m training {name}` failed with status {status}; "
                f"`rm -rf {files.root}` starts afresh"
            )

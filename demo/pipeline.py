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
        f"training prepare --data {marketplace} --out {prepared} --image-size 128",
        f"training train --data {prepared} --out {trained} {TRAIN_OPTIONS} --epochs {epochs}",
        f"training evaluate --data {prepared} --run {trained}",
        f"training export --data {prepared} --run {trained} --out {bundle}",
    ):
        print(f"\n$ python -m {command}", flush=True)
        name = command.partition(" --")[0]
        with stopwatch.step(name.removeprefix("training ")):
            status = subprocess.run(
                [sys.executable, "-m", *shlex.split(command)], check=False
            ).returncode
        if status:
            raise StartupError(
                f"`python -m {name}` failed with status {status}; "
                f"`rm -rf {files.root}` starts afresh"
            )

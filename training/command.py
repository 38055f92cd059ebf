"""The training pipeline: `python -m training prepare|train|train-text|evaluate|export|embed|index`.

Beside them `baselines`.

Each step reads the output of the one before, skips finished work, and can be run again.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections.abc import Sequence

from lookalike.files import FileError, write_json
from training.config import TrainConfig
from training.errors import TrainingError
from training.options import make_parser

# Options of `evaluate` that need --run or --bundle.
EVALUATE_OPTIONS = {
    "split": "run",
    "all_photos": "run",
    "json": "bundle",
    "gallery": "bundle",
    "report": "bundle",
    "precision": "bundle",
}


def main(arguments: list[str] | None = None) -> int:
    """Runs one step; returns the exit status."""
    options = make_parser().parse_args(arguments)
    started = time.monotonic()
    try:
        STEPS[options.name](options)
    except (TrainingError, FileError, ValueError, OSError) as error:
        print(f"training {options.name}: {_one_line(error, options)}", file=sys.stderr)
        return 1
    print(f"{options.name}: {time.monotonic() - started:.1f} s")
    return 0


def _one_line(error: Exception, options: argparse.Namespace) -> str:
    text = str(error)
    if isinstance(error, OSError):
        # an error during writing, such as a full disk, does not name the file
        where = error.filename or getattr(options, "out", None) or getattr(options, "run", "")
        text = f"{where}: {error.strerror or error}"
    return "; ".join(line.strip() for line in text.splitlines() if line.strip())


def _prepare(options: argparse.Namespace) -> None:
    from training.prepare import prepare

    report = prepare(
        options.data,
        options.out,
        image_size=options.image_size,
        split_by=options.split_by,
        split=options.split,
        seed=options.seed,
    ).report
    dropped = ", ".join(f"{count} {reason}" for reason, count in report["listings_dropped"].items())
    print(f"{report['listings']} listings kept; dropped: {dropped or 'none'}")
    print(f"{report['photos']} photos kept; {_counted(report['photos_rejected'], 'rejected')}")
    for problem in report["photos_rejected"]:
        print(f"  {problem}")
    print("photos by split: " + str(report["photos_by_split"]))


def _counted(problems: Sequence[str], what: str) -> str:
    return f"{len(problems)} {what}:" if problems else f"none {what}"


def _train(options: argparse.Namespace) -> None:
    from training.train import train
    from training.trainer import Hardware, is_first_process

    names = [field.name for field in dataclasses.fields(TrainConfig)]
    config = TrainConfig(**{name: getattr(options, name) for name in names})
    hardware = Hardware(options.devices, options.nodes, options.workers, options.threads)
    report = train(options.data, options.out, config, hardware)
    if not is_first_process():
        sys.exit()
    print(
        f"best epoch {report['best_epoch'] + 1} of {report['epochs']}: "
        f"validation accuracy {report['validation_accuracy']:.3f}"
    )
    if whitened := report.get("whitened"):
        print(_whitened(**whitened))


def _train_text(options: argparse.Namespace) -> None:
    from training.text.config import TextConfig
    from training.text.train import train_text
    from training.trainer import Hardware

    names = [field.name for field in dataclasses.fields(TextConfig)]
    config = TextConfig(**{name: getattr(options, name) for name in names})
    hardware = Hardware(threads=options.threads)
    report = train_text(options.data, options.run, options.out, config, hardware)
    print(
        f"best epoch {report['best_epoch'] + 1} of {report['epochs']}: "
        f"validation accuracy by words {report['validation_accuracy']:.3f}"
    )


def _whitened(pairs: int, done: Sequence[str], left: Sequence[str]) -> str:
    by = f"by {pairs} pairs of photos of one listing"
    parts = [f"whitened {', '.join(done)} {by}"] if done else []
    if left:
        parts.append(
            f"{', '.join(left)} not whitened: {pairs} pairs of photos of one listing are too few"
        )
    return "; ".join(parts)


def _evaluate(options: argparse.Namespace) -> None:
    whose, others = ("run", "bundle") if options.run else ("bundle", "run")
    for name, owner in EVALUATE_OPTIONS.items():
        if owner == others and getattr(options, name):
            option = "--" + name.replace("_", "-")
            raise TrainingError(f"{option} goes with --{others}, not with --{whose}")

    from training.console import print_figures
    from training.evaluate import evaluate, evaluate_bundle

    report = options.report
    if options.run:
        report = options.run / "report"
        split = options.split or "test"
        metrics = evaluate(
            options.data, options.run, split=split, all_photos=options.all_photos, report=report
        )
    else:
        metrics = evaluate_bundle(
            options.bundle,
            options.data,
            gallery=options.gallery,
            file=options.json,
            report=report,
            precision=options.precision or "auto",
        )
    print_figures(metrics)
    if report:
        print(f"report: {report / 'report.md'}")


def _evaluate_text(options: argparse.Namespace) -> None:
    from training.console import print_text_figures
    from training.text.evaluate import REPORT, evaluate_text

    metrics = evaluate_text(
        options.data, options.run, options.text, split=options.split, report=True
    )
    print_text_figures(metrics)
    print(f"report: {options.text / REPORT / 'report.md'}")


def _baselines(options: argparse.Namespace) -> None:
    from training.baselines import baselines
    from training.console import print_baselines
    from training.prepare import load_prepared

    found = baselines(load_prepared(options.data))
    print_baselines(found)
    if options.json:
        write_json(options.json, dataclasses.asdict(found))


def _export(options: argparse.Namespace) -> None:
    from rich.console import Console

    from training.export import export
    from training.parity import verdicts

    manifest = export(
        options.data, options.run, options.out, version=options.version, text=options.text
    ).manifest
    judged = {"photos": manifest.variants}
    if manifest.text:
        judged["words"] = manifest.text.variants
    for what, variants in judged.items():
        table, missed = verdicts(variants, what)
        Console().print(table)
        print(*missed, sep="\n", end="\n" if missed else "")
    print(
        f"{options.out}: {manifest.name} {manifest.version}, "
        f"embedding space {manifest.embedding_space}"
    )


def _embed(options: argparse.Namespace) -> None:
    from training.embed import embed, embed_as_json

    what = (options.bundle, options.data, options.out)
    if options.format == "json":
        embedded = embed_as_json(*what, output=options.output, precision=options.precision)
    elif options.output:
        raise TrainingError("--output is for --format json; Parquet holds every output")
    else:
        embedded = embed(*what, precision=options.precision)
    print(f"{embedded.file}: {embedded.photos} photos; {_counted(embedded.problems, 'failed')}")
    for problem in embedded.problems:
        print(f"  {problem}")


def _index(options: argparse.Namespace) -> None:
    from training.index import index

    indexed = index(options.vectors, options.target, options.collection)
    print(
        f"{options.collection} at {options.target}: {indexed.inserted} inserted, "
        f"{indexed.replaced} replaced; {indexed.items} items"
    )
    print(indexed.lacking, end="\n" if indexed.lacking else "")


STEPS = {
    "prepare": _prepare,
    "train": _train,
    "train-text": _train_text,
    "evaluate": _evaluate,
    "evaluate-text": _evaluate_text,
    "baselines": _baselines,
    "export": _export,
    "embed": _embed,
    "index": _index,
}

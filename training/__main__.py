"""The training pipeline: `python -m training sample|prepare|train|evaluate|export|embed|index`.

Each step reads what the one before wrote, keeps what it finds done, and can be run again.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from training.config import TrainConfig
from training.errors import TrainingError


def main(arguments: list[str] | None = None) -> int:
    """Runs one step; returns the exit status."""
    options = _parser().parse_args(arguments)
    started = time.monotonic()
    try:
        options.step(options)
    except (TrainingError, ValueError, OSError) as error:
        print(f"training {options.name}: {_one_line(error, options)}", file=sys.stderr)
        return 1
    print(f"{options.name}: {time.monotonic() - started:.1f} s")
    return 0


def _one_line(error: Exception, options: argparse.Namespace) -> str:
    text = str(error)
    if isinstance(error, OSError):
        # what fails while a file is being written, such as a full disk, does not name the file
        where = error.filename or getattr(options, "out", None) or getattr(options, "run", "")
        text = f"{where}: {error.strerror or error}"
    return "; ".join(line.strip() for line in text.splitlines() if line.strip())


def _sample(options: argparse.Namespace) -> None:
    from rich.progress import Progress

    from training.sample import write_sample

    with Progress() as bars:
        bar = bars.add_task("Drawing photos", total=None)
        summary = write_sample(
            options.out,
            listings=options.listings,
            seed=options.seed,
            progress=lambda done, total: bars.update(bar, completed=done, total=total),
        )
        bars.update(bar, visible=not summary.reused)
    verb = "reused" if summary.reused else "written"
    print(f"{options.out}: {verb}; {summary.listings} listings, {summary.photos} photos, of which")
    print("  " + ", ".join(f"{count} {name}" for name, count in summary.oddities.items()))


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

    names = [field.name for field in dataclasses.fields(TrainConfig)]
    config = TrainConfig(**{name: getattr(options, name) for name in names})
    report = train(options.data, options.out, config)
    print(
        f"best epoch {report['best_epoch'] + 1} of {report['epochs']}: "
        f"validation accuracy {report['validation_accuracy']:.3f}"
    )


def _evaluate(options: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.table import Table

    from training.evaluate import evaluate

    metrics = evaluate(options.data, options.run, split=options.split)
    table = Table("category", "precision", "recall", "F1", "photos")
    for column in table.columns[1:]:
        column.justify = "right"
    for category, row in metrics["per_class"].items():
        figures = [f"{row[name]:.3f}" for name in ("precision", "recall", "f1")]
        table.add_row(category, *figures, str(row["photos"]))
    Console().print(table)
    table = Table("vectors", "precision@5", "recall@1", "recall@5", "recall@10")
    for column in table.columns[1:]:
        column.justify = "right"
    for output, row in metrics["outputs"].items():
        table.add_row(output, *(f"{figure:.3f}" for figure in row.values()))
    Console().print(table)
    print("precision: of the category; recall: of another photo of the same listing")
    print(
        f"calibration error {metrics['calibration_error']:.3f}, at temperature "
        f"{metrics['temperature']:.2f} {metrics['calibration_error_scaled']:.3f}"
    )
    print(
        f"{metrics['photos']} photos of the {metrics['split']} split: accuracy "
        f"{metrics['accuracy']:.3f}, top-3 {metrics['accuracy_top3']:.3f}"
    )


def _export(options: argparse.Namespace) -> None:
    from rich.console import Console

    from training.export import export
    from training.parity import verdicts

    manifest = export(options.data, options.run, options.out, version=options.version).manifest
    table, missed = verdicts(manifest.variants)
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


def _parts(text: str) -> tuple[int, int, int]:
    try:
        train, validation, test = (int(part) for part in text.split("/"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not like 70/15/15") from None
    return train, validation, test


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows every option's default, where it has one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return super()._get_help_string(action) if action.default not in {None, ""} else action.help


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training",
        description="From raw listings and photos to a served model, step by step.",
    )
    steps = parser.add_subparsers(dest="name", required=True, metavar="STEP")

    def step(name: str, function: object, summary: str) -> argparse.ArgumentParser:
        added = steps.add_parser(
            name,
            help=summary,
            description=summary,
            formatter_class=_HelpFormatter,
        )
        added.set_defaults(step=function)
        return added

    sample = step("sample", _sample, "Writes a sample marketplace: drawn photos, raw CSV files.")
    sample.add_argument("--out", type=Path, required=True, help="directory to write")
    sample.add_argument("--listings", type=int, default=260, help="number of listings")
    sample.add_argument("--seed", type=int, default=7, help="same seed, same marketplace")

    prepare = step("prepare", _prepare, "Cleans raw listings and photos, and splits them.")
    prepare.add_argument("--data", type=Path, required=True, help="raw catalogue")
    prepare.add_argument("--out", type=Path, required=True, help="prepared data set to write")
    prepare.add_argument("--image-size", type=int, default=256, help="side of the photos, pixels")
    prepare.add_argument(
        "--split-by",
        choices=("listing", "image"),
        default="listing",
        help="listing: no listing and no file on two sides; image: photo by photo, which flatters",
    )
    prepare.add_argument(
        "--split",
        type=_parts,
        default="70/15/15",
        metavar="TRAIN/VALIDATION/TEST",
        help="shares of the photos, of any sum",
    )
    prepare.add_argument("--seed", type=int, default=7, help="of the split")

    train = step("train", _train, "Fine-tunes ResNet50 on a prepared data set.")
    train.add_argument("--data", type=Path, required=True, help="prepared data set")
    train.add_argument("--out", type=Path, required=True, help="run to write or go on with")
    train.add_argument("--weights", required=True, help="imagenet, none, or a state_dict file")
    for field in dataclasses.fields(TrainConfig):
        if field.metadata:
            option = "--" + field.name.replace("_", "-")
            kind = {"bool": None, "int": int, "float": float, "str": str}[str(field.type)]
            more = {"action": "store_true"} if kind is None else {"type": kind}
            train.add_argument(option, default=field.default, **field.metadata, **more)

    evaluate = step("evaluate", _evaluate, "Judges a run on photos that it never saw.")
    evaluate.add_argument("--data", type=Path, required=True, help="prepared data set")
    evaluate.add_argument("--run", type=Path, required=True, help="complete run")
    evaluate.add_argument(
        "--split", choices=("train", "validation", "test"), default="test", help="photos to judge"
    )

    export = step("export", _export, "Writes the model bundle of an evaluated run.")
    export.add_argument("--data", type=Path, required=True, help="prepared data set")
    export.add_argument("--run", type=Path, required=True, help="evaluated run")
    export.add_argument("--out", type=Path, required=True, help="bundle to write")
    export.add_argument("--version", default="", help="for people; empty for one from the content")

    embed = step("embed", _embed, "Embeds every photo of a raw catalogue.")
    embed.add_argument("--bundle", type=Path, required=True, help="model bundle")
    embed.add_argument("--data", type=Path, required=True, help="raw catalogue")
    embed.add_argument("--out", type=Path, required=True, help="file to write")
    embed.add_argument(
        "--format",
        choices=("parquet", "json"),
        default="parquet",
        help="parquet: vectors and what a listing shows; json: beside that, vectors by image id",
    )
    embed.add_argument("--output", default="", help="of json; empty for the model's default output")
    embed.add_argument(
        "--precision",
        choices=("auto", "fp32", "bf16", "int8"),
        default="auto",
        help="auto: the fastest in which the bundle keeps its answers, as the embedder's setting",
    )

    index = step("index", _index, "Writes vectors to a running index service.")
    index.add_argument("--vectors", type=Path, required=True, help="what embed wrote")
    index.add_argument("--target", default="127.0.0.1:50052", help="the index's host:port")
    index.add_argument("--collection", default="listings", help="made if missing")
    return parser


if __name__ == "__main__":
    sys.exit(main())

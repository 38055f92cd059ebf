"""Command-line options of the pipeline's steps."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from training.config import Settings, TrainConfig
from training.text.config import TextConfig


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of all steps; the step's name is its `name`."""
    parser = argparse.ArgumentParser(
        prog="python -m training",
        description="From raw listings and photos to a served model, step by step.",
    )
    steps = parser.add_subparsers(dest="name", required=True, metavar="STEP")

    def step(name: str, summary: str) -> argparse.ArgumentParser:
        return steps.add_parser(
            name, help=summary, description=summary, formatter_class=_HelpFormatter
        )

    prepare = step("prepare", "Cleans raw listings and photos, and splits them.")
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

    _add_train_options(step("train", "Fine-tunes ResNet50 on a prepared data set."))

    words = step("train-text", "Trains a text tower beside a run: words as photos' outputs.")
    words.add_argument("--data", type=Path, required=True, help="prepared data set")
    words.add_argument("--run", type=Path, required=True, help="complete run of photos")
    words.add_argument("--out", type=Path, required=True, help="text run to write or go on with")
    _add_settings(words, TextConfig)
    words.add_argument("--threads", type=int, default=0, help="threads of torch, 0: one per core")

    _add_evaluate_options(
        step("evaluate", "Judges a run on photos that it never saw, or a bundle on any.")
    )

    both = step("evaluate-text", "Judges photos, words and both together on the same listings.")
    both.add_argument("--data", type=Path, required=True, help="prepared data set")
    both.add_argument("--run", type=Path, required=True, help="complete run of photos")
    both.add_argument("--text", type=Path, required=True, help="complete text run")
    both.add_argument(
        "--split",
        choices=("train", "validation", "test"),
        default="test",
        help="listings to judge",
    )

    compared = step("baselines", "Says what simple models reach on the same data.")
    compared.add_argument("--data", type=Path, required=True, help="prepared data set")
    compared.add_argument("--json", type=Path, help="file for the figures")

    export = step("export", "Writes the model bundle of an evaluated run.")
    export.add_argument("--data", type=Path, required=True, help="prepared data set")
    export.add_argument("--run", type=Path, required=True, help="evaluated run")
    export.add_argument("--out", type=Path, required=True, help="bundle to write")
    export.add_argument("--text", type=Path, help="evaluated text run, whose tower reads words")
    export.add_argument("--version", default="", help="for people; empty for one from the content")

    embed = step("embed", "Embeds every photo of a raw catalogue.")
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

    index = step("index", "Writes vectors to a running index service.")
    index.add_argument("--vectors", type=Path, required=True, help="what embed wrote")
    index.add_argument("--target", default="127.0.0.1:50052", help="the index's host:port")
    index.add_argument("--collection", default="listings", help="or alias; made if missing")
    return parser


def _add_train_options(train: argparse.ArgumentParser) -> None:
    train.add_argument("--data", type=Path, required=True, help="prepared data set")
    train.add_argument("--out", type=Path, required=True, help="run to write or go on with")
    train.add_argument("--weights", required=True, help="imagenet, none, or a state_dict file")
    _add_settings(train, TrainConfig)
    for name, default, text in (
        ("devices", 1, "processes on each machine; with CUDA, its GPUs"),
        ("nodes", 1, "machines; start the command on each"),
        ("workers", 0, "processes that decode and augment photos for each device"),
        (
            "threads",
            0,
            "threads of torch on a CPU for each device, 0 for one per core; with small photos, or "
            "on busy cores, 1 takes the least processor time",
        ),
    ):
        train.add_argument(f"--{name}", type=int, default=default, help=text)


def _add_settings(step: argparse.ArgumentParser, settings: type[Settings]) -> None:
    """Adds an option for each setting that has a help text."""
    for field in dataclasses.fields(settings):  # type: ignore[arg-type]
        if field.metadata:
            option = "--" + field.name.replace("_", "-")
            kind = {"bool": None, "int": int, "float": float, "str": str}[str(field.type)]
            more = {"action": "store_true"} if kind is None else {"type": kind}
            step.add_argument(option, default=field.default, **field.metadata, **more)


def _add_evaluate_options(evaluate: argparse.ArgumentParser) -> None:
    evaluate.add_argument(
        "--data", type=Path, required=True, help="prepared data set; with --bundle, raw catalogue"
    )
    judged = evaluate.add_mutually_exclusive_group(required=True)
    judged.add_argument("--run", type=Path, help="complete run; its report goes to report/ in it")
    judged.add_argument("--bundle", type=Path, help="model bundle")
    evaluate.add_argument(
        "--split",
        choices=("train", "validation", "test"),
        help="with --run: photos to judge (default: test)",
    )
    evaluate.add_argument(
        "--all-photos",
        action="store_true",
        default=None,
        help="with --run: search among the photos of all splits too, which may take minutes",
    )
    evaluate.add_argument("--json", type=Path, help="with --bundle: file for the figures")
    evaluate.add_argument(
        "--gallery", type=Path, help="with --bundle: raw catalogue to search among too"
    )
    evaluate.add_argument("--report", type=Path, help="with --bundle: directory for a report")
    evaluate.add_argument(
        "--precision",
        choices=("auto", "fp32", "bf16", "int8"),
        help="with --bundle: as of embed (default: auto)",
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

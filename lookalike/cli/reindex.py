"""`lookalike reindex`: the catalogue in another embedding space, compared, then switched to."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lookalike.cli import options
from lookalike.cli.console import (
    CommandError,
    ExitCode,
    UsageError,
    counted,
    emit,
    progress_bar,
    say,
    show_table,
)
from lookalike.cli.files import by_reason, write_failures
from lookalike.cli.photo_files import PhotoFolder

if TYPE_CHECKING:
    from lookalike.cli.reindexing.aliases import Served
    from lookalike.cli.reindexing.comparing import Comparison
    from lookalike.cli.reindexing.copying import Copied, Copy
    from lookalike.cli.reindexing.index import Index
    from lookalike.client import Client, Model
    from lookalike.index.v1 import index_pb2

_SWITCH = "The switch"


def command(
    *,
    images: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The photos, named <photo id>.jpg or the like."),
    ] = None,
    collection: Annotated[
        str, typer.Option(metavar="ALIAS", help="The name that the gateway is told to use.")
    ] = "listings",
    sample: Annotated[
        int, typer.Option(min=1, max=10_000, metavar="N", help="Photos to compare by.")
    ] = 200,
    allow_missing: Annotated[
        bool,
        typer.Option(
            "--allow-missing",
            help="Switch though some photos are missing or failed; searches then lack them.",
            rich_help_panel=_SWITCH,
        ),
    ] = False,
    min_agreement: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            metavar="SHARE",
            help="Switch only if both find as large a share of the same listings.",
            rich_help_panel=_SWITCH,
        ),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask.", rich_help_panel=_SWITCH)
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Copy and compare only.", rich_help_panel=_SWITCH),
    ] = False,
    reload: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Right after it, let the embedder of this admin port load its bundle anew.",
            rich_help_panel=_SWITCH,
        ),
    ] = None,
    rollback: Annotated[
        bool,
        typer.Option(
            "--rollback",
            help="Instead of all that: back to what was served before.",
            rich_help_panel=_SWITCH,
        ),
    ] = False,
    json: options.Json = False,
    index: options.Index = options.DEFAULT_INDEX,
    embedder: options.Embedder = options.DEFAULT_EMBEDDER,
    timeout: options.Timeout = None,
    tls: options.Tls = False,
    ca: options.Ca = None,
    token: options.Token = None,
) -> int:
    """Embed the catalogue with a new model into a new collection, compare, and switch to it.

    --embedder is one that serves the new model, beside those that the gateway uses. What is served
    does not change before the switch, which is atomic; --rollback undoes it. An interrupted run
    goes on when it is started again. TLS and token are for the embedder.
    """
    from lookalike.cli.reindexing import aliases
    from lookalike.cli.reindexing.index import Index

    if rollback:
        with Index(index) as service:
            now = aliases.served(service, collection)
            aliases.roll_back(service, now)
            return _rolled_back(now, reload, json=json)
    if images is None:
        raise UsageError("--images is missing: the folder of the photos")
    if dry_run and yes:
        raise UsageError("--dry-run and --yes contradict each other")
    folder = PhotoFolder(images)
    client = options.open_client(embedder=embedder, timeout=timeout, tls=tls, ca=ca, token=token)
    with Index(index) as service, client:
        run = _Run(service, client, folder, aliases.served(service, collection), client.model())
        if run.is_served:
            say(f"'{collection}' leads to {run.now.collection}, which is of that model already")
            if json:
                emit({"switched": False, "collection": run.now.collection})
            return ExitCode.OK
        wishes = _Wishes(sample, min_agreement, yes, dry_run, allow_missing, reload)
        return run.go(wishes, json=json)


@dataclass(frozen=True)
class _Wishes:
    """What the caller wants of the switch."""

    sample: int
    min_agreement: float | None
    yes: bool
    dry_run: bool
    allow_missing: bool
    reload: str | None


class _Run:
    """One re-indexing, from the copy to the switch."""

    def __init__(
        self, index: Index, client: Client, folder: PhotoFolder, now: Served, model: Model
    ) -> None:
        from lookalike.cli.reindexing.aliases import collection_name

        self.now = now
        self._index = index
        self._client = client
        self._folder = folder
        self._model = model
        self._old = index.collections()[now.collection]
        self._name = collection_name(now.alias, model.embedding_space)
        self._listed = Path(f"{self._name}.failures.csv")

    @property
    def is_served(self) -> bool:
        """Whether the alias leads to this model's vectors already."""
        return bool(self._old.embedding_space == self._model.embedding_space)

    def go(self, wishes: _Wishes, *, json: bool) -> ExitCode:
        """Copies, compares, asks, switches; returns the exit code."""
        from lookalike.cli.reindexing.comparing import compare

        new, outputs = self._new_collection()
        say(f"{self.now.collection} → {self._name}: {counted(self._old.item_count, 'photo')}")
        copy = self._copy(new, outputs)
        with progress_bar("Embedding", total=self._old.item_count) as bar:
            copied = copy.until_same(bar.advance)
        self._tell(copied)
        say("comparing …")
        comparison = compare(self._index, self.now.collection, self._name, wishes.sample)
        if comparison and not json:
            _show(comparison)
        obstacle = self._obstacle(copied, comparison, wishes)
        report = self._report(copied, comparison)
        if wishes.dry_run or obstacle:
            if json:
                emit({**report, "switched": False})
            if obstacle:
                raise CommandError(f"not switched: {obstacle}")
            say(f"'{self.now.alias}' still leads to {self.now.collection}")
            return ExitCode.OK
        if not wishes.yes and not self._agreed():
            if json:
                emit({**report, "switched": False})
            raise CommandError(
                f"not switched: '{self.now.alias}' still leads to {self.now.collection}; "
                "--yes switches without asking"
            )
        late = self._switch(copy, copied, wishes)
        if json:
            emit({**report, "switched": True, "late": late.written + late.deleted})
        return ExitCode.SOME_FAILED if copied.failures or late.failures else ExitCode.OK

    def _switch(self, copy: Copy, copied: Copied, wishes: _Wishes) -> Copied:
        from lookalike.cli.reindexing.aliases import switch

        switch(self._index, self.now, self._name)
        say(
            f"'{self.now.alias}' leads to {self._name} now; "
            f"`lookalike reindex --rollback` undoes it"
        )
        if wishes.reload:
            _reload(wishes.reload, self._model.embedding_space)
        else:
            say(
                "serve the new model to the gateway now: until then it refuses searches "
                "(EMBEDDING_SPACE_MISMATCH)"
            )
        late = copy.catch_up(copied.source)
        if late.written or late.deleted:
            say(
                f"brought over what came during the switch: {late.written:,} written, "
                f"{late.deleted:,} deleted"
            )
        return late

    def _new_collection(self) -> tuple[index_pb2.Collection, Sequence[str]]:
        from lookalike.index.v1 import index_pb2

        outputs = {output.name: output.dimension for output in self._model.outputs}
        default = next(iter(outputs))
        features = ""
        if self._old.features_dimension:
            features = next((name for name in outputs if name == "features"), "")
            if not features:
                say("the new model has no output 'features': there will be no second stage")
        wanted = index_pb2.Collection()
        wanted.CopyFrom(self._old)
        wanted.name = self._name
        wanted.embedding_space = self._model.embedding_space
        wanted.dimension = outputs[default]
        wanted.features_dimension = outputs[features] if features else 0
        wanted.item_count = 0
        there = self._index.ensure(wanted)
        for field in ("embedding_space", "dimension", "metric", "features_dimension"):
            if getattr(there, field) != getattr(wanted, field):
                raise CommandError(
                    f"the collection {self._name} is there and has another {field}: "
                    f"{getattr(there, field)}, not {getattr(wanted, field)}; delete it first"
                )
        return there, [default, *([features] if features else [])]

    def _copy(self, new: index_pb2.Collection, outputs: Sequence[str]) -> Copy:
        from lookalike.cli.reindexing.copying import Copy

        return Copy(
            self._index,
            self._client,
            self._folder,
            old=self.now.collection,
            new=new,
            outputs=outputs,
        )

    def _tell(self, copied: Copied) -> None:
        say(
            f"{counted(copied.written, 'photo')} embedded, {copied.kept:,} were there, "
            f"{copied.deleted:,} deleted"
        )
        write_failures(self._listed, copied.failures)
        if copied.failures:
            reasons = ", ".join(f"{why} {n:,}" for why, n in by_reason(copied.failures).items())
            number = counted(len(copied.failures), "photo")
            say(f"{number} failed, listed in {self._listed}: {reasons}")

    def _obstacle(self, copied: Copied, comparison: Comparison | None, wishes: _Wishes) -> str:
        """Returns why not to switch; empty if nothing speaks against it."""
        if copied.failures and not wishes.allow_missing:
            number = counted(len(copied.failures), "photo")
            return f"{number} would be lost; --allow-missing switches without them"
        if comparison is None:
            return "" if not copied.source else "the new collection is empty"
        low = wishes.min_agreement
        if low is not None and comparison.agreement < low:
            return f"agreement is {comparison.agreement:.3f}; --min-agreement is {low:g}"
        return ""

    def _agreed(self) -> bool:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            return False
        question = f"Let '{self.now.alias}' lead to {self._name}?"
        return typer.confirm(question, err=True)

    def _report(self, copied: Copied, comparison: Comparison | None) -> dict[str, Any]:
        return {
            "alias": self.now.alias,
            "old": self.now.collection,
            "new": self._name,
            "embedding_space": self._model.embedding_space,
            "photos": len(copied.source),
            "embedded": copied.written,
            "kept": copied.kept,
            "deleted": copied.deleted,
            "failed": len(copied.failures),
            "failures": str(self._listed) if copied.failures else None,
            "comparison": dataclasses.asdict(comparison) if comparison else None,
        }


def _show(comparison: Comparison) -> None:
    old, new = comparison.old, comparison.new
    rows = [
        (
            "of 10 found, of the photo's own category",
            _share(old.own_category),
            _share(new.own_category),
        ),
        (
            "other photo of the listing found first",
            _share(old.other_photo_first),
            _share(new.other_photo_first),
        ),
        ("of 10 found, found by both", _share(comparison.agreement), ""),
    ]
    show_table((f"by {counted(comparison.queries, 'photo')}", "old", "new"), rows, right=(1, 2))


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _rolled_back(now: Served, reload: str | None, *, json: bool) -> ExitCode:
    say(f"'{now.alias}' leads to {now.previous} again, not to {now.collection}")
    if reload:
        _reload(reload, "")
    else:
        say(
            "serve the earlier model to the gateway now: until then it refuses searches "
            "(EMBEDDING_SPACE_MISMATCH)"
        )
    say(f"what was ingested since the switch is in {now.collection} alone: ingest it again")
    if json:
        emit({"alias": now.alias, "collection": now.previous, "previous": now.collection})
    return ExitCode.OK


def _reload(target: str, expected: str) -> None:
    from lookalike.cli.reindexing.index import reload_model

    space = reload_model(target)
    if expected and space != expected:
        raise CommandError(
            f"switched, but the embedder at {target} serves {space}, not {expected}: put the new "
            "bundle into its directory, or go back with --rollback"
        )
    say(f"the embedder at {target} serves {space}")

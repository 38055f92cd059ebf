"""One re-indexing: copy, compare, ask, switch, and what came meanwhile."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from lookalike.catalogue.photo_files import PhotoFolder
from lookalike.cli.console import CommandError, ExitCode, counted, emit, progress_bar, say
from lookalike.cli.failing import Failure, write_failures
from lookalike.cli.reindexing import aliases, showing
from lookalike.cli.reindexing.aliases import Served
from lookalike.cli.reindexing.comparing import Comparison, K, compare
from lookalike.cli.reindexing.copying import Copied, Copy
from lookalike.cli.reindexing.reloading import Reload
from lookalike.cli.reindexing.target import (
    ensure_new,
    is_up_to_date,
    lacks_features,
    lacks_words,
    name_for,
    outputs_of,
    rerank_of,
)
from lookalike.cli.reindexing.unfinished import Unfinished

if TYPE_CHECKING:
    from lookalike.client import Client, IndexClient


@dataclass(frozen=True)
class Wishes:
    """What the caller wants; the options of `lookalike reindex` say what each means."""

    sample: int
    min_agreement: float | None
    yes: bool
    dry_run: bool
    allow_missing: bool
    discard: bool
    reload: Reload | None


class Run:
    """One re-indexing, from the copy to the switch."""

    def __init__(
        self,
        index: IndexClient,
        client: Client,
        *,
        folder: PhotoFolder,
        now: Served,
        wishes: Wishes,
    ) -> None:
        self.now = now
        self._index = index
        self._client = client
        self._folder = folder
        self._model = client.model()
        self._wishes = wishes
        collections = {each.name: each for each in index.collections()}
        self._served = collections[now.collection]
        # Milvus finds no words, so nothing would come of a collection made for them.
        self._finds_words = index.state().backend == "native"
        self._name = (
            now.collection
            if self.is_served
            else name_for(collections, now.alias, self._model, finds_words=self._finds_words)
        )
        self._listed = Path(f"{self._name}.failures.csv")
        self._unfinished = Unfinished(Path(f"{self._name}.unfinished.json"))

    @property
    def is_served(self) -> bool:
        """Whether the alias leads to this model's vectors already, and to all that can be had."""
        return is_up_to_date(self._served, self._model, finds_words=self._finds_words)

    @property
    def is_same_model(self) -> bool:
        """Whether the model is the one of what is served, and features or words are what lacked."""
        return bool(self._served.embedding_space == self._model.embedding_space)

    def go(self, *, json: bool) -> ExitCode:
        """Copies, compares, asks, switches; returns the exit code."""
        copy, old = self._copy(self.now.collection), self._served
        say(f"{self.now.collection} → {self._name}: {counted(old.item_count, 'photo')}")
        if self.is_same_model:
            say(f"the model is the same; {self.now.collection} {self._lack()}")
        with progress_bar("Embedding", total=old.item_count) as bar:
            copied = copy.until_same(bar.advance)
        self._tell(copied)
        rerank = rerank_of(old, copy.new, self._model, K)
        say("comparing …" + (" the new one ranks by features too" if rerank else ""))
        comparison = compare(
            self._index, self.now.collection, self._name, self._wishes.sample, rerank
        )
        if comparison and not json:
            showing.show_comparison(comparison)
        obstacle = self._obstacle(copied, comparison)
        if not (obstacle or self._wishes.dry_run or self._wishes.yes or self._agreed()):
            obstacle = (
                f"'{self.now.alias}' still leads to {self.now.collection}; "
                "--yes switches without asking"
            )
        if not (obstacle or self._wishes.dry_run):
            # Comparing takes its time, and so does a person: what came meanwhile comes first.
            again = copy.until_same(lambda _: None)
            if again.written or again.deleted or again.lacking != copied.lacking:
                self._tell(again)
            copied = copied.followed_by(again)
            obstacle = self._obstacle(copied, comparison)
        report = self._report(copied, comparison)
        if obstacle or self._wishes.dry_run:
            if json:
                emit({**report, "switched": False})
            if obstacle:
                raise CommandError(f"not switched: {obstacle}")
            say(f"'{self.now.alias}' still leads to {self.now.collection}")
            return ExitCode.OK
        return self._switch(copy, copied, report, json=json)

    def _lack(self) -> str:
        """Returns what the collection that is served lacks, for the same model."""
        lacks = []
        if lacks_features(self._served, self._model):
            lacks.append("lacks its features")
        if lacks_words(self._served, finds_words=self._finds_words):
            lacks.append("finds no words")
        return " and ".join(lacks)

    def go_on(self, *, json: bool) -> ExitCode:
        """Does what is left to do in a collection of that model; returns the exit code.

        It brings over what an interrupted run did not after its switch, and gives features to
        photos that were written without.
        """
        say(f"'{self.now.alias}' leads to {self.now.collection}, which is of that model already")
        window = self._unfinished.read()
        if self._wishes.reload:
            self._reload(self._wishes.reload)
        answer: dict[str, Any] = {"switched": False, "collection": self.now.collection}
        failures: list[Failure] = []
        if window is not None:
            late = self._catch_up(self._copy(window.old))
            answer["late"] = late.written + late.deleted
            failures = late.failures
        if without := self._without_features():
            added = self._add_features(without)
            answer["features_added"] = added.written
            failures = [*failures, *added.failures]
        if window is not None or without:
            write_failures(self._listed, failures)
            answer["failed"] = len(failures)
        if json:
            emit(answer)
        return ExitCode.SOME_FAILED if failures else ExitCode.OK

    def _without_features(self) -> int:
        """Returns how many photos of a collection that keeps features have none."""
        if not self._served.features_dimension:
            return 0
        states = (each for each in self._index.state().collections if each.name == self._name)
        return sum(state.items - state.items_with_features for state in states)

    def _add_features(self, without: int) -> Copied:
        say(f"{counted(without, 'photo')} of {self._name} have no features")
        if self._wishes.dry_run:
            return Copied()
        copy = self._copy(self._name)
        with progress_bar("Embedding", total=without) as bar:
            added = copy.add_features(bar.advance)
        say(f"{counted(added.written, 'photo')} got their features")
        showing.tell_failures(added.failures, self._listed, "that have no features")
        return added

    def _switch(
        self, copy: Copy, copied: Copied, report: dict[str, Any], *, json: bool
    ) -> ExitCode:
        self._unfinished.keep(self.now.collection, copied)
        aliases.switch(self._index, self.now, self._name)
        say(
            f"'{self.now.alias}' leads to {self._name} now; "
            f"`lookalike reindex --rollback` undoes it"
        )
        try:
            if self._wishes.reload:
                self._reload(self._wishes.reload)
            elif not self.is_same_model:
                say(
                    "serve the new model to the gateway now: until then it refuses searches "
                    "(EMBEDDING_SPACE_MISMATCH)"
                )
        finally:
            # Also where the embedder did not take it up: the switch stands, and so must the rest.
            late = self._catch_up(copy)
            failures = copied.failures_after(late)
            write_failures(self._listed, failures)
            if json:
                listed = str(self._listed) if failures else None
                emit(
                    {
                        **report,
                        "failed": len(failures),
                        "failures": listed,
                        "switched": True,
                        "late": late.written + late.deleted,
                    }
                )
        return ExitCode.SOME_FAILED if failures else ExitCode.OK

    def _catch_up(self, copy: Copy) -> Copied:
        with self._unfinished.finishing(self._name) as window:
            late = copy.catch_up(window.source, window.lacking)
        if late.written or late.deleted:
            say(
                f"brought over what came during the switch: {late.written:,} written, "
                f"{late.deleted:,} deleted"
            )
        showing.tell_failures(late.failures, self._listed, "that came during the switch")
        return late

    def _copy(self, old: str) -> Copy:
        new = self._served
        if not self.is_served:
            new = ensure_new(self._index, self._served, self._name, self._model)
        return Copy(
            self._index,
            self._client,
            self._folder,
            old=old,
            new=new,
            outputs=outputs_of(new, self._model),
            discard=self._wishes.discard,
        )

    def _tell(self, copied: Copied) -> None:
        say(
            f"{counted(copied.written, 'photo')} embedded, {copied.kept:,} were there, "
            f"{copied.deleted:,} deleted"
        )
        write_failures(self._listed, copied.failures)
        showing.tell_failures(copied.failures, self._listed)

    def _obstacle(self, copied: Copied, comparison: Comparison | None) -> str:
        """Returns why not to switch; empty if nothing speaks against it."""
        if copied.failures and not self._wishes.allow_missing:
            number = counted(len(copied.failures), "photo")
            return f"{number} would be lost; --allow-missing switches without them"
        if comparison is None:
            return "" if not copied.source else "the new collection is empty"
        low = self._wishes.min_agreement
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
            **showing.as_json(copied, comparison, self._listed),
        }

    def _reload(self, reload: Reload) -> None:
        target, space = reload.target, reload.run()
        if space != self._model.embedding_space:
            raise CommandError(
                f"switched, but the embedder at {target} serves {space}, not "
                f"{self._model.embedding_space}: put the new bundle into its directory, or go "
                "back with --rollback"
            )
        say(f"the embedder at {target} serves {space}")

"""Fills a new collection with the old one's items, each embedded anew.

Each copied item tells what it was made from, so a copy that was interrupted goes on, and passes
over both collections find what was written, changed or deleted meanwhile.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from lookalike.catalogue.photo_files import PhotoFolder
from lookalike.catalogue.schema import REINDEXED_FROM
from lookalike.cli.console import CommandError, counted
from lookalike.cli.failing import Failure, Failures
from lookalike.client import Embedding, IndexClient
from lookalike.client.index import Collection, Item, ItemView
from lookalike.client.index.messages import item_message
from lookalike.errors import ItemNotFoundError

if TYPE_CHECKING:
    from lookalike.client import Client

BATCH = 200
_MOST_DELETED = 1000  # by one call
MOST_PASSES = 20

Catalogue: TypeAlias = Mapping[str, str]
"""The fingerprint of each item, by id."""


@dataclass(frozen=True, eq=False)
class _Source:
    """An item to copy. The index may list one twice, so ids alone do not tell them apart."""

    item: Item
    made_from: str


@dataclass
class Copied:
    """What a copy did.

    Attributes:
        written: Items embedded and written.
        kept: Items that an earlier run had copied.
        deleted: Items that the old collection no longer has.
        passes: How often the two were compared.
        failures: Items without a photo, or with one that failed.
        source: The old collection as it was at the last pass.
        began: When the last pass began, in seconds since 1970.
    """

    written: int = 0
    kept: int = 0
    deleted: int = 0
    passes: int = 0
    failures: list[Failure] = field(default_factory=list)
    source: Catalogue = field(default_factory=dict)
    began: float = 0.0

    @property
    def lacking(self) -> set[str]:
        """Ids of the items that failed."""
        return {failure.id for failure in self.failures}

    def followed_by(self, again: Copied) -> Copied:
        """Returns what this copy and a later one did together."""
        return replace(
            again,
            written=self.written + again.written,
            kept=self.kept,
            deleted=self.deleted + again.deleted,
            passes=self.passes + again.passes,
        )

    def failures_after(self, late: Copied) -> list[Failure]:
        """Returns the failures of this copy and of what came late, each item's once."""
        both = _each_once([*self.failures, *late.failures])
        return [failure for failure in both if failure.id in late.source]


class Copy:
    """From one collection into another, `new`.

    Args:
        index: Where both are.
        client: Knows the embedders of the new model.
        folder: The photos.
        old: Name of the collection that is copied.
        new: The collection that is filled.
        outputs: The model's outputs: that of the vectors, then that of the features, if any.
        discard: Delete also what was written into the new collection while it was served.
    """

    def __init__(
        self,
        index: IndexClient,
        client: Client,
        folder: PhotoFolder,
        *,
        old: str,
        new: Collection,
        outputs: Sequence[str],
        discard: bool = False,
    ) -> None:
        self._index = index
        self._client = client
        self._folder = folder
        self._old = old
        self.new = new
        self._outputs = outputs
        self._discard = discard

    def until_same(self, advance: Callable[[int], None]) -> Copied:
        """Copies until a pass finds nothing left to do.

        Args:
            advance: Is told of items done by the first pass.

        Raises:
            CommandError: The new collection alone has photos, or the old one changes too fast.
        """
        result = Copied()
        while result.passes < MOST_PASSES:
            first = not result.passes
            result.passes += 1
            result.began = time.time()
            done = self._copied()
            if not self._discard:
                self._check_loss(done)
            result.source, failures = {}, Failures()
            written = self._write(self._changed(done, result), failures, advance, first=first)
            gone = sorted(
                item_id
                for item_id in done.keys() - result.source.keys()
                if done[item_id] or self._discard
            )
            result.failures = _each_once(failures.items)
            # Copies of what the photo, or the listing, no longer is.
            stale = sorted(item_id for item_id in result.lacking if done.get(item_id))
            self._delete(gone + stale)
            result.written += written
            result.deleted += len(gone)
            if first:
                same = (done.get(item_id) == made for item_id, made in result.source.items())
                result.kept = sum(same)
                missing = sum(failure.reason == "NO_FILE" for failure in result.failures)
                advance(result.kept + missing)
            if not written and not gone:
                return result
        raise CommandError(
            f"{self._old} changes faster than it is copied; pause what writes to it, and try again"
        )

    def catch_up(self, before: Catalogue, lacking: Iterable[str]) -> Copied:
        """Brings over what the old collection got after the last pass, and nothing else.

        For after the switch, when the new collection has writes of its own: these are newer, and
        stay. May be repeated.

        Args:
            before: The old collection as it was at the last pass.
            lacking: Ids of the items that could not be copied then.
        """
        done = self._copied()
        copied = before.keys() - set(lacking)
        now: dict[str, str] = {}
        late: dict[str, _Source] = {}  # of an item that is listed twice the newest is the last
        for item in self._index.items(self._old, view=ItemView.VECTORS):
            made_from = now[item.id] = fingerprint(item)
            late.pop(item.id, None)
            deleted_there = item.id in copied and item.id not in done
            newer_there = not done.get(item.id, made_from)
            if before.get(item.id) != made_from != done.get(item.id) and not (
                deleted_there or newer_there
            ):
                late[item.id] = _Source(item, made_from)
        result, failures = Copied(passes=1, source=now), Failures()
        result.written = self._write(late.values(), failures, lambda _: None, first=False)
        gone = sorted(item_id for item_id in before.keys() - now.keys() if done.get(item_id))
        result.failures = failures.items
        self._delete(gone + sorted(result.lacking & done.keys()))
        result.deleted = len(gone)
        return result

    def add_features(self, advance: Callable[[int], None]) -> Copied:
        """Embeds again those items of the new collection that have no features.

        An item that somebody writes meanwhile stays as it was written.

        Args:
            advance: Is told of items done.
        """
        result, failures = Copied(passes=1), Failures()
        batch: list[tuple[Item, Item]] = []

        def flush() -> None:
            items = [after for before, after in batch if self._is_still(before)]
            if items:
                self._index.upsert(self.new.name, items)
            result.written += len(items)
            batch.clear()

        without = (
            _Source(item, item.attributes.get(REINDEXED_FROM, ""))
            for item in self._index.items(self.new.name, view=ItemView.VECTORS)
            if item.features is None
        )
        try:
            for source, outcome in self._embedded(without, failures):
                advance(1)
                if outcome is not None:
                    batch.append((source.item, self._item(source, outcome)))
                if len(batch) >= BATCH:
                    flush()
        finally:
            flush()
        result.failures = failures.items
        return result

    def _is_still(self, item: Item) -> bool:
        try:
            return fingerprint(self._index.get(self.new.name, item.id)) == fingerprint(item)
        except ItemNotFoundError:
            return False

    def _check_loss(self, done: Catalogue) -> None:
        """Raises CommandError if the new collection alone has photos that are no copies."""
        if not (own := {item_id for item_id, made_from in done.items() if not made_from}):
            return
        own -= {item.id for item in self._index.items(self._old, view=ItemView.IDS)}
        if own:
            raise CommandError(
                f"{self.new.name} was served before, and alone has {counted(len(own), 'photo')} "
                f"that came then, such as {min(own)}: ingest them again, or --discard deletes them"
            )

    def _copied(self) -> dict[str, str]:
        items = self._index.items(self.new.name)
        return {item.id: item.attributes.get(REINDEXED_FROM, "") for item in items}

    def _delete(self, item_ids: Sequence[str]) -> None:
        for start in range(0, len(item_ids), _MOST_DELETED):
            some = item_ids[start : start + _MOST_DELETED]
            self._index.delete(self.new.name, item_ids=some)

    def _changed(self, done: Catalogue, result: Copied) -> Iterator[_Source]:
        source: dict[str, str] = {}
        result.source = source
        for item in self._index.items(self._old, view=ItemView.VECTORS):
            source[item.id] = fingerprint(item)
            if done.get(item.id) != source[item.id]:
                yield _Source(item, source[item.id])

    def _write(
        self,
        sources: Iterable[_Source],
        failures: Failures,
        advance: Callable[[int], None],
        *,
        first: bool,
    ) -> int:
        """Embeds and writes; returns how many. Those without a photo are among the failures."""
        batch: dict[str, Item] = {}
        written = 0

        def flush() -> None:
            nonlocal written
            if batch:
                self._index.upsert(self.new.name, list(batch.values()))
                written += len(batch)
                batch.clear()

        try:
            for source, outcome in self._embedded(sources, failures):
                if first:
                    advance(1)
                if outcome is not None:
                    # Not the newest, maybe, where there are two; the next pass sees that.
                    batch[source.item.id] = self._item(source, outcome)
                if len(batch) >= BATCH:
                    flush()
        finally:
            flush()  # also on Ctrl-C: what is embedded is kept
        return written

    def _embedded(
        self, sources: Iterable[_Source], failures: Failures
    ) -> Iterator[tuple[_Source, Embedding | None]]:
        """Yields each item with its embedding; None where it failed."""

        def photos() -> Iterator[tuple[_Source, Path]]:
            for source in sources:
                item_id = source.item.id
                path = self._folder.find(item_id)
                if path is None:
                    name = self._folder.folder / f"{item_id}.jpg"
                    failures.items.append(Failure(item_id, "NO_FILE", f"{name}: no such file"))
                    continue
                yield source, path

        for source, outcome in self._client.embed_many(photos(), outputs=list(self._outputs)):
            if isinstance(outcome, Exception):
                failures.add(source.item.id, outcome)
                yield source, None
            else:
                failures.succeeded()
                yield source, outcome

    def _item(self, source: _Source, embedding: Embedding) -> Item:
        if embedding.embedding_space != self.new.embedding_space:
            raise CommandError(
                f"the embedder changed its model to {embedding.embedding_space} meanwhile; "
                "start again"
            )
        vector, *features = (embedding.outputs[name] for name in self._outputs)
        made_from = {REINDEXED_FROM: source.made_from} if source.made_from else {}
        return replace(
            source.item,
            vector=Embedding(vector, embedding.embedding_space),
            features=features[0] if features else None,
            attributes={**source.item.attributes, **made_from},
        )


def fingerprint(item: Item) -> str:
    """Returns what changes when a listing is written anew with another text or another photo.

    Another photo has another vector, by the model that the old collection is of. Copies of earlier
    releases carry the digest of the index's own message, so it stays that.
    """
    attributes = {**item.attributes}
    attributes.pop(REINDEXED_FROM, None)
    plain = item_message(replace(item, attributes=attributes))
    return hashlib.sha256(plain.SerializeToString(deterministic=True)).hexdigest()[:32]


def _each_once(failures: Sequence[Failure]) -> list[Failure]:
    return list({failure.id: failure for failure in failures}.values())

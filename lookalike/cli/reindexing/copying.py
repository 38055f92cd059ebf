"""Fills a new collection with the old one's items, each embedded anew.

Each copied item tells what it was made from, so a copy that was interrupted goes on, and passes
over both collections find what was written, changed or deleted meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from lookalike.cli.console import CommandError
from lookalike.cli.failing import Failures
from lookalike.cli.files import Failure
from lookalike.cli.photo_files import PhotoFolder
from lookalike.cli.reindexing.index import MADE_FROM, Index, fingerprint
from lookalike.index.v1 import index_pb2 as pb

if TYPE_CHECKING:
    from lookalike.client import Client, Embedding

BATCH = 200
MOST_PASSES = 20

Catalogue: TypeAlias = Mapping[str, str]
"""The fingerprint of each item, by id."""


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
    """

    written: int = 0
    kept: int = 0
    deleted: int = 0
    passes: int = 0
    failures: list[Failure] = field(default_factory=list)
    source: Catalogue = field(default_factory=dict)


class Copy:
    """From one collection into another.

    Args:
        index: Where both are.
        client: Knows the embedders of the new model.
        folder: The photos.
        old: Name of the collection that is copied.
        new: The collection that is filled.
        outputs: The model's outputs: that of the vectors, then that of the features, if any.
    """

    def __init__(
        self,
        index: Index,
        client: Client,
        folder: PhotoFolder,
        *,
        old: str,
        new: pb.Collection,
        outputs: Sequence[str],
    ) -> None:
        self._index = index
        self._client = client
        self._folder = folder
        self._old = old
        self._new = new
        self._outputs = outputs

    def until_same(self, advance: Callable[[int], None]) -> Copied:
        """Copies until a pass finds nothing left to do.

        Args:
            advance: Is told of items done by the first pass.
        """
        result = Copied()
        while result.passes < MOST_PASSES:
            first = not result.passes
            result.passes += 1
            done = self._copied()
            result.source, failures = {}, Failures()
            written = self._write(self._changed(done, result), failures, advance, first=first)
            gone = sorted(done.keys() - result.source.keys())
            self._index.delete(self._new.name, gone)
            result.written += written
            result.deleted += len(gone)
            result.failures = failures.items
            if first:
                result.kept = len(result.source) - written - len(failures.items)
                missing = sum(failure.reason == "NO_FILE" for failure in failures.items)
                advance(result.kept + missing)
            if not written and not gone:
                return result
        raise CommandError(
            f"{self._old} changes faster than it is copied; pause what writes to it, and try again"
        )

    def catch_up(self, before: Catalogue) -> Copied:
        """Brings over what the old collection got after the last pass, and nothing else.

        For after the switch, when the new collection has writes of its own.
        """
        now: dict[str, str] = {}
        result = Copied(passes=1, source=now)
        failures = Failures()

        def changed() -> Iterator[tuple[pb.Item, str]]:
            for item in self._index.items(self._old, pb.ITEM_VIEW_VECTORS):
                now[item.id] = fingerprint(item)
                if before.get(item.id) != now[item.id]:
                    yield item, now[item.id]

        result.written = self._write(changed(), failures, lambda _: None, first=False)
        gone = sorted(before.keys() - now.keys())
        self._index.delete(self._new.name, gone)
        result.deleted = len(gone)
        result.failures = failures.items
        return result

    def _copied(self) -> dict[str, str]:
        items = self._index.items(self._new.name, pb.ITEM_VIEW_FULL)
        return {item.id: item.attributes.get(MADE_FROM, "") for item in items}

    def _changed(self, done: Catalogue, result: Copied) -> Iterator[tuple[pb.Item, str]]:
        source: dict[str, str] = {}
        result.source = source
        for item in self._index.items(self._old, pb.ITEM_VIEW_VECTORS):
            source[item.id] = fingerprint(item)
            if done.get(item.id) != source[item.id]:
                yield item, source[item.id]

    def _write(
        self,
        items: Iterator[tuple[pb.Item, str]],
        failures: Failures,
        advance: Callable[[int], None],
        *,
        first: bool,
    ) -> int:
        """Embeds and writes; returns how many. Those without a photo are among the failures."""
        batch: list[pb.Item] = []
        written = 0

        def flush() -> None:
            nonlocal written
            if batch:
                self._index.upsert(self._new.name, batch)
                written += len(batch)
                batch.clear()

        try:
            for item, outcome in self._embedded(items, failures):
                if first:
                    advance(1)
                if outcome is not None:
                    batch.append(self._item(item, outcome))
                if len(batch) >= BATCH:
                    flush()
        finally:
            flush()  # also on Ctrl-C: what is embedded is kept
        return written

    def _embedded(
        self, items: Iterator[tuple[pb.Item, str]], failures: Failures
    ) -> Iterator[tuple[pb.Item, Embedding | None]]:
        """Yields each item with its embedding; None where it failed."""
        waiting: dict[str, pb.Item] = {}

        def photos() -> Iterator[tuple[str, Path]]:
            for item, made_from in items:
                path = self._folder.find(item.id)
                if path is None:
                    name = self._folder.folder / f"{item.id}.jpg"
                    failures.items.append(Failure(item.id, "NO_FILE", f"{name}: no such file"))
                    continue
                item.attributes[MADE_FROM] = made_from
                waiting[item.id] = item
                yield item.id, path

        for item_id, outcome in self._client.embed_many(photos(), outputs=list(self._outputs)):
            item = waiting.pop(item_id)
            if isinstance(outcome, Exception):
                failures.add(item_id, outcome)
                yield item, None
            else:
                failures.succeeded()
                yield item, outcome

    def _item(self, item: pb.Item, embedding: Embedding) -> pb.Item:
        if embedding.embedding_space != self._new.embedding_space:
            raise CommandError(
                f"the embedder changed its model to {embedding.embedding_space} meanwhile; "
                "start again"
            )
        vectors = [embedding.outputs[name].tolist() for name in self._outputs]
        item.vector.Clear()
        item.vector.values.extend(vectors[0])
        item.vector.embedding_space = embedding.embedding_space
        del item.features[:]
        if len(vectors) > 1:
            item.features.extend(vectors[1])
        return item

"""Calls Milvus: time limits, and what a read must have seen.

Knows neither what the rows mean nor what is searched for.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pymilvus import MilvusClient

from index_service.milvus import schema
from index_service.milvus.errors import NotLoadedError, ours
from index_service.milvus.expressions import ID, one_of
from index_service.records import Collection, Matrix
from lookalike.errors import CollectionNotFoundError, IndexRecoveringError, NotSupportedError

MAX_ROWS = 16_384
"""What one query or search of Milvus returns at most."""

# A time in Milvus: milliseconds, and 18 bits to count within one.
_TIME_BITS = 18
# Writes are seen after about 0.2 s. A read waits if what it would see is older than this.
_MAX_STALENESS = 2_000 << _TIME_BITS
_RETRY_AFTER_MS = 1_000
_ROWS_AT_ONCE = 250  # of 64 KiB at most, and of long vectors
_HNSW = {"M": 16, "efConstruction": 200}


@dataclass(frozen=True, slots=True)
class MilvusSettings:
    """Where Milvus is and how it is used.

    Attributes:
        uri: Such as `http://milvus:19530`, or a file for milvus-lite.
        token: `user:password` or an API key; empty for none.
        database: Database of Milvus that holds our collections, and none of others.
        index: Index of new collections, `FLAT` or `HNSW`.
        search_effort: `ef` of HNSW.
        strong: Whether every read waits for all writes before it. Else every write waits until
            reads see it: enough while collections have one replica, as we create them.
        timeout_s: How long a call may take.
        max_batch_bytes: The largest batch. One of Milvus's messages must hold it.
        threads: How many reads run at once.
        waiting: How many more calls may wait.
    """

    uri: str
    token: str = ""
    database: str = "default"
    index: str = "FLAT"
    search_effort: int = 128
    strong: bool = False
    timeout_s: float = 10.0
    max_batch_bytes: int = 4 << 20
    threads: int = 16
    waiting: int = 256


@dataclass(frozen=True, slots=True)
class Kept:
    """A collection as Milvus keeps it."""

    collection: Collection
    index: str
    since: int  # a position before those of all rows, if clocks agree
    aliases: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its name in Milvus."""
        return schema.milvus_name(self.collection.name)

    @property
    def exact(self) -> bool:
        """Whether every search compares all candidates."""
        return self.index == "FLAT"


class MilvusConnection:
    """A client of Milvus for many threads; connects with the first call."""

    def __init__(self, settings: MilvusSettings) -> None:
        self.settings = settings
        self._connecting = threading.Lock()
        self._connected: Any = None
        self._seen: dict[str, int] = {}
        self._counting = threading.Lock()
        self._counted = 0

    def close(self) -> None:
        """Ends the connection."""
        if self._connected is not None:
            self._connected.close()
            self._connected = None

    # -- times ------------------------------------------------------------------------------------

    def now(self) -> int:
        """Returns a number above those of all writes acknowledged so far, by Milvus's clock."""
        return self._call("alloc_timestamp", raw=True) or self._own_now()

    def read_point(self, kept: Kept, min_seq: int = 0) -> int:
        """Returns the time that a read must have seen: its `applied_seq`.

        Raises:
            IndexRecoveringError: `min_seq` lies further ahead than a call may wait.
        """
        now = self.now()
        ahead_ms = (min_seq - now) >> _TIME_BITS
        if ahead_ms > self.settings.timeout_s * 1000:
            raise IndexRecoveringError(
                f"min_seq {min_seq} is {ahead_ms} ms ahead of the index; no write has had it yet",
                field="min_seq",
                retry_after_ms=_RETRY_AFTER_MS,
            )
        point = (
            now if self.settings.strong else max(self._seen.get(kept.name, 0), now - _MAX_STALENESS)
        )
        return max(point, min_seq)

    def wait_until_seen(self, kept: Kept, seq: int) -> None:
        """Returns when reads see a write, whoever reads, where not every read waits itself."""
        if not self.settings.strong and self._seen.get(kept.name, 0) < seq:
            self.query(kept, one_of(ID, [""]), [ID], seq, limit=1)
            self._seen[kept.name] = max(self._seen.get(kept.name, 0), seq)

    def _own_now(self) -> int:
        # milvus-lite has no clock to ask, and one process: its own will do.
        with self._counting:
            self._counted = max(self._counted + 1, time.time_ns() // 1_000_000 << _TIME_BITS)
            return self._counted

    # -- rows -------------------------------------------------------------------------------------

    def upsert(self, kept: Kept, rows: Sequence[Mapping[str, Any]]) -> int:
        """Writes rows and returns the write's number."""
        done = self._call("upsert_rows", kept.name, list(rows), raw=True)
        return int(done.timestamp) or self.now()

    def delete(self, kept: Kept, condition: str) -> int:
        """Deletes rows and returns the write's number."""
        done = self._call("delete", collection_name=kept.name, expression=condition, raw=True)
        return int(done.timestamp) or self.now()

    def query(
        self, kept: Kept, condition: str, fields: Sequence[str], point: int, limit: int = MAX_ROWS
    ) -> list[dict[str, Any]]:
        """Returns at most `limit` rows for which the condition holds, in any order."""
        return list(
            self._loaded(
                kept, "query", kept.name, condition, list(fields), limit=limit, **_seen(point)
            )
        )

    def named(
        self, kept: Kept, ids: Sequence[str], fields: Sequence[str], point: int
    ) -> dict[str, dict[str, Any]]:
        """Returns the rows of ids, by id, those that there are."""
        unique = list(dict.fromkeys(ids))
        found: dict[str, dict[str, Any]] = {}
        for i in range(0, len(unique), _ROWS_AT_ONCE):
            condition = one_of(ID, unique[i : i + _ROWS_AT_ONCE])
            found.update({row[ID]: row for row in self.query(kept, condition, fields, point)})
        return found

    def count(self, kept: Kept, condition: str, point: int) -> int:
        """Returns for how many rows the condition holds."""
        found = self._loaded(kept, "query", kept.name, condition, ["count(*)"], **_seen(point))
        return int(found[0]["count(*)"])

    def search(
        self,
        kept: Kept,
        vectors: Matrix,
        condition: str,
        fields: Sequence[str],
        *,
        point: int,
        limit: int,
        bounds: Mapping[str, float] | None = None,
    ) -> list[list[dict[str, Any]]]:
        """Returns the rows nearest to each vector, as dicts with `distance` as Milvus has it.

        Args:
            kept: Where to search.
            vectors: Shape (n, dimension).
            condition: Which rows count.
            fields: What to return of them.
            point: What the search must have seen.
            limit: How many rows.
            bounds: Milvus's `radius` and `range_filter`.
        """
        params = dict(bounds or {})
        if kept.index == "HNSW":
            params["ef"] = max(limit, self.settings.search_effort)
        found = self._loaded(
            kept,
            "search",
            kept.name,
            data=list(vectors),
            anns_field=schema.VECTOR,
            filter=condition,
            limit=limit,
            output_fields=list(fields),
            search_params={
                "metric_type": schema.METRICS[kept.collection.metric],
                "params": params,
            },
            **_seen(point),
        )
        return [
            [{**hit["entity"], ID: hit["id"], "distance": hit["distance"]} for hit in hits]
            for hits in found
        ]

    # -- collections ------------------------------------------------------------------------------

    def find(self, name: str) -> Kept | None:
        """Returns the collection of a name or alias; None if there is none, or it is not ours."""
        try:
            described = self._call("describe_collection", schema.milvus_name(name))
        except CollectionNotFoundError:
            return None
        if (found := schema.collection_of(described.get("properties") or {})) is None:
            return None
        aliases = described.get("aliases") or self._aliases(described["collection_name"])
        return Kept(*found, tuple(sorted(map(schema.our_name, aliases))))

    def kept(self, name: str) -> Kept:
        """The same; raises CollectionNotFoundError."""
        if (found := self.find(name)) is None:
            raise CollectionNotFoundError(
                f"there is no collection '{name}'", resource=("collection", name)
            )
        return found

    def names(self) -> list[str]:
        """Returns the names of all collections, also those that are not ours."""
        return sorted(map(schema.our_name, self._call("list_collections")))

    def create(self, collection: Collection) -> None:
        """Creates a collection and makes it ready to be searched."""
        name = schema.milvus_name(collection.name)
        self._call(
            "create_collection",
            name,
            schema=schema.schema(collection),
            num_shards=1,  # what one write does is then in one log, and seen at once
            consistency_level="Strong",
            properties=schema.properties(collection, self.settings.index),
        )
        self._make_ready(Kept(collection, self.settings.index, 0))

    def drop(self, kept: Kept) -> None:
        """Deletes a collection."""
        self._call("drop_collection", kept.name)

    def set_alias(self, name: str, kept: Kept, *, exists: bool) -> None:
        """Lets an alias lead to the collection."""
        self._call("alter_alias" if exists else "create_alias", kept.name, schema.milvus_name(name))

    def drop_alias(self, name: str) -> None:
        """Deletes an alias."""
        self._call("drop_alias", schema.milvus_name(name))

    def rows_in_graph(self, kept: Kept) -> int:
        """Returns how many rows are in a graph."""
        if kept.exact:
            return 0
        described = self._call("describe_index", kept.name, schema.VECTOR)
        return int(described.get("indexed_rows", 0))

    def _aliases(self, milvus_name: str) -> Sequence[str]:
        # Servers before 2.4 tell the aliases with the collection, milvus-lite only on request.
        try:
            return list(self._call("list_aliases", milvus_name)["aliases"])
        except NotSupportedError:
            return ()

    def _make_ready(self, kept: Kept) -> None:
        index = MilvusClient.prepare_index_params()
        index.add_index(
            schema.VECTOR,
            index_type=kept.index,
            metric_type=schema.METRICS[kept.collection.metric],
            params=_HNSW if kept.index == "HNSW" else {},
        )
        self._call("create_index", kept.name, index)
        self._call("load_collection", kept.name)

    # -- calls ------------------------------------------------------------------------------------

    def _loaded(self, kept: Kept, method: str, *args: Any, **kwargs: Any) -> Any:
        try:
            return self._call(method, *args, **kwargs)
        except NotLoadedError:
            # Whoever created it did not get to this, or somebody released it.
            self._make_ready(kept)
            return self._call(method, *args, **kwargs)

    def _call(self, method: str, *args: Any, raw: bool = False, **kwargs: Any) -> Any:
        # `raw` calls the layer under MilvusClient, which throws the times of writes away.
        client = self._client()
        target = client._get_connection() if raw else client
        try:
            return getattr(target, method)(*args, timeout=self.settings.timeout_s, **kwargs)
        except Exception as error:
            raise ours(error, method, self.settings.timeout_s) from error

    def _client(self) -> Any:
        with self._connecting:
            if self._connected is None:
                # It logs every error that it also raises, in a format of its own.
                logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
                try:
                    self._connected = MilvusClient(
                        self.settings.uri,
                        token=self.settings.token,
                        db_name=self.settings.database,
                        timeout=self.settings.timeout_s,
                    )
                except Exception as error:
                    raise ours(error, "connect", self.settings.timeout_s) from error
            return self._connected


def _seen(point: int) -> dict[str, Any]:
    return {"consistency_level": "Customized", "guarantee_timestamp": max(point, 1)}

"""Calls Milvus, with time limits and the writes that a read must have seen."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pymilvus import MilvusClient

from index_service.milvus import schema
from index_service.milvus.errors import NotLoadedError, translated
from index_service.milvus.expressions import ID, one_of
from index_service.records import Collection, Matrix
from index_service.refusals import collection_not_found
from lookalike.errors import CollectionNotFoundError, IndexRecoveringError, NotSupportedError

MAX_ROWS = 16_384
"""The most rows that one query or search of Milvus returns."""

# A timestamp of Milvus has milliseconds, and 18 bits to count within one.
_TIME_BITS = 18
# Writes are seen after about 0.2 s. A read waits if it would see a state older than this.
_MAX_STALENESS = 2_000 << _TIME_BITS
_RETRY_AFTER_MS = 1_000
_ROWS_AT_ONCE = 250  # rows may have 64 KiB, and long vectors
_HNSW = {"M": 16, "efConstruction": 200}


@dataclass(frozen=True, slots=True)
class MilvusSettings:
    """Where Milvus is and how it is used.

    Attributes:
        uri: Such as `http://milvus:19530`, or a file for milvus-lite.
        token: `user:password` or an API key; empty for none.
        database: Database of Milvus, for the collections of this index alone.
        index: Index of new collections, `FLAT` or `HNSW`.
        ef_search: `ef` of HNSW.
        strong: Whether every read waits for all writes before it. Otherwise every write waits until
            reads see it, which is enough while collections have one replica, as created here.
        timeout_s: How long a call may take.
        max_batch_bytes: The largest batch. One of Milvus's messages must hold it.
        threads: How many reads run at once.
        waiting: How many more calls may wait.
    """

    uri: str
    token: str = ""
    database: str = "default"
    index: str = "FLAT"
    ef_search: int = 128
    strong: bool = False
    timeout_s: float = 10.0
    max_batch_bytes: int = 4 << 20
    threads: int = 16
    waiting: int = 256


@dataclass(frozen=True, slots=True)
class StoredCollection:
    """A collection as it is in Milvus."""

    collection: Collection
    index: str
    since: int  # a position before those of all rows, if clocks agree
    aliases: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name in Milvus."""
        return schema.milvus_name(self.collection.name)

    @property
    def exact(self) -> bool:
        """Whether every search compares all rows."""
        return self.index == "FLAT"


class MilvusConnection:
    """A thread-safe client of Milvus; connects with the first call."""

    def __init__(self, settings: MilvusSettings) -> None:
        self.settings = settings
        self._connecting = threading.Lock()
        self._connected: Any = None
        self._seen: dict[str, int] = {}
        self._counting = threading.Lock()
        self._counted = 0

    def close(self) -> None:
        """Closes the connection."""
        if self._connected is not None:
            self._connected.close()
            self._connected = None

    def now(self) -> int:
        """Returns a timestamp above those of all acknowledged writes, by Milvus's clock."""
        return self._call("alloc_timestamp", raw=True) or self._own_now()

    def read_timestamp(self, stored: StoredCollection, min_seq: int = 0) -> int:
        """Returns the timestamp of the writes that a read must have seen: its `applied_seq`.

        Raises:
            IndexRecoveringError: `min_seq` is further ahead than a call may wait.
        """
        now = self.now()
        ahead_ms = (min_seq - now) >> _TIME_BITS
        if ahead_ms > self.settings.timeout_s * 1000:
            raise IndexRecoveringError(
                f"min_seq {min_seq} is {ahead_ms} ms ahead of the index; no write has had it yet",
                field="min_seq",
                retry_after_ms=_RETRY_AFTER_MS,
            )
        read_ts = (
            now
            if self.settings.strong
            else max(self._seen.get(stored.name, 0), now - _MAX_STALENESS)
        )
        return max(read_ts, min_seq)

    def wait_until_seen(self, stored: StoredCollection, seq: int) -> None:
        """Waits until all reads see a write, unless every read waits for that itself."""
        if not self.settings.strong and self._seen.get(stored.name, 0) < seq:
            self.query(stored, one_of(ID, [""]), [ID], seq, limit=1)
            self._seen[stored.name] = max(self._seen.get(stored.name, 0), seq)

    def _own_now(self) -> int:
        # milvus-lite has no clock to ask, but a single process, whose own clock will do.
        with self._counting:
            self._counted = max(self._counted + 1, time.time_ns() // 1_000_000 << _TIME_BITS)
            return self._counted

    def upsert(self, stored: StoredCollection, rows: Sequence[Mapping[str, Any]]) -> int:
        """Writes rows and returns the write's number."""
        done = self._call("upsert_rows", stored.name, list(rows), raw=True)
        return int(done.timestamp) or self.now()

    def delete(self, stored: StoredCollection, condition: str) -> int:
        """Deletes rows and returns the write's number."""
        done = self._call("delete", collection_name=stored.name, expression=condition, raw=True)
        return int(done.timestamp) or self.now()

    def query(
        self,
        stored: StoredCollection,
        condition: str,
        fields: Sequence[str],
        read_ts: int,
        limit: int = MAX_ROWS,
    ) -> list[dict[str, Any]]:
        """Returns at most `limit` rows that fulfil the condition, in any order."""
        return list(
            self._loaded(
                stored,
                "query",
                stored.name,
                condition,
                list(fields),
                limit=limit,
                **_consistency(read_ts),
            )
        )

    def named(
        self, stored: StoredCollection, ids: Sequence[str], fields: Sequence[str], read_ts: int
    ) -> dict[str, dict[str, Any]]:
        """Returns the rows that exist of some ids, by id."""
        unique = list(dict.fromkeys(ids))
        found: dict[str, dict[str, Any]] = {}
        for i in range(0, len(unique), _ROWS_AT_ONCE):
            condition = one_of(ID, unique[i : i + _ROWS_AT_ONCE])
            found.update({row[ID]: row for row in self.query(stored, condition, fields, read_ts)})
        return found

    def count(self, stored: StoredCollection, condition: str, read_ts: int) -> int:
        """Counts the rows that fulfil the condition."""
        found = self._loaded(
            stored, "query", stored.name, condition, ["count(*)"], **_consistency(read_ts)
        )
        return int(found[0]["count(*)"])

    def search(
        self,
        stored: StoredCollection,
        vectors: Matrix,
        condition: str,
        fields: Sequence[str],
        *,
        read_ts: int,
        limit: int,
        bounds: Mapping[str, float] | None = None,
    ) -> list[list[dict[str, Any]]]:
        """Returns the rows nearest to each vector, as dicts with Milvus's score as `distance`.

        Args:
            stored: Where to search.
            vectors: Shape (n, dimension).
            condition: What rows must fulfil.
            fields: What to return of them.
            read_ts: Timestamp of the writes that the search must have seen.
            limit: How many rows.
            bounds: Milvus's `radius` and `range_filter`.
        """
        params = dict(bounds or {})
        if stored.index == "HNSW":
            params["ef"] = max(limit, self.settings.ef_search)
        found = self._loaded(
            stored,
            "search",
            stored.name,
            data=list(vectors),
            anns_field=schema.VECTOR,
            filter=condition,
            limit=limit,
            output_fields=list(fields),
            search_params={
                "metric_type": schema.METRICS[stored.collection.metric],
                "params": params,
            },
            **_consistency(read_ts),
        )
        return [
            [{**hit["entity"], ID: hit["id"], "distance": hit["distance"]} for hit in hits]
            for hits in found
        ]

    def find(self, name: str) -> StoredCollection | None:
        """Returns the collection of a name or alias; None if there is none of this service."""
        try:
            described = self._call("describe_collection", schema.milvus_name(name))
        except CollectionNotFoundError:
            return None
        if (found := schema.collection_of(described.get("properties") or {})) is None:
            return None
        aliases = described.get("aliases") or self._aliases(described["collection_name"])
        return StoredCollection(*found, tuple(sorted(map(schema.our_name, aliases))))

    def collection(self, name: str) -> StoredCollection:
        """Returns the collection of a name or alias; raises CollectionNotFoundError."""
        if (found := self.find(name)) is None:
            raise collection_not_found(name)
        return found

    def names(self) -> list[str]:
        """Returns the names of all collections, including those of other applications."""
        return sorted(map(schema.our_name, self._call("list_collections")))

    def create(self, collection: Collection) -> None:
        """Creates a collection and makes it ready to be searched."""
        name = schema.milvus_name(collection.name)
        self._call(
            "create_collection",
            name,
            schema=schema.schema(collection),
            num_shards=1,  # a write is then in one log, and seen as a whole
            consistency_level="Strong",
            properties=schema.properties(collection, self.settings.index),
        )
        self._make_ready(StoredCollection(collection, self.settings.index, 0))

    def drop(self, stored: StoredCollection) -> None:
        """Deletes a collection."""
        self._call("drop_collection", stored.name)

    def set_alias(self, name: str, stored: StoredCollection, *, exists: bool) -> None:
        """Points an alias at the collection."""
        self._call(
            "alter_alias" if exists else "create_alias", stored.name, schema.milvus_name(name)
        )

    def drop_alias(self, name: str) -> None:
        """Deletes an alias."""
        self._call("drop_alias", schema.milvus_name(name))

    def rows_in_graph(self, stored: StoredCollection) -> int:
        """Returns how many rows are in a graph."""
        if stored.exact:
            return 0
        described = self._call("describe_index", stored.name, schema.VECTOR)
        return int(described.get("indexed_rows", 0))

    def _aliases(self, milvus_name: str) -> Sequence[str]:
        # Servers before 2.4 send the aliases with the collection, milvus-lite only on request.
        try:
            return list(self._call("list_aliases", milvus_name)["aliases"])
        except NotSupportedError:
            return ()

    def _make_ready(self, stored: StoredCollection) -> None:
        index = MilvusClient.prepare_index_params()
        index.add_index(
            schema.VECTOR,
            index_type=stored.index,
            metric_type=schema.METRICS[stored.collection.metric],
            params=_HNSW if stored.index == "HNSW" else {},
        )
        self._call("create_index", stored.name, index)
        self._call("load_collection", stored.name)

    def _loaded(self, stored: StoredCollection, method: str, *args: Any, **kwargs: Any) -> Any:
        try:
            return self._call(method, *args, **kwargs)
        except NotLoadedError:
            # Its creation was interrupted before this step, or another client released it.
            self._make_ready(stored)
            return self._call(method, *args, **kwargs)

    def _call(self, method: str, *args: Any, raw: bool = False, **kwargs: Any) -> Any:
        # `raw` calls the layer below MilvusClient, which discards the timestamps of writes.
        client = self._client()
        target = client._get_connection() if raw else client
        try:
            return getattr(target, method)(*args, timeout=self.settings.timeout_s, **kwargs)
        except Exception as error:
            raise translated(error, method, self.settings.timeout_s) from error

    def _client(self) -> Any:
        with self._connecting:
            if self._connected is None:
                # It logs every error that it also raises, in its own format.
                logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
                try:
                    self._connected = MilvusClient(
                        self.settings.uri,
                        token=self.settings.token,
                        db_name=self.settings.database,
                        timeout=self.settings.timeout_s,
                    )
                except Exception as error:
                    raise translated(error, "connect", self.settings.timeout_s) from error
            return self._connected


def _consistency(read_ts: int) -> dict[str, Any]:
    return {"consistency_level": "Customized", "guarantee_timestamp": max(read_ts, 1)}

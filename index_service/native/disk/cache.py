"""Saves the state in memory to disk, so that start-up need not read every row of the store.

The directory is written atomically, and each file is verified before use (see `directories.py`). It
can always be rebuilt from the store, so a faulty cache costs time and nothing else.

    cache/
      manifest.json           format, seq, next_key, collections with their segments, files
      <collection>-<segment>-<column>.bin    (none for a column without bytes)
      <collection>-<segment>.graph
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from index_service.native.disk.directories import (
    MANIFEST,
    DirectoryError,
    read_manifest,
    replace_directory,
    write_file,
)
from index_service.native.memory import graph
from index_service.native.memory.columns import Codes, Rows, blank
from index_service.native.memory.segments import EMPTY_BITS, Segment, Segments
from index_service.native.memory.state import CollectionSnapshot, State
from index_service.records import Collection

__all__ = ["Cached", "Path", "load", "save"]

logger = logging.getLogger(__name__)

_FORMAT = 2


@dataclass(frozen=True)
class Cached:
    """Collections by key, as they were after write `seq`; all keys are below `next_key`."""

    seq: int
    next_key: int
    collections: Mapping[int, CollectionSnapshot]


def save(directory: Path, state: State) -> None:
    """Replaces the cache; raises OSError, and leaves the old one, if that fails."""
    with replace_directory(directory) as (folder, files):
        collections: list[dict[str, Any]] = []
        next_key = 1
        for snapshot in state.collections.values():
            segments: list[dict[str, Any]] = []
            for number, part in enumerate(snapshot.segments.parts):
                stem = f"{snapshot.key}-{number}"
                rows = part.live()  # with a graph dead rows are saved too, as they are in the graph
                if part.graph:
                    rows = part.rows.part(slice(part.size))
                    part.graph.save(folder / f"{stem}.graph")
                    files.add(folder / f"{stem}.graph")
                    write_file(folder / f"{stem}-dead.bin", part.dead[: part.size], files)
                for name, array in rows.arrays().items():
                    if array.nbytes:
                        write_file(folder / f"{stem}-{name}.bin", array, files)
                segments.append(
                    {
                        "rows": len(rows),
                        "graph": part.in_graph,
                        "longest": part.longest,
                        "features": rows.features.shape[1],
                    }
                )
                next_key = max(next_key, int(part.rows.keys[part.size - 1]) + 1 if part.size else 1)
            collections.append(
                {
                    "key": snapshot.key,
                    "effort": snapshot.ef_search,  # as format 2 calls it
                    "codes": [codes.values() for codes in snapshot.codes],
                    "segments": segments,
                }
            )
        files.manifest = {
            "format": _FORMAT,
            "seq": state.seq,
            "next_key": next_key,
            "collections": collections,
        }


def load(
    directory: Path, collections: Mapping[int, Collection], feature_bytes: int
) -> Cached | None:
    """Reads the cache of these collections; None if there is no valid cache.

    Args:
        directory: Directory of the cache.
        collections: The collections by key.
        feature_bytes: How much memory each collection's features may take; those beyond are left
            on disk. Segments that were saved without features stay without.
    """
    if not (directory / MANIFEST).exists():
        return None
    try:
        manifest = read_manifest(directory)
        if manifest.get("format") != _FORMAT:
            raise DirectoryError(f"{directory / MANIFEST} is of another release")
        loaded = {
            entry["key"]: _live(directory, collections[entry["key"]], entry, feature_bytes)
            for entry in manifest["collections"]
            if entry["key"] in collections
        }
        return Cached(manifest["seq"], manifest["next_key"], loaded)
    except Exception as error:  # whatever the fault, the store has everything
        logger.warning(
            "the cache is left aside; the store is read instead", extra={"error": str(error)}
        )
        return None


def _live(
    directory: Path, collection: Collection, entry: Mapping[str, Any], feature_bytes: int
) -> CollectionSnapshot:
    none = Segments(collection, feature_bytes=feature_bytes)
    parts: list[Segment] = []
    for number, segment in enumerate(entry["segments"]):
        fitting = segment if none.keeps_features(number) else {**segment, "features": 0}
        parts.append(_segment(directory, f"{entry['key']}-{number}", collection, fitting))
    codes = tuple(Codes(values) for values in entry["codes"])
    return CollectionSnapshot(
        entry["key"], replace(none, parts=tuple(parts)), codes, entry["effort"]
    )


def _segment(
    directory: Path, stem: str, collection: Collection, entry: Mapping[str, Any]
) -> Segment:
    count = entry["rows"]
    arrays = {
        name: _filled(array, directory / f"{stem}-{name}.bin")
        for name, array in blank(collection, count, entry["features"]).arrays().items()
    }
    codes = tuple(arrays.pop(f"codes{i}") for i in range(1 + len(collection.indexed_attributes)))
    rows = Rows(**arrays, codes=codes)
    if not entry["graph"]:
        dead = np.zeros(count, bool) if count else EMPTY_BITS
        return Segment(rows, count, dead, 0, entry["longest"])
    dead = np.fromfile(directory / f"{stem}-dead.bin", bool)
    loaded = graph.load(directory / f"{stem}.graph")
    if len(loaded) != entry["graph"] or len(dead) != count:
        raise DirectoryError(f"{directory / stem}.graph does not fit its segment")
    return Segment(rows, count, dead, int(dead.sum()), entry["longest"], loaded)


def _filled(array: npt.NDArray[Any], file: Path) -> npt.NDArray[Any]:
    return np.fromfile(file, array.dtype).reshape(array.shape) if array.nbytes else array

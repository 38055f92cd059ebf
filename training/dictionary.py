"""Writes vectors in the format of earlier systems: a JSON object from image id to numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq

from lookalike.files import read_json, replacing
from training.errors import TrainingError


def write_dictionary(vectors: Path, column: str, out: Path) -> None:
    """Writes one column of vectors by image id; keeps a file of the same content.

    Args:
        vectors: Output of `embed`, with a column image_id.
        column: The column of float32 lists to write.
        out: The JSON file: `{"<image id>": [0.25, …], …}`, in the order of the rows.
    """
    table = pq.read_table(vectors, columns=["image_id", column])
    pairs = zip(table["image_id"].to_pylist(), table[column].to_pylist(), strict=True)
    content = dict(pairs)
    if out.exists() and read_json(out, "vectors by image id") == content:
        return
    with replacing(out) as aside, aside.open("w", encoding="utf-8") as stream:
        json.dump(content, stream, ensure_ascii=False)
        stream.write("\n")


def check_replaceable(out: Path, vectors: Path) -> None:
    """Raises TrainingError unless `out` is free or a dictionary made from the vectors beside it.

    Its content alone does not tell our file from another system's, which may be the only copy.
    """
    if not out.exists():
        return
    try:
        found = json.loads(out.read_text("utf-8"))
    except (OSError, ValueError):
        found = None
    ours = isinstance(found, dict) and all(isinstance(value, list) for value in found.values())
    if not ours or not vectors.exists():
        raise TrainingError(
            f"{out}: is there already, and is not made by `embed` from {vectors.name} beside it; "
            "name another --out"
        )

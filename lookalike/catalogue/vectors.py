"""Vectors of photos on their way into Parquet: as text in a journal, then as a column."""

from __future__ import annotations

import base64
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def as_text(vector: NDArray[np.float32]) -> str:
    """Returns a vector as text of a quarter of the length that its digits would have."""
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()


def column_of(texts: Iterable[str], dimension: int) -> pa.Array:
    """Returns a column of float32 lists, from what `as_text` gave for each."""
    values = np.frombuffer(b"".join(map(base64.b64decode, texts)), "<f4")
    return pa.FixedSizeListArray.from_arrays(pa.array(values, pa.float32()), dimension)

"""An HNSW graph over a segment's first rows, which finds near rows without comparing all.

Hierarchical navigable small worlds (Malkov and Yashunin, 2016, arXiv:1603.09320), by FAISS.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
import numpy.typing as npt

from index_service.records import Matrix, Metric

FAISS_METRICS = {
    Metric.SQUARED_L2: faiss.METRIC_L2,
    Metric.COSINE: faiss.METRIC_INNER_PRODUCT,
    Metric.INNER_PRODUCT: faiss.METRIC_INNER_PRODUCT,
}
# Neighbours of a node (M): at 13 dimensions more of them cost memory and find nothing more.
_LINKS = 12
_EF_CONSTRUCTION = 40
_ADDED_AT_A_TIME = 10_000
MIN_EF_SEARCH = 48
MAX_EF_SEARCH = 1024


class Graph:
    """An HNSW graph; immutable.

    Args:
        index: The index of FAISS.
    """

    def __init__(self, index: faiss.Index) -> None:
        self._index = index

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def nbytes(self) -> int:
        """Size of its vectors and links in bytes."""
        return len(self) * (4 * self._index.d + 4 * 2 * _LINKS + 16)

    def nearest(self, queries: Matrix, width: int, ef_search: int) -> npt.NDArray[np.int64]:
        """Returns rows near each query, shape (n, width); -1 for no row.

        Args:
            queries: float32 (n, dimension), comparable.
            width: How many rows.
            ef_search: Size of the candidate list; raised to `width` if less.
        """
        # faiss's stubs lack it.
        parameters = faiss.SearchParametersHNSW(  # type: ignore[attr-defined]
            efSearch=max(ef_search, width)
        )
        _, rows = self._index.search(queries, width, params=parameters)
        found: npt.NDArray[np.int64] = rows
        return found

    def save(self, path: Path) -> None:
        """Writes the graph to a file."""
        faiss.write_index(self._index, str(path))

    def extended(
        self, vectors: Matrix, threads: int, given_up: Callable[[], bool] = lambda: False
    ) -> Graph | None:
        """Returns a copy extended by some vectors; None if given up.

        Args:
            vectors: float32 (n, dimension), comparable.
            threads: How many threads to use.
            given_up: Called every second or so; the extension stops if it returns True.
        """
        faiss.omp_set_num_threads(threads)  # applies to calls from this thread alone
        index = faiss.clone_index(self._index)
        for start in range(0, len(vectors), _ADDED_AT_A_TIME):
            if given_up():
                return None
            index.add(np.ascontiguousarray(vectors[start : start + _ADDED_AT_A_TIME]))
        return Graph(index)


def empty(dimension: int, metric: Metric) -> Graph:
    """Returns a graph of no vectors."""
    index = faiss.IndexHNSWFlat(dimension, _LINKS, FAISS_METRICS[metric])
    index.hnsw.efConstruction = _EF_CONSTRUCTION
    return Graph(index)


def load(path: Path) -> Graph:
    """Reads a graph that `save` wrote; the file must be trusted and verified."""
    return Graph(faiss.read_index(str(path)))

"""Vectors of photos in Parquet, so that an interrupted run goes on and a later one adds to it.

One row a photo: `id`, `vector` (the model's default output), a column for each other output that
was asked for, `embedding_space`, and `bytes` and `modified_ns`, by which a photo that has changed
since is known. While a run is not whole, its vectors are in the journal `<file>.journal`; the
end of the run writes them and what was in the file before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from lookalike.catalogue.photo_files import PhotoFile
from lookalike.cli.console import CommandError
from lookalike.files import replacing
from lookalike.journal import Journal

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

_ADVICE = "--restart embeds every photo anew"
_SPACE = "embedding_space"
_OUTPUTS = "outputs"


@dataclass(frozen=True)
class Layout:
    """What the rows of one file have in common.

    Attributes:
        embedding_space: The model's.
        outputs: Name and dimension of each output; the first is the column `vector`.
    """

    embedding_space: str
    outputs: Mapping[str, int]

    def column(self, output: str) -> str:
        """Returns the column that holds an output."""
        return "vector" if output == next(iter(self.outputs)) else output

    def facts(self) -> dict[str, str]:
        """Returns what must not change between two runs."""
        outputs = ", ".join(f"{name} ({size})" for name, size in self.outputs.items())
        return {_SPACE: self.embedding_space, _OUTPUTS: outputs}


class VectorsFile:
    """A Parquet file of vectors, and the journal of what is to come into it; a context manager.

    Args:
        out: The file.
        layout: What its rows are to be.
        restart: Forget what earlier runs did, but leave the file until the new one is whole. Until
            then this holds for later runs too: an interrupted one goes on.
    """

    def __init__(self, out: Path, layout: Layout, *, restart: bool = False) -> None:
        self.out = out
        self._layout = layout
        self._journal = Journal(
            out.with_name(out.name + ".journal"),
            "lookalike embed",
            layout.facts(),
            changed=_ADVICE,
            restart=restart,
        )
        self._kept: dict[str, str] = {}

    def __enter__(self) -> Self:
        """Finds out what earlier runs did.

        Raises:
            CommandError: The file is none of ours, or another model's.
            FileError: So is the journal, or it cannot be written.
        """
        self._journal.__enter__()
        try:
            if self._adds_to_file:
                table = self._read(["id", "bytes", "modified_ns"])
                self._kept = dict(zip(table["id"].to_pylist(), _contents(table), strict=True))
        except BaseException:
            self._journal.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Keeps what was added for the next run, unless `write` has written it."""
        self._journal.__exit__()

    def has(self, photo: PhotoFile) -> bool:
        """Says whether a photo was embedded, and has not changed since."""
        content = _content(photo.bytes, photo.modified_ns)
        return self._journal.has(photo.id, content) or self._kept.get(photo.id) == content

    def add(self, photo: PhotoFile, vectors: Mapping[str, NDArray[np.float32]]) -> None:
        """Keeps a photo's vectors, by output."""
        from lookalike.catalogue.vectors import as_text

        texts = {output: as_text(vectors[output]) for output in self._layout.outputs}
        self._journal.add(photo.id, _content(photo.bytes, photo.modified_ns), vectors=texts)

    def write(self, wanted: Iterable[PhotoFile], *, unseen: Iterable[str] = ()) -> int:
        """Writes the file from the journal and what it held; returns its number of photos.

        Args:
            wanted: Rows of other photos, or of what these once were, are left out.
            unseen: Folders that could not be read: rows of photos below them stay.
        """
        below = tuple(f"{folder}/" for folder in unseen)
        import pyarrow as pa
        import pyarrow.parquet as pq

        photos = {photo.id: photo for photo in wanted}
        contents = {id_: _content(each.bytes, each.modified_ns) for id_, each in photos.items()}
        new = {
            entry["id"]: entry.get("vectors", {})
            for entry in self._journal.entries()
            if contents.get(entry["id"]) == entry["content"]
        }
        try:
            tables = [self._table([photos[id_] for id_ in new], list(new.values()))]
        except (KeyError, TypeError, ValueError):
            raise CommandError(f"{self._journal.path}: is damaged; {_ADVICE}") from None
        if self._adds_to_file:
            tables.append(self._read())
        whole = pa.concat_tables(tables).combine_chunks()
        rows: dict[str, int] = {}
        ids = whole["id"].to_pylist()
        for row, (id_, content) in enumerate(zip(ids, _contents(whole), strict=True)):
            if contents.get(id_) == content or id_.startswith(below):
                rows.setdefault(id_, row)
        whole = whole.take(pa.array([rows[id_] for id_ in sorted(rows)], pa.int64()))
        with replacing(self.out) as aside:
            pq.write_table(whole, aside)
        self._journal.remove()
        return len(rows)

    @property
    def _adds_to_file(self) -> bool:
        return self.out.exists() and not self._journal.restarted

    def _read(self, columns: Sequence[str] | None = None) -> pa.Table:
        import pyarrow as pa
        import pyarrow.parquet as pq

        foreign = f"{self.out}: is there already, and is no file of `lookalike embed`"
        try:
            with pq.ParquetFile(self.out) as file:
                metadata: dict[bytes, bytes] = file.schema_arrow.metadata or {}
                if _SPACE.encode() not in metadata:
                    raise CommandError(f"{foreign}; choose another --out")
                self._check(metadata)
                return file.read(columns)
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, OSError) and error.strerror:
                raise CommandError(f"{self.out}: {error.strerror}") from None
            what = str(error).splitlines()[0]
            raise CommandError(f"{foreign}, or damaged ({what}); {_ADVICE} in its place") from None

    def _check(self, metadata: dict[bytes, bytes]) -> None:
        for name, mine in self._layout.facts().items():
            theirs = metadata.get(name.encode(), b"").decode()
            if theirs != mine:
                what = name.replace("_", " ")
                raise CommandError(
                    f"{self.out}: its {what} is {theirs}, the model's is {mine}; {_ADVICE}"
                )

    def _table(self, photos: Sequence[PhotoFile], vectors: Sequence[Mapping[str, str]]) -> pa.Table:
        import pyarrow as pa

        from lookalike.catalogue.vectors import column_of

        space = self._layout.embedding_space
        columns: dict[str, Any] = {"id": pa.array([photo.id for photo in photos], pa.string())}
        for output, size in self._layout.outputs.items():
            texts = (by_output[output] for by_output in vectors)
            columns[self._layout.column(output)] = column_of(texts, size)
        columns["embedding_space"] = pa.array([space] * len(photos), pa.string())
        columns["bytes"] = pa.array([photo.bytes for photo in photos], pa.int64())
        columns["modified_ns"] = pa.array([photo.modified_ns for photo in photos], pa.int64())
        return pa.table(columns).replace_schema_metadata(dict(self._layout.facts()))


def _content(size: int, modified_ns: int) -> str:
    return f"{size} {modified_ns}"


def _contents(table: pa.Table) -> Iterable[str]:
    return map(_content, table["bytes"].to_pylist(), table["modified_ns"].to_pylist())

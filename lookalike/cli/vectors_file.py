"""Vectors of photos in Parquet, written in parts so that an interrupted run goes on.

One row a photo: `id`, `vector` (the model's default output), a column for each other output that
was asked for, `embedding_space`, and `bytes` and `modified_ns`, by which a photo that has changed
since is known. While a run is not whole, its parts are in `<file>.parts/`, each written aside and
moved there; the end of the run merges them and what was in the file before.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lookalike.cli.console import CommandError
from lookalike.cli.files import replacing
from lookalike.cli.photo_files import PhotoFile

if TYPE_CHECKING:
    import pyarrow as pa

_SPACE = b"embedding_space"
_OUTPUTS = b"outputs"
_ANEW = ".anew"  # among the parts: nothing is taken over from the file


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


class VectorsFile:
    """A Parquet file of vectors and its parts.

    Args:
        out: The file.
        layout: What its rows are to be.
    """

    def __init__(self, out: Path, layout: Layout) -> None:
        self.out = out
        self.parts = out.with_name(out.name + ".parts")
        self._layout = layout
        self._rows: list[tuple[PhotoFile, Mapping[str, Sequence[float]]]] = []

    def restart(self) -> None:
        """Forgets what earlier runs did, but leaves the file until the new one is whole.

        Until then this holds for later runs too: an interrupted one goes on.
        """
        shutil.rmtree(self.parts, ignore_errors=True)
        self.parts.mkdir(parents=True)
        (self.parts / _ANEW).touch()

    def done(self) -> dict[str, tuple[int, int]]:
        """Returns size and time of each photo that earlier runs embedded, by id.

        Raises:
            CommandError: The file is none of ours, or another model's.
        """
        known: dict[str, tuple[int, int]] = {}
        for source in self._sources():
            table = self._read(source, ["id", "bytes", "modified_ns"])
            columns = (table[name].to_pylist() for name in ("id", "bytes", "modified_ns"))
            known.update({key: (size, time) for key, size, time in zip(*columns, strict=True)})
        return known

    def add(self, photo: PhotoFile, vectors: Mapping[str, Sequence[float]]) -> None:
        """Keeps a photo's vectors in memory until `flush`."""
        self._rows.append((photo, vectors))

    @property
    def waiting(self) -> int:
        """Photos added since the last `flush`."""
        return len(self._rows)

    def flush(self) -> None:
        """Writes what was added as a part."""
        import pyarrow.parquet as pq

        if not self._rows:
            return
        with replacing(self.parts / f"{uuid.uuid4().hex}.parquet") as aside:
            pq.write_table(self._table(), aside)
        self._rows.clear()

    def merge(self, wanted: Iterable[PhotoFile]) -> int:
        """Writes the file from its parts and what it held; returns its number of photos.

        Args:
            wanted: Rows of other photos, or of what these once were, are left out.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.flush()
        facts = {photo.id: (photo.bytes, photo.modified_ns) for photo in wanted}
        tables = [self._read(source) for source in self._sources()]
        whole = pa.concat_tables([*tables, self._table()]).combine_chunks()
        columns = (whole[name].to_pylist() for name in ("id", "bytes", "modified_ns"))
        rows = {
            key: row
            for row, (key, *now) in enumerate(zip(*columns, strict=True))
            if facts.get(key) == tuple(now)
        }
        whole = whole.take(pa.array([rows[key] for key in sorted(rows)], pa.int64()))
        with replacing(self.out) as aside:
            pq.write_table(whole, aside)
        shutil.rmtree(self.parts, ignore_errors=True)
        return len(rows)

    def _sources(self) -> list[Path]:
        file_too = self.out.exists() and not (self.parts / _ANEW).exists()
        parts = self.parts.glob("[!.]*.parquet") if self.parts.is_dir() else ()
        newest_last = sorted(parts, key=lambda part: part.stat().st_mtime_ns)
        return [*([self.out] if file_too else []), *newest_last]

    def _read(self, source: Path, columns: Sequence[str] | None = None) -> pa.Table:
        import pyarrow as pa
        import pyarrow.parquet as pq

        foreign = f"{source}: is there already, and is no file of `lookalike embed`"
        try:
            with pq.ParquetFile(source) as file:
                metadata: dict[bytes, bytes] = file.schema_arrow.metadata or {}
                if _SPACE not in metadata:
                    raise CommandError(f"{foreign}; choose another --out")
                self._check(source, metadata)
                return file.read(columns)
        except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
            raise CommandError(f"{foreign}, or damaged: {str(error).splitlines()[0]}") from None
        except OSError as error:
            raise CommandError(f"{source}: {error.strerror or error}") from None

    def _check(self, source: Path, metadata: dict[bytes, bytes]) -> None:
        mine = self._metadata()
        for key, what in ((_SPACE, "embedding space"), (_OUTPUTS, "outputs")):
            if metadata.get(key) != mine[key]:
                raise CommandError(
                    f"{source}: its {what} is {metadata.get(key, b'').decode()}, the model's is "
                    f"{mine[key].decode()}; --restart embeds every photo anew"
                )

    def _metadata(self) -> dict[bytes, bytes]:
        outputs = ", ".join(f"{name} ({size})" for name, size in self._layout.outputs.items())
        return {_SPACE: self._layout.embedding_space.encode(), _OUTPUTS: outputs.encode()}

    def _table(self) -> pa.Table:
        import pyarrow as pa

        photos = [photo for photo, _ in self._rows]
        space = self._layout.embedding_space
        columns: dict[str, Any] = {"id": pa.array([photo.id for photo in photos], pa.string())}
        for output, size in self._layout.outputs.items():
            values = [vectors[output] for _, vectors in self._rows]
            columns[self._layout.column(output)] = pa.array(values, pa.list_(pa.float32(), size))
        columns["embedding_space"] = pa.array([space] * len(photos), pa.string())
        columns["bytes"] = pa.array([photo.bytes for photo in photos], pa.int64())
        columns["modified_ns"] = pa.array([photo.modified_ns for photo in photos], pa.int64())
        return pa.table(columns).replace_schema_metadata(self._metadata())

"""Opens the native backend in this process. Nothing else here knows how it is put together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest import mock

from index_service.config import IndexSettings
from index_service.native.backend import NativeBackend, open_native
from index_service.native.disk.data_directory import exclusive
from index_service.native.maintenance import Maintenance
from index_service.native.memory import compaction


@contextmanager
def opened(data_dir: Path, *, read_only: bool = False) -> Iterator[NativeBackend]:
    """Opens an index as the service does, and closes it as a service that ends.

    Nothing goes on in the background: see `upkeep`.
    """
    settings = IndexSettings(data_dir=data_dir, read_only=read_only, search_threads=1)
    with ExitStack() as stack:
        if not read_only:
            stack.enter_context(exclusive(data_dir, "DATA_DIR"))
        with mock.patch.object(Maintenance, "_work"):
            backend = stack.enter_context(open_native(settings))
        yield backend


def upkeep(backend: NativeBackend) -> None:
    """Compacts and makes graphs at once, of however few rows."""
    maintenance = backend._maintenance
    assert maintenance is not None
    with mock.patch.object(compaction, "_FEW", 3):
        while maintenance.step() or maintenance.step():  # the second look finds a pause
            pass

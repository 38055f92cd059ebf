"""Where these tests keep their files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# In memory where that can be had: many of these open an index a hundred times, each of which waits
# for its syncs, and what they are about is not whether the disk keeps its word.
_IN_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None


@pytest.fixture(scope="module")
def fast_folder() -> Iterator[Path]:
    """A folder for the tests of one module."""
    folder = Path(tempfile.mkdtemp(prefix="lookalike-", dir=_IN_MEMORY))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def fast_path(fast_folder: Path) -> Iterator[Path]:
    """A folder for one test."""
    folder = Path(tempfile.mkdtemp(dir=fast_folder))
    yield folder
    shutil.rmtree(folder)

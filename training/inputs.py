"""Tells whether a catalogue's photos are still those that finished work was made from.

By size and time of change: a photo that is replaced under its name changes at least one of them.
Hashing the bytes instead would spare work on photos that were only copied or touched, but read the
whole catalogue each time just to find that nothing is left to do.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from training.errors import TrainingError


def photo_states(images: Path) -> dict[str, str]:
    """Returns the state of each photo by image id; empty without a readable folder.

    Args:
        images: Folder of a raw catalogue's photos.
    """
    states = {}
    try:
        with os.scandir(images) as entries:
            for entry in entries:
                facts = entry.stat()
                states[Path(entry.name).stem] = f"{facts.st_size}/{facts.st_mtime_ns}"
    except OSError:  # whoever reads the photos says what is wrong
        return {}
    return states


def state_of(states: Mapping[str, str]) -> str:
    """Returns a hash over photos and their states."""
    lines = "".join(f"{image_id}/{state}\n" for image_id, state in sorted(states.items()))
    return hashlib.sha256(lines.encode(errors="surrogateescape")).hexdigest()[:16]


def none_usable(images: Path, problems: Sequence[str]) -> TrainingError:
    """Returns the error for a folder of photos of which none can be used.

    Args:
        images: The folder.
        problems: What is wrong with each photo.
    """
    return TrainingError(
        f"{images}: none of the {len(problems)} photos that Images.csv names can be used; the "
        f"first: {problems[0]}"
    )

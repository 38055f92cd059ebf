"""The demo's steps with a small network, in the process that the demo starts for them."""

from __future__ import annotations

import sys

from demo import pipeline
from tests.small_backbone import small_backbones

sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # as in tests/conftest.py


def run(package: str, *arguments: str) -> int | str | None:
    """Runs `python -m PACKAGE ARGUMENTS`."""
    with small_backbones():
        return pipeline._run(package, *arguments)

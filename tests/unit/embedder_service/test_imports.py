"""What the embedder's process does before it serves."""

from __future__ import annotations

import subprocess
import sys

_IMPORTS = """
import embedder_service.__main__, openvino, sys
sys.exit(f"{sys.modules['openvino_telemetry']} reports" if sys.modules["openvino_telemetry"] else 0)
"""


def test_embedder_reports_nothing_to_the_makers_of_openvino() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _IMPORTS], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr

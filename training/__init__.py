"""The training pipeline: from raw listings and photos to a served model, one module per step."""

import sys

# OpenVINO's converter and NNCF send usage reports over the internet unless this package of theirs
# is missing.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

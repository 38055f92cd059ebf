"""From raw listings and photos to a served model, one step a module, in the order of __main__."""

import sys

# OpenVINO's converter and NNCF report their use to their makers over the internet, unless this
# package of theirs is missing.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

"""Imports torchvision where its compiled operators do not load. Does nothing where they do.

torchvision declares its detection operators in a compiled library. A torchvision wheel built
against a CUDA torch cannot load that library beside a CPU build of torch, and then fails at import,
because its Python code refers to operators that nobody declared. Lookalike uses none of them (it
needs the ResNet and the image transforms), so declaring the two that are missed is enough.

Import `torchvision` from here, and this module before packages that import torchvision on their
own, such as lightning.
"""

from __future__ import annotations

import importlib
import sys

import torch

try:
    torchvision = importlib.import_module("torchvision")
except RuntimeError as error:
    if "torchvision::nms" not in str(error):
        raise
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]  # half imported
    # The declarations live as long as this object does.
    _library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    _library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # type: ignore[no-untyped-call]
    _library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # type: ignore[no-untyped-call]
    torchvision = importlib.import_module("torchvision")

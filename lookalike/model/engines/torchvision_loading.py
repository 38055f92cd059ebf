"""Imports torchvision even if its compiled operators do not load.

torchvision declares its detection operators in a compiled library. A torchvision wheel built
against a CUDA torch cannot load that library beside a CPU build of torch, and then fails at import,
because its Python code refers to undeclared operators. Lookalike uses none of them (it needs the
ResNet and the image transforms), so declaring the two missing ones is enough.

Import `torchvision` from here, and import this module before packages that import torchvision
themselves, such as lightning.
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
        del sys.modules[name]  # partly imported
    # The declarations live as long as this object.
    _library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    _library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # type: ignore[no-untyped-call]
    _library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # type: ignore[no-untyped-call]
    torchvision = importlib.import_module("torchvision")

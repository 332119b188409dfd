"""torchvision, the judge of augmentations and of its own models.

Its compiled kernels, which neither of them needs, are built for CUDA; torch's build for the CPU
cannot load them, and torchvision cannot be imported until the two that it asks for are declared.
"""

import importlib.util
from pathlib import Path

import torch

_SUPPRESSION = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def _declare_kernels():
    folder = Path(importlib.util.find_spec("torchvision").origin).parent
    try:
        torch.ops.load_library(folder / "_C.so")
    except OSError:
        for name in ("nms", "qnms"):
            torch.library.define(f"torchvision::{name}", _SUPPRESSION)


_declare_kernels()

from torchvision import models  # noqa: E402
from torchvision.transforms import v2  # noqa: E402

__all__ = ["models", "v2"]

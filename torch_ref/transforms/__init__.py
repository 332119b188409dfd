"""The mirror of ``jaxaccel.transforms``."""

from torch_ref.transforms._clip_grad_norm import (
    ClipGradNormState,
    clip_grad_norm,
    clip_grads_with_norm,
    get_total_norm,
)
from torch_ref.transforms._clip_grad_value import ClipGradValueState, clip_grad_value

__all__ = [
    "clip_grad_norm",
    "ClipGradNormState",
    "get_total_norm",
    "clip_grads_with_norm",
    "clip_grad_value",
    "ClipGradValueState",
]

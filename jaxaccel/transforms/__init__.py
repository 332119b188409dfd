"""Gradients and weights on their way: what happens before or after the optimizer."""

from jaxaccel.transforms._clip_grad_norm import (
    ClipGradNormState,
    clip_grad_norm,
    clip_grads_with_norm,
    get_total_norm,
)
from jaxaccel.transforms._clip_grad_value import ClipGradValueState, clip_grad_value

__all__ = [
    "clip_grad_norm",
    "ClipGradNormState",
    "get_total_norm",
    "clip_grads_with_norm",
    "clip_grad_value",
    "ClipGradValueState",
]

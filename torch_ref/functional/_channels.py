"""What normalizations with a channel axis share: parameters in place, statistics that move."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def along_channels(value: Tensor, x: Tensor, channel_axis: int) -> Tensor:
    """Return a (C,) parameter so that it multiplies ``x`` in its dtype."""
    shape = (-1 if axis == channel_axis else 1 for axis in range(x.ndim))
    return value.to(x.dtype).reshape(tuple(shape))


def scale_and_shift(
    shifted: Tensor,
    delta: Tensor | None,
    var: Tensor,
    eps: float,
    weight: Tensor | None,
    bias: Tensor | None,
) -> Tensor:
    """Subtract ``delta``, divide by the standard deviation, apply parameters that broadcast.

    The subtraction comes last, on the small arrays: so the sums of the backward pass need nothing
    that a pass over the input has yet to find, and are taken in the pass that finds the variance.
    """
    scale = torch.rsqrt(var + eps)
    scale = scale if weight is None else scale * weight
    output = shifted * scale
    if delta is not None:
        bias = -delta * scale if bias is None else bias - delta * scale
    return output if bias is None else output + bias


def moved(running: Tensor | None, new: Tensor, shares: tuple[Any, Any]) -> Tensor | None:
    """Move a running statistic towards its new value; it keeps its dtype, and has no gradient.

    ``shares`` are ``(1 - momentum, momentum)``.
    """
    if running is None:
        return None
    new = new.detach().reshape(running.shape)
    keep, take = shares
    return (keep * running.to(new.dtype) + take * new).to(running.dtype)

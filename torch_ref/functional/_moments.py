"""Mean and variance that survive a large mean, and the dtypes around them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Moments(NamedTuple):
    """The moments of a tensor over some axes, which are kept with length 1."""

    shifted: Tensor
    """The tensor minus its mean, as far as one pass knows it."""
    delta: Tensor
    """The mean of ``shifted``: what rounding left of it."""
    mean: Tensor
    var: Tensor
    """The biased variance: divided by n."""


def moments(x: Tensor, axes: tuple[int, ...]) -> Moments:
    """Return the moments of ``x`` in two passes."""
    # The first mean is rounded; the second pass corrects it. As a mere shift it needs no gradient.
    shift = _mean(x.detach(), axes)
    shifted = x - shift
    delta, second = _mean(shifted, axes), _mean(shifted * shifted, axes)
    return Moments(shifted, delta, shift + delta, second - delta * delta)


def check_dtypes(input: Tensor, **parameters: Tensor | None) -> None:
    """Raise unless each parameter has the input's dtype, or float32 beside a half one."""
    if not input.dtype.is_floating_point:
        raise TypeError(f"expected a floating point input, got dtype {input.dtype}")
    allowed = {input.dtype}
    if torch.finfo(input.dtype).bits < 32:
        allowed.add(torch.float32)
    for name, value in parameters.items():
        if value is not None and value.dtype not in allowed:
            raise TypeError(
                f"mixed dtype: {name} should have dtype {' or '.join(sorted(map(str, allowed)))} "
                f"for an input of dtype {input.dtype}, got {value.dtype}"
            )


def _mean(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Return the mean over ``axes``, which are kept."""
    return torch.mean(x, axes, keepdim=True)

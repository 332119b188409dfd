"""Mean and variance that survive a large mean."""

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
    (shift,) = _means((x.detach(),), axes)
    shifted = x - shift
    delta, second = _means((shifted, shifted * shifted), axes)
    return Moments(shifted, delta, shift + delta, second - delta * delta)


def _means(tensors: tuple[Tensor, ...], axes: tuple[int, ...]) -> tuple[Tensor, ...]:
    """Return the means over ``axes``, which are kept."""
    return tuple(torch.mean(x, axes, keepdim=True) for x in tensors)

"""The ``normalized_shape`` of layer and RMS normalization."""

from __future__ import annotations

from torch import Tensor


def over_lead(value: Tensor, x: Tensor) -> Tensor:
    """Return a parameter of the last axes so that it multiplies ``x`` in its dtype."""
    return value.to(x.dtype).reshape(*[1] * (x.ndim - value.ndim), *value.shape)

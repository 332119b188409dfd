"""Layer normalization."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from torch_ref._math import compute_dtype
from torch_ref.functional._channels import scale_and_shift
from torch_ref.functional._moments import moments
from torch_ref.functional._normalized_shape import over_lead


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalize the last dimensions of each sample by their own mean and variance."""
    x = input.to(compute_dtype(input.dtype))
    shifted, delta, _, var = moments(x, tuple(range(x.ndim - len(normalized_shape), x.ndim)))
    weight, bias = (None if value is None else over_lead(value, x) for value in (weight, bias))
    output = scale_and_shift(shifted, delta, var, eps, weight, bias)
    return output.to(input.dtype)

"""Layer normalization."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from torch_ref._math import compute_dtype
from torch_ref.functional._channels import scale_and_shift
from torch_ref.functional._moments import check_dtypes, moments
from torch_ref.functional._normalized_shape import checked_shape, over_lead


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise the last dimensions of each sample by their own mean and variance."""
    shape = checked_shape("layer_norm", input, normalized_shape, weight=weight, bias=bias)
    check_dtypes(input, weight=weight, bias=bias)
    x = input.to(compute_dtype(input.dtype))
    shifted, delta, _, var = moments(x, tuple(range(x.ndim - len(shape), x.ndim)))
    weight, bias = (None if value is None else over_lead(value, x) for value in (weight, bias))
    output = scale_and_shift(shifted, delta, var, eps, weight, bias)
    return output.to(input.dtype)

"""Layer normalization."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from torch_ref._math import compute_dtype
from torch_ref.normalization._moments import check_dtypes, moments


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise the last dimensions of each sample by their own mean and variance."""
    shape = _checked_shape(input, normalized_shape, weight=weight, bias=bias)
    dtype = compute_dtype(input.dtype)
    lead = input.ndim - len(shape)

    def wide(value: Tensor) -> Tensor:
        return value.to(dtype)

    stats = moments(input.to(dtype), tuple(range(lead, input.ndim)))
    output = stats.centred * torch.rsqrt(stats.var + eps)
    if weight is not None:
        output = output * wide(weight)
    if bias is not None:
        output = output + wide(bias)
    return output.to(input.dtype)


def _checked_shape(
    input: Tensor, normalized_shape: Sequence[int], **parameters: Tensor | None
) -> tuple[int, ...]:
    """Check the arguments, with PyTorch's texts; return the normalized shape."""
    if not isinstance(normalized_shape, Sequence):
        raise TypeError(
            "layer_norm(): argument 'normalized_shape' (position 2) must be tuple of ints, "
            f"not {type(normalized_shape).__name__}"
        )
    shape = tuple(normalized_shape)
    if not shape:
        raise ValueError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least "
            "one element, but got normalized_shape = []"
        )
    for name, value in parameters.items():
        if value is not None and value.shape != shape:
            raise ValueError(
                f"Expected {name} to be of same shape as normalized_shape, but got {name} of "
                f"shape {list(value.shape)} and normalized_shape = {list(shape)}"
            )
    if input.shape[-len(shape) :] != shape:
        wanted = ", ".join(["*", *map(str, shape)])
        raise ValueError(
            f"Given normalized_shape={list(shape)}, expected input with shape [{wanted}], "
            f"but got input of size{list(input.shape)}"
        )
    check_dtypes(input, **parameters)
    return shape

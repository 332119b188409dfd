"""Spectral normalization."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from torch_ref._layout import check_layout, to_torch
from torch_ref._math import compute_dtype


class SpectralNormResult(NamedTuple):
    """The result of :func:`spectral_norm`."""

    weight: Tensor
    """Shape and dtype of the weight."""
    u: Tensor | None
    """(h,), the left singular vector: new in training, else the one given."""
    v: Tensor | None
    """(w,), the right singular vector: new in training, else the one given."""


def spectral_norm(
    weight: Tensor,
    u: Tensor | None,
    v: Tensor | None,
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int = 0,
    *,
    training: bool = True,
    layout: str = "flax",
) -> SpectralNormResult:
    """Divide a kernel by an estimate of its largest singular value."""
    check_layout(layout)
    _check(weight, u, v, n_power_iterations, dim)
    dtype = compute_dtype(weight.dtype)
    wide = weight.to(dtype)
    if weight.ndim == 1:
        return SpectralNormResult(_normalized(wide, eps).to(weight.dtype), u, v)
    matrix = torch.movedim(to_torch(wide) if layout == "flax" else wide, dim, 0)
    matrix = matrix.reshape(matrix.shape[0], -1)
    u, v = _given("u", u, matrix.shape[0]), _given("v", v, matrix.shape[1])
    if training:
        u, v = _power_method(matrix, u, v, n_power_iterations, eps)
    u, v = u.detach(), v.detach()
    sigma = torch.dot(u.to(dtype), torch.mv(matrix, v.to(dtype)))
    return SpectralNormResult((wide / sigma).to(weight.dtype), u, v)


def _power_method(
    matrix: Tensor, u: Tensor, v: Tensor, rounds: int, eps: float
) -> tuple[Tensor, Tensor]:
    """Return the vectors after so many rounds, in their own dtype; ``u`` moves first."""
    dtype, left, right = u.dtype, u, v.to(matrix.dtype)
    for _ in range(rounds):
        left = _normalized(torch.mv(matrix, right), eps)
        right = _normalized(torch.mv(matrix.T, left), eps)
    return left.to(dtype), right.to(dtype)


def _normalized(vector: Tensor, eps: float) -> Tensor:
    """Return a vector of length 1, or what is left of one shorter than ``eps``."""
    square = torch.sum(vector * vector)
    # The root has no derivative at 0, where it does not matter.
    norm = torch.where(square > 0, torch.sqrt(torch.where(square > 0, square, 1.0)), 0.0)
    return vector / torch.clamp_min(norm, eps)


def _check(
    weight: Tensor, u: Tensor | None, v: Tensor | None, n_power_iterations: int, dim: int
) -> None:
    """Check the arguments, with PyTorch's texts."""
    ndim = weight.ndim
    if not -ndim <= dim < ndim:
        raise IndexError(
            "Dimension out of range (expected to be in range of "
            f"[-{ndim}, {ndim - 1}] but got {dim})"
        )
    if n_power_iterations <= 0:
        raise ValueError(
            "Expected n_power_iterations to be positive, but "
            f"got n_power_iterations={n_power_iterations}"
        )
    dtypes = [tensor.dtype for tensor in (weight, u, v) if tensor is not None]
    if len(set(dtypes)) > 1 or not weight.dtype.is_floating_point:
        raise TypeError(f"expected weight, u and v of one floating point dtype, got {dtypes}")


def _given(name: str, vector: Tensor | None, size: int) -> Tensor:
    """Return a vector; raise unless there is one of that length."""
    if vector is None or vector.shape != (size,):
        got = None if vector is None else tuple(vector.shape)
        raise ValueError(f"expected {name} of shape ({size},) for this weight and dim, got {got}")
    return vector

"""Spectral normalization."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxaccel._layout import check_layout, to_torch
from jaxaccel._math import compute_dtype


class SpectralNormResult(NamedTuple):
    """The result of :func:`spectral_norm`."""

    weight: jax.Array
    """Shape and dtype of the weight."""
    u: jax.Array | None
    """(h,), the left singular vector: new in training, else the one given."""
    v: jax.Array | None
    """(w,), the right singular vector: new in training, else the one given."""


def spectral_norm(
    weight: jax.Array,
    u: jax.Array | None,
    v: jax.Array | None,
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int = 0,
    *,
    training: bool = True,
    layout: str = "flax",
) -> SpectralNormResult:
    r"""Divide a kernel by an estimate of its largest singular value.

    In training, rounds of the power method first move the singular vectors towards the kernel's:

    .. math::
        v_{t} \leftarrow \frac{W^T u_{t}}{\lVert W^T u_{t} \rVert}, \quad
        u_{t} \leftarrow \frac{W v_{t-1}}{\lVert W v_{t-1} \rVert}, \qquad
        W_{SN} = \frac{W}{u^T W v}

    ``W`` is the kernel as a matrix of PyTorch's order: axis ``dim`` of ``(O, I, *k)`` counts its
    rows, all others its columns. The vectors are constants to the gradient. A vector is divided by
    its norm, and needs neither ``u`` nor ``v``.

    Args:
        weight: A kernel, or a vector.
        u: (h,), as long as the axis ``dim``; None for a vector.
        v: (w,), as long as all other axes together; None for a vector.
        n_power_iterations: Rounds of the power method in training, at least 1.
        eps: The smallest norm that something is divided by.
        dim: The axis of PyTorch's ``(O, I, *k)`` that counts the outputs: 0, or 1 for a transposed
            convolution.
        training: Whether to move ``u`` and ``v``.
        layout: ``"flax"`` for kernels ``(*k, I, O)``, ``"torch"`` for ``(O, I, *k)``.

    Returns:
        The new kernel, ``u`` and ``v``, each in its own dtype. Half precision is computed in
        float32.

    Raises:
        ValueError: a bad ``layout`` or ``n_power_iterations``, or a ``u`` or ``v`` that is missing
            or of another length.
        TypeError: dtypes that differ, or are not of floating point.
        IndexError: ``dim`` is no axis of ``weight``.

    PyTorch:
        What a call of ``torch.nn.utils.parametrizations.spectral_norm``'s parametrization computes,
        in the same order; it keeps ``u`` and ``v`` as buffers and is switched by its mode. Not
        here: complex numbers.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> weight, one = jnp.array([[4.0, 0.0], [0.0, 1.0]]), jnp.array([0.6, 0.8])
        >>> result = ja.functional.spectral_norm(weight, one, one, n_power_iterations=5)
        >>> result.weight.round(4).tolist()
        [[1.0, 0.0], [0.0, 0.25]]

    References:
        Miyato, Kataoka, Koyama, Yoshida. Spectral Normalization for Generative Adversarial
        Networks. 2018. https://arxiv.org/abs/1802.05957
    """
    check_layout(layout)
    _check(weight, u, v, n_power_iterations, dim)
    dtype = compute_dtype(weight.dtype)
    wide = weight.astype(dtype)
    if weight.ndim == 1:
        return SpectralNormResult(_normalized(wide, eps).astype(weight.dtype), u, v)
    matrix = jnp.moveaxis(to_torch(wide) if layout == "flax" else wide, dim, 0)
    matrix = matrix.reshape(matrix.shape[0], -1)
    u, v = _given("u", u, matrix.shape[0]), _given("v", v, matrix.shape[1])
    if training:
        u, v = _power_method(matrix, u, v, n_power_iterations, eps)
    u, v = jax.lax.stop_gradient((u, v))
    sigma = jnp.dot(u.astype(dtype), jnp.dot(matrix, v.astype(dtype)))
    return SpectralNormResult((wide / sigma).astype(weight.dtype), u, v)


def _power_method(
    matrix: jax.Array, u: jax.Array, v: jax.Array, rounds: int, eps: float
) -> tuple[jax.Array, jax.Array]:
    """Return the vectors after so many rounds, in their own dtype; ``u`` moves first."""
    dtype, left, right = u.dtype, u, v.astype(matrix.dtype)
    for _ in range(rounds):
        left = _normalized(jnp.dot(matrix, right), eps)
        right = _normalized(jnp.dot(matrix.T, left), eps)
    return left.astype(dtype), right.astype(dtype)


def _normalized(vector: jax.Array, eps: float) -> jax.Array:
    """Return a vector of length 1, or what is left of one shorter than ``eps``."""
    square = jnp.sum(vector * vector)
    # The root has no derivative at 0, where it does not matter.
    norm = jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1.0)), 0.0)
    return vector / jnp.maximum(norm, eps)


def _check(
    weight: jax.Array, u: jax.Array | None, v: jax.Array | None, n_power_iterations: int, dim: int
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
    dtypes = [array.dtype for array in (weight, u, v) if array is not None]
    if len(set(dtypes)) > 1 or not jnp.issubdtype(weight.dtype, jnp.floating):
        raise TypeError(f"expected weight, u and v of one floating point dtype, got {dtypes}")


def _given(name: str, vector: jax.Array | None, size: int) -> jax.Array:
    """Return a vector; raise unless there is one of that length."""
    if vector is None or vector.shape != (size,):
        got = None if vector is None else tuple(vector.shape)
        raise ValueError(f"expected {name} of shape ({size},) for this weight and dim, got {got}")
    return vector

"""Spectral normalization of a layer's parameter."""

from __future__ import annotations

from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel._layout import to_torch
from jaxaccel._math import compute_dtype
from jaxaccel._types import Generator
from jaxaccel.init import normal
from jaxaccel.nn._arguments import params_key
from jaxaccel.nn._conv_transpose import TransposedConvolution
from jaxaccel.nn._parametrize import Layer, parametrize, plain_parameter

_FIRST_ROUNDS = 15
"""Of the power method, from the random vectors that it starts with."""


@checked
def spectral_norm(
    module: Layer,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
    *,
    rngs: nnx.Rngs | Generator,
) -> Layer:
    r"""Divide a parameter by an estimate of its largest singular value.

    .. math::
        u_{t} \leftarrow \frac{W v_{t-1}}{\lVert W v_{t-1} \rVert}, \quad
        v_{t} \leftarrow \frac{W^T u_{t}}{\lVert W^T u_{t} \rVert}, \qquad
        W_{SN} = \frac{W}{u^T W v}

    ``layer.weight[...]`` is computed at every call from ``layer.weight.original`` and two
    ``nnx.BatchStat``, PyTorch's ``_u`` and ``_v``, constants to the gradient. ``W`` is the kernel
    as a matrix of PyTorch's order: axis ``dim`` of ``(O, I, *k)`` counts its rows, all others its
    columns. A vector is divided by its norm and has neither ``_u`` nor ``_v``. Half precision is
    computed in float32.

    In training every reading moves them by ``n_power_iterations`` rounds of the power method; a new
    one is in training, and ``model.eval()`` and ``model.train()`` switch, by flax's attribute
    ``use_running_average``.

    Args:
        module: The layer, which is changed.
        name: The name of the parameter.
        n_power_iterations: Rounds of the power method at every reading in training, at least 1.
        eps: The smallest norm that something is divided by.
        dim: The axis of the weight in PyTorch, ``(O, I, *k)``, that counts the outputs; None for 1
            in a transposed convolution, and else 0.
        rngs: Draws ``_u``, then ``_v``: the ``params`` stream of an ``nnx.Rngs``, or a
            :class:`jaxaccel.random.Generator` for PyTorch's own numbers.

    Returns:
        ``module``.

    Raises:
        ValueError: ``module`` has no such parameter, it is parametrized, or
            ``n_power_iterations`` is not positive.
        IndexError: ``dim`` is not an axis of it.

    PyTorch:
        ``torch.nn.utils.parametrizations.spectral_norm``: the same, with its names in
        :func:`state_dict`. A layer here reads its weight once in a call; PyTorch's recurrent layers
        and attention read theirs several times, and so move ``_u`` and ``_v`` further. Left out: a
        parametrization of a parametrization, and assignment through one
        (``remove_parametrizations`` first). :func:`load_state_dict` takes the names of
        ``torch.nn.utils.spectral_norm``, ``weight_orig``, ``weight_u`` and ``weight_v``, too.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> layer = ja.nn.Linear(5, 4, rngs=nnx.Rngs(0))
        >>> layer = ja.nn.spectral_norm(layer, rngs=nnx.Rngs(1))
        >>> round(float(jnp.linalg.norm(layer.weight[...], 2)), 2)
        1.0

    References:
        Miyato, Kataoka, Koyama, Yoshida. Spectral Normalization for Generative Adversarial
        Networks. 2018. https://arxiv.org/abs/1802.05957
    """
    variable, layout = plain_parameter(module, name)
    if dim is None:
        dim = 1 if isinstance(module, TransposedConvolution) else 0
    parametrization = _SpectralNorm(variable[...], n_power_iterations, eps, dim, rngs, layout)
    return parametrize(module, name, parametrization, [variable], layout)


class _SpectralNorm(nnx.Module):
    """Computes a weight from its original and the singular vectors, which it keeps."""

    torch_transposed = ()
    torch_older_originals: ClassVar[dict[str, str]] = {"original": "_orig"}
    torch_older_suffixes: ClassVar[dict[str, str]] = {"_u": "_u", "_v": "_v"}

    def __init__(
        self,
        weight: jax.Array,
        n_power_iterations: int,
        eps: float,
        dim: int,
        rngs: nnx.Rngs | Generator,
        layout: str,
    ):
        _check(weight.ndim, n_power_iterations, dim)
        self.n_power_iterations = n_power_iterations
        self.eps = eps
        self.dim = dim
        self.use_running_average = False
        self._u: nnx.BatchStat[jax.Array] | None = nnx.data(None)
        self._v: nnx.BatchStat[jax.Array] | None = nnx.data(None)
        if weight.ndim > 1:
            matrix, draw = self._matrix(weight, layout), normal(layout="torch")
            u, v = (draw(params_key(rngs), (size,), weight.dtype) for size in matrix.shape)
            v = _normalized(v.astype(matrix.dtype), eps).astype(v.dtype)
            # PyTorch computes the weight once to check it: so many rounds more than the first ones.
            for rounds in (n_power_iterations, _FIRST_ROUNDS):
                u, v = _power_method(matrix, u, v, rounds, eps)
            self._u, self._v = nnx.BatchStat(u), nnx.BatchStat(v)

    def __call__(self, *originals: jax.Array, layout: str) -> jax.Array:
        """Return the weight; in training, move the singular vectors."""
        (weight,) = originals
        wide = weight.astype(compute_dtype(weight.dtype))
        if self._u is None or self._v is None:
            return _normalized(wide, self.eps).astype(weight.dtype)
        matrix, u, v = self._matrix(weight, layout), self._u[...], self._v[...]
        if not self.use_running_average:
            u, v = _power_method(matrix, u, v, self.n_power_iterations, self.eps)
            self._u[...], self._v[...] = u, v
        return (wide / _estimated(matrix, u, v)).astype(weight.dtype)

    def _matrix(self, weight: jax.Array, layout: str) -> jax.Array:
        """Return a kernel as a matrix in at least float32, whose rows are the outputs."""
        wide = weight.astype(compute_dtype(weight.dtype))
        wide = jnp.moveaxis(to_torch(wide) if layout == "flax" else wide, self.dim, 0)
        return wide.reshape(wide.shape[0], -1)

    def set_view(self, use_running_average: bool | None = None) -> None:
        """Take part in ``nnx.view``: switch the mode of a view."""
        if use_running_average is not None:
            self.use_running_average = use_running_average


def _check(ndim: int, n_power_iterations: int, dim: int) -> None:
    """Check the arguments, with PyTorch's texts."""
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


def _estimated(matrix: jax.Array, u: jax.Array, v: jax.Array) -> jax.Array:
    """Return the singular value of two vectors, which are constants to the gradient."""
    u, v = jax.lax.stop_gradient((u, v))
    return jnp.dot(u.astype(matrix.dtype), jnp.dot(matrix, v.astype(matrix.dtype)))


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

"""Spectral normalization of a layer's parameter."""

from __future__ import annotations

import jax
from flax import nnx

from jaxaccel._layout import shape_in_torch
from jaxaccel._types import Generator
from jaxaccel.functional import spectral_norm as normalized
from jaxaccel.init import normal
from jaxaccel.nn._arguments import params_key
from jaxaccel.nn._parametrize import Layer, parametrize, plain_parameter
from jaxaccel.nn._transposed_convolution import TransposedConvolution

_FIRST_ROUNDS = 15
"""Of the power method, from the random vectors that it starts with."""


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
        W_{SN} = \frac{W}{u^T W v}

    ``layer.weight[...]`` is computed at every call (:func:`jaxaccel.functional.spectral_norm`)
    from ``layer.weight.original`` and two ``nnx.BatchStat``, PyTorch's ``_u`` and ``_v``. In
    training every reading moves them by ``n_power_iterations`` rounds of the power method; a new
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
        IndexError: ``dim`` is no axis of it.

    PyTorch:
        ``torch.nn.utils.parametrizations.spectral_norm``: the same, with its names in
        :func:`state_dict`. A layer here reads its weight once in a call; PyTorch's recurrent layers
        and attention read theirs several times, and so move ``_u`` and ``_v`` further. Left out: a
        parametrization of a parametrization, and assignment through one
        (``remove_parametrizations`` first).

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

    def __init__(
        self,
        weight: jax.Array,
        n_power_iterations: int,
        eps: float,
        dim: int,
        rngs: nnx.Rngs | Generator,
        layout: str,
    ):
        self.n_power_iterations = n_power_iterations
        self.eps = eps
        self.dim = dim
        self.use_running_average = False
        self._u: nnx.BatchStat[jax.Array] | None = nnx.data(None)
        self._v: nnx.BatchStat[jax.Array] | None = nnx.data(None)
        u = v = None
        if weight.ndim > 1 and -weight.ndim <= dim < weight.ndim:
            rows = shape_in_torch(weight.shape, layout)[dim]
            draw = normal(layout="torch")
            u = draw(params_key(rngs), (rows,), weight.dtype)
            v = draw(params_key(rngs), (weight.size // rows,), weight.dtype)
        # PyTorch computes the weight once to check it: so many rounds more than the first ones.
        for rounds in (n_power_iterations, _FIRST_ROUNDS):
            _, u, v = normalized(weight, u, v, rounds, eps, dim, layout=layout)
        if u is not None and v is not None:
            self._u, self._v = nnx.BatchStat(u), nnx.BatchStat(v)

    def __call__(self, *originals: jax.Array, layout: str) -> jax.Array:
        """Return the weight; in training, move the singular vectors."""
        (weight,) = originals
        u, v = (None if vector is None else vector[...] for vector in (self._u, self._v))
        result = normalized(
            weight,
            u,
            v,
            self.n_power_iterations,
            self.eps,
            self.dim,
            training=not self.use_running_average,
            layout=layout,
        )
        if not self.use_running_average and self._u is not None and self._v is not None:
            self._u[...], self._v[...] = result.u, result.v
        return result.weight

    def set_view(self, use_running_average: bool | None = None) -> None:
        """Take part in ``nnx.view``: switch the mode of a view."""
        if use_running_average is not None:
            self.use_running_average = use_running_average

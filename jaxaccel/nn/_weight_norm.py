"""Weight normalization of a layer's parameter."""

from __future__ import annotations

from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel._layout import axes_except
from jaxaccel._math import compute_dtype
from jaxaccel.nn._parametrize import Layer, parametrize, plain_parameter


@checked
def weight_norm(module: Layer, name: str = "weight", dim: int | None = 0) -> Layer:
    r"""Train the length and the direction of a parameter's slices by themselves.

    .. math::
        w = g \, \frac{v}{\lVert v \rVert}

    ``layer.weight[...]`` is computed at every call
    from ``layer.weight.original0``, ``g``, and ``layer.weight.original1``, ``v``, which start from
    the weight and its norms. Half precision is computed in float32 and rounded once; where ``v`` is
    all zeros the weight is NaN. An optimizer made before does not know them.

    Args:
        module: The layer, which is changed.
        name: The name of the parameter.
        dim: The axis of the weight in PyTorch, ``(O, I, *k)``, that counts the slices, 0 for the
            outputs; None or -1 for one norm over all.

    Returns:
        ``module``.

    Raises:
        ValueError: ``module`` has no such parameter, or it is parametrized.
        IndexError: ``dim`` is not an axis of it.

    PyTorch:
        ``torch.nn.utils.parametrizations.weight_norm``: the same, with its names in
        :func:`state_dict`. Left out: a parametrization of a parametrization, and assignment
        through one (``remove_parametrizations`` first). :func:`load_state_dict` takes the names
        from before it, ``weight_g`` and ``weight_v``, too.

    Example:
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> layer = ja.nn.weight_norm(ja.nn.Linear(3, 2, rngs=nnx.Rngs(0)))
        >>> {k: v.shape for k, v in ja.nn.state_dict(layer).items() if "original" in k}
        {'parametrizations.weight.original0': (2, 1), 'parametrizations.weight.original1': (2, 3)}

    References:
        Salimans, Kingma. Weight Normalization: A Simple Reparameterization to Accelerate Training
        of Deep Neural Networks. 2016. https://arxiv.org/abs/1602.07868
    """
    variable, layout = plain_parameter(module, name)
    v = variable[...]
    g = _norms(v.astype(compute_dtype(v.dtype)), dim, layout).astype(v.dtype)
    # One norm over all is a number, without axes.
    g = g.reshape(()) if dim in (None, -1) else g
    originals = [type(variable)(g, layout=layout), variable]
    return parametrize(module, name, _WeightNorm(dim), originals, layout)


class _WeightNorm(nnx.Module):
    """Computes a weight from ``g`` and ``v``."""

    torch_older_originals: ClassVar[dict[str, str]] = {"original0": "_g", "original1": "_v"}

    def __init__(self, dim: int | None):
        self.dim = dim

    def __call__(self, *originals: jax.Array, layout: str) -> jax.Array:
        """Return the weight."""
        g, v = originals
        dtype = compute_dtype(v.dtype)
        direction = v.astype(dtype)
        norm = _norms(direction, self.dim, layout)
        length = g.astype(dtype).reshape(norm.shape)
        return (direction * (length / norm)).astype(v.dtype)


def _norms(direction: jax.Array, dim: int | None, layout: str) -> jax.Array:
    """Return the norms of the slices that PyTorch's axis ``dim`` counts, all axes kept."""
    axes = axes_except(dim, direction.ndim, layout)
    return jnp.sqrt(jnp.sum(direction * direction, axes, keepdims=True))

"""Weight normalization."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxaccel._layout import axes_except
from jaxaccel._math import compute_dtype


def weight_norm(
    v: jax.Array, g: jax.Array, dim: int | None = 0, *, layout: str = "flax"
) -> jax.Array:
    r"""Give each slice of a kernel the direction of one array and the length of another.

    .. math::
        w = g \, \frac{v}{\lVert v \rVert}

    Where ``v`` is all zeros the result is NaN.

    Args:
        v: The directions, a kernel.
        g: The lengths: as many as ``v`` has slices, its other axes of length 1; a scalar for the
            whole of ``v``.
        dim: The axis of PyTorch's ``(O, I, *k)`` that counts the slices, 0 for the outputs; None or
            -1 for one norm over all.
        layout: ``"flax"`` for kernels ``(*k, I, O)``, ``"torch"`` for ``(O, I, *k)``.

    Returns:
        A new kernel, of the shape and dtype of ``v``. Half precision is computed in float32 and
        rounded once.

    Raises:
        ValueError: a bad ``layout``, or a ``g`` of another shape.
        TypeError: two dtypes, or none of floating point.
        IndexError: ``dim`` is no axis of ``v``.

    PyTorch:
        ``torch._weight_norm``, what ``torch.nn.utils.parametrizations.weight_norm`` computes: the
        same, but for ``layout``. PyTorch broadcasts a ``g`` of another shape.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> v, g = jnp.array([[3.0, 0.0], [4.0, 2.0]]), jnp.array([[10.0, 1.0]])
        >>> ja.functional.weight_norm(v, g).tolist()
        [[6.0, 0.0], [8.0, 1.0]]

    References:
        Salimans, Kingma. Weight Normalization: A Simple Reparameterization to Accelerate Training
        of Deep Neural Networks. 2016. https://arxiv.org/abs/1602.07868
    """
    axes = axes_except(dim, v.ndim, layout)
    if v.dtype != g.dtype or not jnp.issubdtype(v.dtype, jnp.floating):
        raise TypeError(
            f"expected v and g of one floating point dtype, got {v.dtype} and {g.dtype}"
        )
    kept = tuple(1 if axis in axes else n for axis, n in enumerate(v.shape))
    if g.shape != (() if dim in (None, -1) else kept):
        raise ValueError(
            f"expected g of shape {() if dim in (None, -1) else kept} for v of shape {v.shape} "
            f"and dim={dim}, got {g.shape}"
        )
    dtype = compute_dtype(v.dtype)
    direction, length = v.astype(dtype), g.astype(dtype).reshape(kept)
    norm = jnp.sqrt(jnp.sum(direction * direction, axes, keepdims=True))
    return (direction * (length / norm)).astype(v.dtype)

"""The sparse initializer."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from jaxaccel._checked import checked_after
from jaxaccel._checks import check_std
from jaxaccel._layout import check_layout, from_torch, shape_in_torch
from jaxaccel._types import Generator, Initializer, Key
from jaxaccel.init import _draw
from jaxaccel.init._drawing import drawing


@checked_after
def sparse(sparsity: float, std: float = 0.01, *, layout: str = "flax") -> Initializer:
    r"""Draw from a normal distribution, and zero as many weights of each input.

    .. math::
        N(0, \text{std}^2), \qquad
        \lceil \text{sparsity} \cdot \text{outputs} \rceil \text{ zeros for each input}

    Args:
        sparsity: The share of each input's weights that is zero, in [0, 1].
        std: The standard deviation of the others, at least 0.
        layout: ``"flax"`` for kernels ``(I, O)``, ``"torch"`` for ``(O, I)``.

    Returns:
        ``init(key, shape, dtype=float)``, which returns a new array. ``key`` is a JAX key or a
        :class:`jaxaccel.random.Generator`; half precision is drawn in float32 and rounded.

    Raises:
        TypeError: from ``init``, a ``key`` that is neither.
        ValueError: ``sparsity`` is not in [0, 1]; ``std`` is negative; a bad ``layout``; from
            ``init``, a shape without exactly two dimensions.

    PyTorch:
        ``torch.nn.init.sparse_``: the same arguments; the same distribution with a JAX key. With a
        ``Generator`` the same bits as PyTorch's without ``generator``: what that one is given is
        used for the numbers alone, and the zeros come from the default generator. Here one draws
        both. Left out: the tensor (a new array is returned) and ``generator`` (it is the key).
        PyTorch takes a negative ``sparsity`` for the end of a slice.

    Example:
        >>> import jax
        >>> import jaxaccel as ja
        >>> weight = ja.init.sparse(0.75)(jax.random.key(0), (3, 8))
        >>> (weight != 0).sum(1).tolist()
        [2, 2, 2]

    References:
        Martens. Deep learning via Hessian-free optimization. 2010.
    """
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparsity must be in [0, 1], got {sparsity}")
    check_std(std)
    check_layout(layout)

    @drawing
    def init(key: Key | Generator, shape: tuple[int, ...], dtype: Any = float) -> jax.Array:
        if len(shape) != 2:
            raise ValueError("Only tensors with 2 dimensions are supported")
        outputs, inputs = shape_in_torch(shape, layout)
        for_values, for_zeros = _draw.split(key)
        kernel = _draw.normal(for_values, (outputs, inputs), dtype, 0.0, std)
        rows = _draw.permutations(for_zeros, outputs, inputs)[: math.ceil(sparsity * outputs)]
        return from_torch(kernel.at[rows, jnp.arange(inputs)[None]].set(0), layout)

    return init

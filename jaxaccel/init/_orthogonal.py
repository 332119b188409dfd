"""The orthogonal initializer."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from jaxaccel._checked import checked_after
from jaxaccel._layout import check_layout, from_torch, shape_in_torch
from jaxaccel._math import compute_dtype
from jaxaccel._types import Generator, Initializer, Key
from jaxaccel.init import _draw
from jaxaccel.init._drawing import drawing


@checked_after
def orthogonal(gain: float = 1, *, layout: str = "flax") -> Initializer:
    r"""Draw an orthogonal matrix, all of them being equally likely.

    With more rows than columns the columns are orthonormal, otherwise the rows. Rows are the
    outputs; the axes of a window count as inputs.

    .. math::
        W = \text{gain} \cdot Q \operatorname{diag}(\operatorname{sign}(\operatorname{diag}(R))),
        \qquad Q R = Z, \quad Z_{ij} \sim N(0, 1)

    Args:
        gain: A factor.
        layout: ``"flax"`` for kernels ``(*k, I, O)``, ``"torch"`` for ``(O, I, *k)``.

    Returns:
        ``init(key, shape, dtype=float)``, which returns a new array. ``key`` is a JAX key or a
        :class:`jaxaccel.random.Generator`; half precision is computed in float32 and rounded.

    Raises:
        TypeError: from ``init``, a ``key`` that is neither.
        ValueError: a bad ``layout``; from ``init``, a shape with fewer than two dimensions.

    PyTorch:
        ``torch.nn.init.orthogonal_``: the same arguments; the same distribution with a JAX key.
        With a ``Generator`` the same normal numbers, sign convention and state afterwards, and the
        same matrix within 1e-6, but not its bits: those of PyTorch itself change with the number
        of threads. Left out: the tensor (a new array is returned) and ``generator`` (it is the
        key). PyTorch has no half precision here.

    Example:
        >>> import jax
        >>> import jaxaccel as ja
        >>> weight = ja.init.orthogonal()(jax.random.key(0), (3, 3))
        >>> abs((weight @ weight.T).round(4)).tolist()
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]

    References:
        Saxe, McClelland, Ganguli. Exact solutions to the nonlinear dynamics of learning in deep
        linear neural networks. 2013. https://arxiv.org/abs/1312.6120

        Mezzadri. How to generate random matrices from the classical compact groups. 2006.
        https://arxiv.org/abs/math-ph/0609050
    """
    check_layout(layout)

    @drawing
    def init(key: Key | Generator, shape: tuple[int, ...], dtype: Any = float) -> jax.Array:
        if len(shape) < 2:
            raise ValueError("Only tensors with 2 or more dimensions are supported")
        dtype = jax.dtypes.canonicalize_dtype(dtype)
        if 0 in shape:
            return jnp.zeros(shape, dtype)
        outputs, *inputs = shape_in_torch(shape, layout)
        columns = math.prod(inputs)
        matrix = _draw.normal(key, (outputs, columns), compute_dtype(dtype), 0.0, 1.0)
        q, r = jnp.linalg.qr(matrix.T if outputs < columns else matrix)
        # Without the signs the result would depend on how the factors are computed.
        q = q * jnp.sign(jnp.diagonal(r))[None, :]
        kernel = (q.T if outputs < columns else q).reshape(outputs, *inputs)
        return from_torch((kernel * gain).astype(dtype), layout)

    return init

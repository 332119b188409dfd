"""The distances of all pairs of rows."""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from jaxaccel._checked import checked
from jaxaccel._gradient import with_gradient_of
from jaxaccel._operations import operation
from jaxaccel.functional._reduction import magnitude
from jaxaccel.functional._vector_norm import vector_norm
from jaxaccel.functional._wide import in_wide


@checked
@operation("pdist")
def pdist(input: jax.Array, p: float = 2) -> jax.Array:
    r"""Return the p-norm distance of every pair of rows.

    .. math::
        y_{ij} = \lVert x_i - x_j \rVert_p, \qquad i < j

    row by row: (0, 1), (0, 2), ..., (1, 2), ...

    Args:
        input: (N, M), floating point.
        p: The p of the norm, 0 (how many differ) to infinity.

    Returns:
        (N (N - 1) / 2,), in the input's dtype; inside it is float32 at least. Where two rows are
        equal the gradient is 0.

    Raises:
        ValueError: ``input`` has not two axes, or ``p`` is negative.
        TypeError: ``input`` is not floating point.

    PyTorch:
        ``torch.nn.functional.pdist``: the same, gradients included: with an infinite ``p`` each of
        the largest differences has all of the gradient. PyTorch raises ``RuntimeError``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.functional.pdist(jnp.array([[0.0, 0.0], [3.0, 4.0], [3.0, 0.0]])).tolist()
        [5.0, 3.0, 4.0]
    """
    if input.ndim != 2:
        raise ValueError(f"pdist only supports 2D tensors, got: {input.ndim}D")
    if not jnp.issubdtype(input.dtype, jnp.floating):
        raise TypeError(f"pdist only supports floating-point dtypes, got {input.dtype}")
    if not p >= 0:
        raise ValueError(f"pdist only supports non-negative p values, got p={p}")
    return in_wide(functools.partial(_of_pairs, p=p), input)


def _of_pairs(x: jax.Array, p: float) -> jax.Array:
    """Return the distances of all pairs, some rows' worth of them at a time.

    The differences of all pairs are (N (N - 1) / 2, M), which neither pass holds.
    """
    rows, width = x.shape
    if rows < 2:
        return jnp.zeros_like(x, shape=(0,))
    # N / 2 times N - 1 pairs, or (N - 1) / 2 times N: there is no rest.
    pairs = np.stack(np.triu_indices(rows, 1)).astype(np.int32).reshape(2, rows // 2, -1)

    @functools.partial(jax.checkpoint, prevent_cse=False)
    def distances(pair: tuple[jax.Array, jax.Array]) -> jax.Array:
        difference = x[pair[0]] - x[pair[1]]
        if math.isinf(p):
            return _largest(difference)
        return vector_norm(difference, p, (1,))[:, 0]

    # Together they are no larger than the input or a matrix of distances.
    together = max(rows // max(width, 1), 1)
    return jax.lax.map(distances, (pairs[0], pairs[1]), batch_size=together).reshape(-1)


def _largest(difference: jax.Array) -> jax.Array:
    """Return the largest magnitude of each row; all that are as large have the whole gradient."""
    size = magnitude(difference)
    largest = jnp.max(size, 1, keepdims=True, initial=0.0)
    carrier = jnp.sum(jnp.where(size == largest, size, jnp.zeros_like(size)), 1)
    return with_gradient_of(carrier, largest[:, 0])

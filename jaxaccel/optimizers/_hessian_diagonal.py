"""The diagonal of the Hessian: exact, or estimated with random signs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxaccel._check_trees import check_arrays
from jaxaccel._checked import checked_after
from jaxaccel._checks import check_positive_integer
from jaxaccel._functions import check_takes, number_of
from jaxaccel._math import compute_dtype
from jaxaccel._types import Key, Params


@checked_after
def hessian_diagonal(
    loss_fn: Callable[[Params], Any],
    params: Params,
    key: Key | None = None,
    samples: int = 1,
    *,
    batch_size: int = 8,
) -> Params:
    r"""Return the diagonal of a loss's Hessian, one second derivative per parameter.

    .. math::
        \operatorname{diag}(H) = \mathbb{E}\,[z \odot H z], \quad z_i = \pm 1
        \qquad \text{or} \qquad \operatorname{diag}(H) = \sum_i e_i \odot H e_i

    With a key it is Hutchinson's estimate: each sample costs one product with the Hessian, about
    two gradients, and the rest of row :math:`i` enters entry :math:`i` as noise of variance
    :math:`\sum_{j \ne i} H_{ij}^2` over the number of samples. A diagonal Hessian is exact in one
    sample. Without a key it is exact, at one product per parameter.

    Args:
        loss_fn: The loss, ``params -> scalar``; the batch is bound to it.
        params: A tree of real floating-point arrays, where the Hessian is taken.
        key: A JAX key for the random signs, or ``None`` for the exact diagonal.
        samples: Number of random vectors, at least 1; not used without a key.
        batch_size: Products computed at a time, at least 1: the memory they take grows with it.
            The result does not depend on it, but for rounding.

    Returns:
        The diagonal, in the parameters' shapes and dtypes. Products are averaged in at least
        float32.

    Raises:
        ValueError: ``samples`` or ``batch_size`` is below 1.
        TypeError: ``samples`` or ``batch_size`` is not an integer, or a parameter is not a real
            floating-point array.

    PyTorch:
        The diagonal of ``torch.autograd.functional.hessian``, without the rest of it; PyTorch has
        no estimate.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> def loss(w):
        ...     return w[0] ** 2 + 3 * w[0] * w[1] + w[1] ** 3
        >>> print(ja.optimizers.hessian_diagonal(loss, jnp.array([1.0, 2.0])))
        [ 2. 12.]

    References:
        Bekas, Kokiopoulou, Saad. An Estimator for the Diagonal of a Matrix. 2007.

        Hutchinson. A Stochastic Estimator of the Trace of the Influence Matrix for Laplacian
        Smoothing Splines. 1989.
    """
    samples = check_positive_integer("samples", samples)
    batch_size = check_positive_integer("batch_size", batch_size)
    check_takes("loss_fn", "(params) -> loss", loss_fn, params)
    check_arrays("params", params)
    leaves, treedef = jax.tree.flatten(params)
    leaves = [jnp.asarray(leaf) for leaf in leaves]
    for leaf in leaves:
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise TypeError(f"a Hessian needs real floating-point parameters, got {leaf.dtype}")

    def loss(leaves: list[jax.Array]) -> Any:
        return jnp.asarray(number_of("loss_fn", loss_fn(treedef.unflatten(leaves)), "return"))

    gradient = jax.grad(loss)

    def entries(index: jax.Array) -> list[jax.Array]:
        probe = _basis(leaves, index) if key is None else _signs(leaves, key, index)
        product = jax.jvp(gradient, (leaves,), (probe,))[1]
        return [_wide(z) * _wide(hz) for z, hz in zip(probe, product, strict=True)]

    count = sum(leaf.size for leaf in leaves) if key is None else samples
    totals = _sum_over(entries, leaves, count, min(batch_size, max(count, 1)))
    scale = 1 if key is None else samples
    return treedef.unflatten(
        (total / scale).astype(leaf.dtype) for total, leaf in zip(totals, leaves, strict=True)
    )


def _sum_over(
    entries: Callable[[jax.Array], list[jax.Array]],
    leaves: list[jax.Array],
    count: int,
    batch_size: int,
) -> list[jax.Array]:
    """Return the sum of ``entries(0) .. entries(count - 1)``, some at a time."""
    batches = -(-count // batch_size)
    indices = jnp.arange(batches * batch_size, dtype=jnp.int32).reshape(batches, batch_size)

    def add(totals: list[jax.Array], batch: jax.Array) -> tuple[list[jax.Array], None]:
        # The last batch is filled up with indices that count for nothing.
        def kept(values: jax.Array) -> jax.Array:
            in_range = (batch < count).reshape(-1, *[1] * (values.ndim - 1))
            return jnp.sum(jnp.where(in_range, values, 0), axis=0)

        values = jax.vmap(entries)(batch)
        return [total + kept(v) for total, v in zip(totals, values, strict=True)], None

    totals, _ = jax.lax.scan(add, [jnp.zeros_like(_wide(leaf)) for leaf in leaves], indices)
    return totals


def _signs(leaves: list[jax.Array], key: Key, index: jax.Array) -> list[jax.Array]:
    """Return a random sign for every parameter."""
    keys = jax.random.split(jax.random.fold_in(key, index), len(leaves))
    return [
        jax.random.rademacher(key, leaf.shape, leaf.dtype)
        for key, leaf in zip(keys, leaves, strict=True)
    ]


def _basis(leaves: list[jax.Array], index: jax.Array) -> list[jax.Array]:
    """Return the basis vector of one parameter, counted over all leaves."""
    vectors, start = [], 0
    for leaf in leaves:
        own = jnp.arange(start, start + leaf.size, dtype=jnp.int32)
        vectors.append((own == index).reshape(leaf.shape).astype(leaf.dtype))
        start += leaf.size
    return vectors


def _wide(array: jax.Array) -> jax.Array:
    """Return an array in the dtype that it is summed in."""
    return array.astype(compute_dtype(array.dtype))

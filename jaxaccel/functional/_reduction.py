"""What happens to the losses of the elements: dtypes, weights, reductions."""

from __future__ import annotations

import functools
import warnings

import jax
import jax.numpy as jnp

from jaxaccel._math import compute_dtype, widest


def check_reduction(reduction: str) -> None:
    """Check a reduction, with PyTorch's text."""
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction")


def check_reduction_of_python(reduction: str) -> None:
    """Check a reduction, with the text of losses that PyTorch has in Python."""
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not valid\nreduction must be 'none', 'mean' or 'sum'")


def reduced(loss: jax.Array, reduction: str) -> jax.Array:
    """Return the losses of the elements, their mean or their sum."""
    if reduction == "none":
        return loss
    return jnp.mean(loss) if reduction == "mean" else jnp.sum(loss)


def result_dtype(input: jax.Array, *others: jax.Array | None) -> jnp.dtype:
    """Return the dtype of a result: the widest floating one, as in PyTorch."""
    if not jnp.issubdtype(input.dtype, jnp.floating):
        raise TypeError(f"expected a floating point input, got dtype {input.dtype}")
    dtypes = {input.dtype} | {
        array.dtype
        for array in others
        if array is not None and jnp.issubdtype(array.dtype, jnp.floating)
    }
    # Where they differ it is float32 at least: no half type holds the other.
    return input.dtype if len(dtypes) == 1 else widest(*map(compute_dtype, dtypes))


def as_pair(input: jax.Array, target: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return both in one shape, in float32 at least."""
    first, second = in_one_shape(input, target)
    return first, second


def in_one_shape(first: jax.Array, *others: jax.Array) -> list[jax.Array]:
    """Return arrays in one shape, in float32 at least."""
    dtype = compute_dtype(result_dtype(first, *others))

    def joined(shape: tuple[int, ...], array: jax.Array) -> tuple[int, ...]:
        return common_shape(jax.ShapeDtypeStruct(shape, dtype), array)

    shape = functools.reduce(joined, others, first.shape)
    return [jnp.broadcast_to(each, shape).astype(dtype) for each in (first, *others)]


def common_shape(a: jax.Array | jax.ShapeDtypeStruct, b: jax.Array) -> tuple[int, ...]:
    """Return the shape that two arrays broadcast to, or raise in PyTorch's words."""
    try:
        return jnp.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        pairs = list(zip(reversed(a.shape), reversed(b.shape), strict=False))
        place = next(i for i, (m, n) in enumerate(pairs) if m != n and 1 not in (m, n))
        axis = max(a.ndim, b.ndim) - 1 - place
        raise ValueError(
            f"The size of tensor a ({pairs[place][0]}) must match the size of tensor b "
            f"({pairs[place][1]}) at non-singleton dimension {axis}\n"
            f"Got shapes {a.shape} and {b.shape}"
        ) from None


def magnitude(difference: jax.Array) -> jax.Array:
    """Return the absolute value, whose gradient at 0 is 0.

    That of ``jnp.abs`` is 1.
    """
    return difference * jnp.sign(difference)


def at_least_zero(x: jax.Array) -> jax.Array:
    """Return what is not negative, and 0 for the rest; the gradient at 0 is that of what is not.

    NaN stays NaN, with a gradient of 0, as in PyTorch.
    """
    kept = jnp.where(x >= 0, x, jnp.zeros_like(x))
    return jnp.where(jnp.isnan(x), jnp.full_like(x, jnp.nan), kept)


def warn_of_sizes(input: jax.Array, target: jax.Array) -> None:
    """Warn of broadcasting as PyTorch does: (N, 1) against (N,) would be (N, N)."""
    if input.shape != target.shape:
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size "
            f"({input.shape}). This will likely lead to incorrect results due to broadcasting. "
            "Please ensure they have the same size.",
            stacklevel=4,
        )


def check_weight_size(input: jax.Array, weight: jax.Array | None) -> None:
    """Check the weights of the elements, with PyTorch's text."""
    if weight is not None and weight.shape != input.shape:
        raise ValueError("Weights and input must have the same size.")


def times(loss: jax.Array, weight: jax.Array) -> jax.Array:
    """Return the losses times the weights of their elements, which broadcast."""
    dtype = widest(loss.dtype, weight.dtype)
    if common_shape(loss, weight) != loss.shape:
        raise ValueError(
            f"weight of shape {weight.shape} does not broadcast to the losses of shape {loss.shape}"
        )
    return loss.astype(dtype) * jnp.broadcast_to(weight, loss.shape).astype(dtype)


def weighted_mean(loss: jax.Array, weight: jax.Array | None, reduction: str) -> jax.Array:
    """Return the losses reduced, where a weighted mean divides by the sum of the weights."""
    if weight is None:
        return reduced(loss, reduction)
    # Cast once, so that its gradient is rounded once.
    weight = weight.astype(widest(loss.dtype, weight.dtype))
    loss = times(loss, weight)
    if reduction == "mean":
        return jnp.sum(loss) / jnp.sum(weight)
    return reduced(loss, reduction)

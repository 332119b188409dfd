"""The cross entropy of a linear map."""

from __future__ import annotations

import math

import jax

from jaxaccel._checked import checked
from jaxaccel.functional._cross_entropy import cross_entropy
from jaxaccel.functional._linear import linear


@checked
def linear_cross_entropy(
    input: jax.Array,
    linear_weight: jax.Array,
    target: jax.Array,
    *,
    linear_bias: jax.Array | None = None,
    weight: jax.Array | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
) -> jax.Array:
    r"""Return the cross entropy of logits that are a linear map of the input.

    .. math::
        \ell = \text{cross\_entropy}(x W + b, y)

    Args:
        input: (N, in_features) or (in_features,).
        linear_weight: (in_features, C), or (in_features, \*positions, C) for a loss at several
            positions for each row.
        target: Indices of classes, (N, \*positions) or a number; or probabilities, with C on the
            last axis.
        linear_bias: (C,) or (\*positions, C); None for none.
        weight: (C,), the weight of each class; None for 1.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``, as in :func:`cross_entropy`.
        ignore_index: The index that counts nowhere; None for -100. It must be None beside
            probabilities.
        label_smoothing: The share of the target that is spread over all classes, in [0, 1].

    Returns:
        The loss: a number, or (N, \*positions) without reduction.

    Raises:
        ValueError: bad shapes, or ``ignore_index`` beside probabilities; and what
            :func:`cross_entropy` raises.

    PyTorch:
        ``torch.nn.functional.linear_cross_entropy``: the same, classes last, with the weight
        transposed. Left out: ``options``, which computes the loss in chunks of a batch;
        :func:`jaxaccel.memory.checkpoint` of this function holds no logits between the passes.
        PyTorch raises ``RuntimeError``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x, w = jnp.array([[1.0, 2.0]]), jnp.array([[1.0, 0.0], [0.0, 1.0]])
        >>> round(float(ja.functional.linear_cross_entropy(x, w, jnp.array([1]))), 4)
        0.3133
    """
    if input.ndim not in (1, 2):
        raise ValueError(f"expected input with dimensionality 1 or 2, got {input.ndim}")
    if linear_weight.ndim < 2:
        raise ValueError(
            f"expected linear_weight with dimensionality at least 2, got {linear_weight.ndim}"
        )
    features, *outputs = linear_weight.shape
    if input.shape[-1] != features:
        raise ValueError(
            "expected equal input and linear_weight last dimensions (in_features), got "
            f"{input.shape[-1]} and {features}, respectively\n"
            "linear_weight is (in_features, C) here, PyTorch's transposed"
        )
    if linear_bias is not None and linear_bias.shape != (*outputs,):
        raise ValueError(f"expected linear_bias shape {(*outputs,)}, got {linear_bias.shape}")
    if len(outputs) > 1 and input.ndim == 1:
        raise ValueError(
            f"K-dimensional loss defined by linear_weight shape {linear_weight.shape} requires "
            f"batched input, (N, {features}), got unbatched input with shape {input.shape}"
        )
    shape = (*input.shape[:-1], *outputs)
    if target.shape == shape and ignore_index is not None:
        raise ValueError("ignore_index cannot be specified when target contains probabilities")
    flat = linear_weight.reshape(features, math.prod(outputs))
    bias = None if linear_bias is None else linear_bias.reshape(-1)
    return cross_entropy(
        linear(input, flat, bias).reshape(shape),
        target,
        weight,
        -100 if ignore_index is None else ignore_index,
        reduction,
        label_smoothing,
    )

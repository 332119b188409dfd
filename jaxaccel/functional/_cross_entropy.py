"""The cross entropy of classes."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxaccel._checked import checked
from jaxaccel._math import compute_dtype
from jaxaccel._operations import operation
from jaxaccel.functional._class_indices import (
    as_indices,
    check_weight,
    class_mean,
    classes_last,
    number_at,
    picked,
)
from jaxaccel.functional._reduction import check_reduction, reduced, result_dtype


@checked
@operation("cross_entropy_loss", low=())
def cross_entropy(
    input: jax.Array,
    target: jax.Array,
    weight: jax.Array | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    *,
    class_axis: int = -1,
) -> jax.Array:
    r"""Return the cross entropy between targets and softmaxes of the input.

    Targets are indices of classes, or probabilities of all classes where they have the input's
    shape. With :math:`p = \text{log\_softmax}(x)` and label smoothing :math:`\epsilon`

    .. math::
        \ell_n = -(1 - \epsilon) w_{y_n} p_{n, y_n} - \frac{\epsilon}{C} \sum_c w_c p_{n, c}
        \qquad \text{or} \qquad
        \ell_n = -\sum_c \left((1 - \epsilon) y_{n, c} + \frac{\epsilon}{C}\right) w_c p_{n, c}

    Args:
        input: Logits, (N, ..., C) or (C,), floating point.
        target: Indices of classes, (N, ...), integers; or probabilities, (N, ..., C).
        weight: (C,), the weight of each class; None for 1.
        ignore_index: The index that counts nowhere: not in the sum, not in what divides it. It
            must be negative beside probabilities.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``. The mean of indices is divided by the sum of
            the targets' weights, that of probabilities by their number.
        label_smoothing: The share of the target that is spread over all classes, in [0, 1].
        class_axis: The axis of length C; -1 is classes last, 1 is PyTorch's.

    Returns:
        The loss: a number, or the input's shape without its classes, in the input's dtype (the
        widest floating one given, for probabilities). Inside it is float32 at least. The mean is
        nan where all targets are ignored; no gradient flows then.

    Raises:
        ValueError: another ``reduction``, a bad shape, or ``label_smoothing`` is not in [0, 1].
        TypeError: ``input`` is not floating point, ``target`` has integers in the input's shape or
            others in another, or ``weight`` has neither the input's dtype nor (beside float16 or
            bfloat16) float32.
        IndexError: a target is out of bounds. A compiled program cannot raise: there, the loss of
            such a target is nan.

    PyTorch:
        ``torch.nn.functional.cross_entropy``: the same, classes last, and with indices of any
        integer type. Left out: ``size_average`` and ``reduce``, which are deprecated. PyTorch
        raises ``RuntimeError`` for most shapes and dtypes, and takes a negative
        ``label_smoothing`` for 0.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> logits = jnp.array([[2.0, 0.0], [0.0, 0.0]])
        >>> round(float(ja.functional.cross_entropy(logits, jnp.array([0, 1]))), 4)
        0.41
        >>> round(float(ja.functional.cross_entropy(logits, jnp.array([0, -100]))), 4)
        0.1269

    References:
        Szegedy et al. Rethinking the Inception Architecture for Computer Vision. 2015.
        https://arxiv.org/abs/1512.00567
    """
    check_reduction(reduction)
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    logits = classes_last(input, class_axis)
    check_weight(input, weight, logits.shape[-1])
    if target.shape == input.shape:
        _check_probabilities(target, ignore_index)
        loss = _of_probabilities(
            logits, classes_last(target, class_axis), weight, label_smoothing, reduction
        )
        return loss.astype(result_dtype(input, target, weight))
    index = as_indices(logits, target, ignore_index)
    loss = _of_indices(logits, index, weight, label_smoothing, ignore_index, reduction)
    return loss.astype(input.dtype)


def _of_indices(
    logits: jax.Array,
    index: jax.Array,
    weight: jax.Array | None,
    label_smoothing: float,
    ignore_index: int,
    reduction: str,
) -> jax.Array:
    """Return the loss where targets are indices."""
    wide, classes = logits.astype(compute_dtype(logits.dtype)), logits.shape[-1]
    # Neither the logits less their highest nor the log-probabilities exist as a whole.
    highest = jax.lax.stop_gradient(jnp.max(wide, -1, keepdims=True, initial=-jnp.inf))
    log_total = jnp.log(jnp.sum(jnp.exp(wide - highest), -1, keepdims=True))
    last = (wide.ndim - 1,)
    shift, total = (jax.lax.squeeze(each, last) for each in (highest, log_total))
    log_prob = number_at(index, wide, logits) - shift - total
    loss, weights = picked(log_prob, index, classes, weight, ignore_index)
    if label_smoothing > 0:
        spread = -jnp.sum(_weighted(wide - highest - log_total, weight), -1)
        spread = jnp.where(index == ignore_index, jnp.zeros_like(spread), spread)
        loss = (1 - label_smoothing) * loss + label_smoothing / classes * spread
    return class_mean(loss, weights, reduction)


def _of_probabilities(
    logits: jax.Array,
    target: jax.Array,
    weight: jax.Array | None,
    label_smoothing: float,
    reduction: str,
) -> jax.Array:
    """Return the loss where targets are probabilities."""
    dtype = compute_dtype(result_dtype(logits, target))
    log_probs = jax.nn.log_softmax(logits.astype(dtype), -1)
    target = target.astype(dtype)
    if label_smoothing > 0:
        target = target * (1 - label_smoothing) + label_smoothing / target.shape[-1]
    return reduced(-jnp.sum(_weighted(log_probs * target, weight), -1), reduction)


def _weighted(of_classes: jax.Array, weight: jax.Array | None) -> jax.Array:
    """Return an array times the weights of the classes, which are on its last axis."""
    if weight is None:
        return of_classes
    weight = weight.astype(of_classes.dtype)
    return of_classes * jax.lax.expand_dims(weight, range(of_classes.ndim - 1))


def _check_probabilities(target: jax.Array, ignore_index: int) -> None:
    """Check a target of the input's shape, with PyTorch's texts."""
    if not jnp.issubdtype(target.dtype, jnp.floating):
        raise TypeError(
            f"Expected floating point type for target with class probabilities, got {target.dtype}"
        )
    if ignore_index >= 0:
        raise ValueError("ignore_index is not supported for floating point target")

"""The loss of sequences without alignment: connectionist temporal classification."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxaccel._arrays import known_values
from jaxaccel._checked import checked
from jaxaccel._gradient import with_gradient_of
from jaxaccel._math import compute_dtype
from jaxaccel._operations import operation
from jaxaccel.functional._ctc_alignments import log_likelihood
from jaxaccel.functional._reduction import check_reduction, reduced
from jaxaccel.functional._wide import check_floating


@checked
@operation("ctc_loss", low=("log_probs",))
def ctc_loss(
    log_probs: jax.Array,
    targets: jax.Array,
    input_lengths: jax.Array | Sequence[int],
    target_lengths: jax.Array | Sequence[int],
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> jax.Array:
    r"""Return the negative log-likelihood of label sequences, over all their alignments.

    .. math::
        \ell_n = -\log \sum_{\pi} \prod_{t < T_n} p_{t, n, \pi_t}

    where :math:`\pi` goes over all sequences of :math:`T_n` labels and blanks that become the
    target when repeated labels are taken once and then blanks away. A target that is longer than
    that has an infinite loss.

    Args:
        log_probs: Logarithms of probabilities, (T, N, C) or (T, C), such as
            :func:`log_softmax` returns.
        targets: Indices of labels, (N, S), where what is behind a target's length does not count;
            or all targets one behind the other, (sum of target_lengths,).
        input_lengths: (N,) or a number, how many of the T steps of each sequence count.
        target_lengths: (N,) or a number.
        blank: The index of the blank.
        reduction: ``"none"``, ``"mean"`` (of the losses divided by the lengths of their targets) or
            ``"sum"``.
        zero_infinity: Whether an infinite loss and its gradient are zero.

    Returns:
        The loss: a number, or (N,) without reduction, in the dtype of ``log_probs``; inside it is
        float32 at least. The gradient is :math:`p_{t, n, c}` less the probability of label c at
        step t given the target: that of the logits, where ``log_probs`` is their ``log_softmax``,
        and what PyTorch returns. Of an infinite loss it is nan.

    Raises:
        ValueError: another ``reduction``, bad shapes or lengths, or ``blank`` is no label.
        TypeError: ``log_probs`` is not floating point, or lengths are not integers.
        IndexError: a target is out of bounds. A compiled program cannot raise: there, the loss is
            nan where a target or a length is out of bounds.

    PyTorch:
        ``torch.nn.functional.ctc_loss``: the same, and in half precision too. The gradient of a
        log-probability of minus infinity is nan there and 0 here. PyTorch does not check targets,
        and raises ``RuntimeError``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> log_probs = jnp.log(jnp.full((3, 1, 2), 0.5))
        >>> loss = ja.functional.ctc_loss(log_probs, jnp.array([[1]]), (3,), (1,))
        >>> round(float(jnp.exp(-loss)), 4)  # six of eight sequences
        0.75

    References:
        Graves, Fernandez, Gomez, Schmidhuber. Connectionist Temporal Classification: Labelling
        Unsegmented Sequence Data with Recurrent Neural Networks. 2006.
    """
    check_reduction(reduction)
    check_floating(log_probs)
    if log_probs.size == 0:
        raise ValueError("log_probs tensor must not be empty")
    if log_probs.ndim not in (2, 3):
        raise ValueError(
            "Expected 3-dimensional tensor, but got "
            f"{log_probs.ndim}-dimensional tensor for argument #1 'log_probs'"
        )
    wide = log_probs.astype(compute_dtype(log_probs.dtype))
    wide = wide if wide.ndim == 3 else wide[:, None]
    steps, batch, classes = wide.shape
    if not 0 <= blank < classes:
        raise ValueError("blank must be in label range")
    lengths = _lengths("input_lengths", input_lengths, batch, steps)
    of_targets = _lengths("target_lengths", target_lengths, batch, None)
    labels = _labels(targets, of_targets, batch)
    if targets.ndim == 1 and known_values(of_targets) is None:
        # Any could be the sum of all. No step is left for more labels than there are steps, and
        # one label too many says so.
        labels = labels[:, : steps + 1]
    _check_labels(labels, of_targets, classes)
    loss = _losses(wide, labels, lengths, of_targets, blank, zero_infinity)
    # Of labels in a row some may be cut off, but no more can be asked for than there are.
    fits = of_targets <= targets.shape[-1]
    loss = jnp.where(fits, loss, jnp.full_like(loss, jnp.nan))
    if reduction == "mean":
        loss = loss / jnp.maximum(of_targets, 1).astype(loss.dtype)
    loss = loss if log_probs.ndim == 3 or reduction != "none" else loss[0]
    return reduced(loss, reduction).astype(log_probs.dtype)


def _losses(
    log_probs: jax.Array,
    labels: jax.Array,
    lengths: jax.Array,
    of_targets: jax.Array,
    blank: int,
    zero_infinity: bool,
) -> jax.Array:
    """Return the loss of each sequence, with PyTorch's gradient."""
    steps, _, classes = log_probs.shape
    loss = -log_likelihood(log_probs, labels, lengths, of_targets, blank)
    # Added to the gradient of the loss, the probabilities make it that of the logits.
    inside = (jnp.arange(steps, dtype=jnp.int32)[:, None] < lengths[None])[:, :, None]
    total = jnp.sum(jnp.where(inside, jnp.exp(log_probs), jnp.zeros_like(log_probs)), (0, 2))
    if not zero_infinity:
        total = total * jnp.where(jnp.isinf(loss), jnp.nan, jnp.ones_like(loss))
    loss = with_gradient_of(loss + total, loss)
    if zero_infinity:
        loss = jnp.where(jnp.isinf(loss), jnp.zeros_like(loss), loss)
    places = jnp.arange(labels.shape[1], dtype=jnp.int32)[None] < of_targets[:, None]
    is_label = jnp.all(~places | ((labels >= 0) & (labels < classes)), 1)
    in_range = (lengths >= 0) & (lengths <= steps) & (of_targets >= 0)
    return jnp.where(is_label & in_range, loss, jnp.full_like(loss, jnp.nan))


def _lengths(
    name: str, given: jax.Array | Sequence[int], batch: int, most: int | None
) -> jax.Array:
    """Return lengths as (N,), checked where they are known, with PyTorch's texts."""
    known = known_values(given) if hasattr(given, "dtype") else np.asarray(given, np.int64)
    array = jnp.asarray(known if known is not None else given)
    if not jnp.issubdtype(array.dtype, jnp.integer):
        raise TypeError(f"{name} must be integral")
    if array.size != batch or array.ndim > 1:
        raise ValueError(f"{name} must be of size batch_size\nGot {array.shape} for N={batch}")
    if known is not None:
        for value in known.reshape(-1).tolist():
            if most is not None and value > most:
                raise ValueError(
                    f"Expected {name} to have value at most {most}, but got value {value}"
                )
            if value < 0:
                raise ValueError(f"Expected {name} to have value at least 0, but got value {value}")
    return array.reshape(batch).astype(jnp.int32)


def _labels(targets: jax.Array, lengths: jax.Array, batch: int) -> jax.Array:
    """Return targets as (N, S), whichever way they are given, or raise in PyTorch's words."""
    if not jnp.issubdtype(targets.dtype, jnp.number):
        raise TypeError(f"targets must be integers, got dtype {targets.dtype}")
    if targets.ndim not in (1, 2):
        raise ValueError(
            f"Expected 1 to 2 dimensions, but got {targets.ndim}-dimensional tensor for argument "
            "#2 'targets'"
        )
    known = known_values(lengths)
    longest = None if known is None else int(known.max(initial=0))
    if targets.ndim == 1:
        if known is not None and targets.size != known.sum():
            raise ValueError(
                f"Expected tensor to have size {known.sum()} at dimension 0, but got size "
                f"{targets.size} for argument #2 'targets'"
            )
        places = jnp.arange(targets.size if longest is None else longest, dtype=jnp.int32)
        starts = jnp.cumsum(lengths, dtype=jnp.int32) - lengths
        place = starts[:, None] + places[None]
        targets = jnp.asarray(targets) if targets.size else jnp.zeros(1, jnp.int32)
        return targets.at[place].get(mode="clip").astype(jnp.int32)
    if targets.shape[0] != batch:
        raise ValueError(
            f"Expected tensor to have size {batch} at dimension 0, but got size "
            f"{targets.shape[0]} for argument #2 'targets'"
        )
    if longest is not None and targets.shape[1] < longest:
        raise ValueError(
            f"Expected tensor to have size at least {longest} at dimension 1, but got size "
            f"{targets.shape[1]} for argument #2 'targets'"
        )
    return jnp.asarray(targets).astype(jnp.int32)


def _check_labels(labels: jax.Array, lengths: jax.Array, classes: int) -> None:
    """Raise for a label that is none, where that is known."""
    known, ends = known_values(labels), known_values(lengths)
    if known is None or ends is None:
        return
    counted = known[np.arange(known.shape[1])[None] < ends[:, None]]
    outside = counted[(counted < 0) | (counted >= classes)]
    if outside.size:
        raise IndexError(f"Target {outside.flat[0]} is out of bounds.")

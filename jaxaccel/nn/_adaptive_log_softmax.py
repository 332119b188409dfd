"""A softmax over many classes, of which the rare ones are in clusters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from jaxaccel._arrays import known_values
from jaxaccel._checked import checked
from jaxaccel._types import DType, Generator
from jaxaccel.functional import log_softmax
from jaxaccel.nn._linear import Linear
from jaxaccel.nn._sequential import Sequential


class AdaptiveLogSoftmaxResult(NamedTuple):
    """What :class:`AdaptiveLogSoftmaxWithLoss` returns."""

    output: jax.Array
    """The log-probability of each target, (N,) or ()."""
    loss: jax.Array
    """Minus their mean."""


class AdaptiveLogSoftmaxWithLoss(nnx.Module):
    """A softmax over many classes, of which the rare ones are in clusters with fewer features.

    Classes are sorted by how often they occur, the most frequent first. ``head`` is a
    :class:`Linear` to the frequent ones and one output a cluster, ``tail`` a list of pairs of
    linear layers, one a cluster. ``layer(input, target)`` returns ``(output, loss)``:
    log-probabilities of the targets and minus their mean; ``log_prob(input)`` those of all classes,
    and ``predict(input)`` the likeliest class.

    Args:
        in_features: The length of the input's last axis.
        n_classes: The number of classes.
        cutoffs: Where the clusters begin, increasing, between 1 and n_classes - 1.
        div_value: By how much each cluster has fewer features than the one before.
        head_bias: Whether ``head`` has a bias.
        dtype: Of the parameters and so of the input; None for float32.
        rngs: Draws ``head``, then ``tail``.

    Raises:
        ValueError: bad cutoffs; from a call, bad shapes, or a target out of range. A compiled
            program cannot raise: there, the output of such a target is nan.

    PyTorch:
        ``torch.nn.AdaptiveLogSoftmaxWithLoss``: the same numbers. There a cluster is computed for
        the rows whose target is in it; here, where shapes are known before numbers are, for all
        rows. Left out: ``device`` (JAX places arrays). PyTorch raises ``RuntimeError`` for calls.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> rngs = ja.random.manual_seed(0)
        >>> layer = ja.nn.AdaptiveLogSoftmaxWithLoss(16, 20, [4, 10], rngs=rngs)
        >>> output, loss = layer(jnp.ones((3, 16), jnp.float32), jnp.array([0, 5, 19]))
        >>> output.shape, layer.log_prob(jnp.ones((3, 16), jnp.float32)).shape
        ((3,), (3, 20))

    References:
        Grave, Joulin, Cisse, Grangier, Jegou. Efficient Softmax Approximation for GPUs. 2017.
        https://arxiv.org/abs/1609.04309
    """

    @checked
    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        dtype: DType | None = None,
        *,
        rngs: nnx.Rngs | Generator,
    ):
        given = [*cutoffs]
        if len(given) == 0:
            raise ValueError("cutoffs should be a sequence of length larger than 0")
        if given != sorted({*given}) or given[0] <= 0 or given[-1] > n_classes - 1:
            raise ValueError(
                "cutoffs should be a sequence of unique, positive integers sorted in an increasing "
                "order, where each value is between 1 and n_classes-1"
            )
        self.in_features = in_features
        self.n_classes = n_classes
        self.cutoffs = (*given, n_classes)
        self.div_value = div_value
        self.head_bias = head_bias
        self.shortlist_size = given[0]
        self.n_clusters = len(given)
        self.head_size = self.shortlist_size + self.n_clusters
        self.head = Linear(in_features, self.head_size, head_bias, dtype, rngs=rngs)
        clusters = []
        for index in range(self.n_clusters):
            hidden = int(in_features // div_value ** (index + 1))
            width = self.cutoffs[index + 1] - self.cutoffs[index]
            first = Linear(in_features, hidden, False, dtype, rngs=rngs)
            clusters.append(Sequential(first, Linear(hidden, width, False, dtype, rngs=rngs)))
        self.tail = nnx.List(clusters)

    @checked
    def __call__(self, input: jax.Array, target: jax.Array) -> AdaptiveLogSoftmaxResult:
        """Return the log-probabilities of the targets, and minus their mean."""
        _check_targets(input, target, self.n_classes)
        is_batched = target.ndim == 1
        rows, index = (input, target) if is_batched else (input[None], target[None])
        chosen = jnp.clip(index, 0, self.n_classes - 1)
        output = jnp.take_along_axis(self.log_prob(rows), chosen[:, None], 1)[:, 0]
        output = jnp.where(chosen == index, output, jnp.full_like(output, jnp.nan))
        return AdaptiveLogSoftmaxResult(output if is_batched else output[0], -jnp.mean(output))

    @checked
    def log_prob(self, input: jax.Array) -> jax.Array:
        """Return the log-probabilities of all classes, (N, n_classes).

        Args:
            input: (N, in_features).
        """
        head = log_softmax(self.head(input), 1)
        parts = [head[:, : self.shortlist_size]]
        for index, cluster in enumerate(self.tail):
            of_cluster = head[:, self.shortlist_size + index, None]
            parts.append(log_softmax(cluster(input), 1) + of_cluster)
        return jnp.concatenate(parts, 1)

    @checked
    def predict(self, input: jax.Array) -> jax.Array:
        """Return the likeliest class of each row, (N,).

        Args:
            input: (N, in_features).
        """
        return jnp.argmax(self.log_prob(input), 1)


def _check_targets(input: jax.Array, target: jax.Array, classes: int) -> None:
    """Check a call's shapes, and its targets where they are known, with PyTorch's texts."""
    if target.ndim == 1:
        if input.shape[:1] != target.shape:
            raise ValueError("Input and target should have the same size in the batch dimension.")
        if input.ndim != 2:
            raise ValueError(
                "1D target tensor expects 2D input tensors, but found inputs with size "
                f"{input.shape}"
            )
    elif target.ndim != 0:
        raise ValueError("0D or 1D target tensor expected, multi-target not supported")
    elif input.ndim != 1:
        raise ValueError(
            f"0D target tensor expects 1D input tensors, but found inputs with size {input.shape}"
        )
    if not jnp.issubdtype(target.dtype, jnp.integer):
        raise TypeError(f"target must be integers, got dtype {target.dtype}")
    known = known_values(target)
    if known is not None and ((known < 0) | (known >= classes)).any():
        raise ValueError(
            f"Target values should be in [0, {classes - 1}], but values in range "
            f"[{known.min()}, {known.max()}] were found. "
        )

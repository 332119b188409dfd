"""A linear layer with the cross entropy of its outputs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel._types import DType, Generator
from jaxaccel.functional import linear_cross_entropy
from jaxaccel.nn._arguments import array_of, buffer_of, check_reduction, value_of
from jaxaccel.nn._linear import Linear


class LinearCrossEntropyLoss(nnx.Module):
    """A linear layer and the cross entropy of its outputs.

    ``loss(input, target)`` is :func:`jaxaccel.functional.linear_cross_entropy` with the weight and
    bias of ``linear``, a :class:`Linear`. ``weight`` is a buffer.

    Args:
        in_features: The length of the input's last axis.
        num_classes: The number of classes, C.
        out_features: The positions that have a class each, (); the classes are last.
        bias: Whether ``linear`` has a bias.
        dtype: Of its parameters; None for float32.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.
        weight: (C,), the weight of each class; None for 1.
        ignore_index: The index that counts nowhere; None for -100.
        label_smoothing: The share of the target that is spread over all classes, in [0, 1].
        rngs: Draws ``linear``.

    Raises:
        ValueError: a ``weight`` of another shape, ``label_smoothing`` is not in [0, 1]; from a
            call, as :func:`jaxaccel.functional.linear_cross_entropy`.

    PyTorch:
        ``torch.nn.LinearCrossEntropyLoss``: the same, but for the weight, which is transposed
        (:func:`jaxaccel.nn.state_dict` gives PyTorch's), and its outputs, of which the classes are
        first there. Left out: ``device`` (JAX places arrays) and ``options``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> loss = ja.nn.LinearCrossEntropyLoss(3, 5, rngs=ja.random.manual_seed(0))
        >>> loss(jnp.ones((2, 3), jnp.float32), jnp.array([0, 4])).shape
        ()
    """

    torch_transposed = ()

    @checked
    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        out_features: Sequence[int] = (),
        bias: bool = False,
        dtype: DType | None = None,
        reduction: str = "mean",
        weight: jax.Array | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        rngs: nnx.Rngs | Generator,
    ):
        if weight is not None and weight.shape != (num_classes,):
            raise ValueError(f"expected weight shape to be {(num_classes,)}, got {weight.shape}")
        if not 0 <= label_smoothing <= 1:
            raise ValueError(
                f"expected label_smoothing to be in range [0, 1], got {label_smoothing}"
            )
        check_reduction(reduction)
        self.weight = buffer_of(weight)
        self.num_classes = num_classes
        self.out_features = tuple(out_features)
        self.reduction = reduction
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing
        width = math.prod(self.out_features, start=num_classes)
        self.linear = Linear(in_features, width, bias, dtype, rngs=rngs)

    @checked
    def __call__(self, input: jax.Array, target: jax.Array) -> jax.Array:
        """Return the loss."""
        weight, bias = array_of(self.linear, "weight"), value_of(self.linear.bias)
        return linear_cross_entropy(
            input,
            self._classes_last(weight),
            target,
            linear_bias=None if bias is None else self._classes_last(bias[None])[0],
            weight=value_of(self.weight),
            reduction=self.reduction,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
        )

    def _classes_last(self, array: jax.Array) -> jax.Array:
        """Return (rows, outputs), which PyTorch has classes first, as (rows, *positions, C)."""
        shape = (array.shape[0], self.num_classes, *self.out_features)
        return jnp.moveaxis(array.reshape(shape), 1, -1)

"""The multilayer perceptron."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import jax
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel._types import DType, Generator
from jaxaccel.nn import Flatten, Linear


class MLP(nnx.Module):
    """Linear layers with a ReLU between each two; :func:`mlp` builds it."""

    def __init__(self, features: Sequence[int], dtype: Any, *, rngs: nnx.Rngs | Generator):
        self.flatten = Flatten()
        self.layers = nnx.List(
            [
                Linear(inputs, outputs, dtype=dtype, rngs=rngs)
                for inputs, outputs in itertools.pairwise(features)
            ]
        )

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return (N, out_features) for (N, in_features) or (N, H, W, C)."""
        x = self.flatten(input)
        for layer in list(self.layers)[:-1]:
            x = jax.nn.relu(layer(x))
        return self.layers[-1](x)


@checked
def mlp(
    in_features: int,
    hidden_features: Sequence[int],
    out_features: int,
    dtype: DType | None = None,
    *,
    rngs: nnx.Rngs | Generator,
) -> MLP:
    """Build a multilayer perceptron: linear layers with a ReLU between each two.

    Args:
        in_features: The length of an input, or height times width times channels of an image.
        hidden_features: The widths of the hidden layers; empty for a linear model.
        out_features: The length of an output: classes, as a rule.
        dtype: Of the parameters and so of the input; None for float32.
        rngs: Draws the weights from PyTorch's default distribution: the ``params`` stream of an
            ``nnx.Rngs``, or a :class:`jaxaccel.random.Generator` for PyTorch's own numbers.

    Returns:
        An nnx module: (N, in_features), or images (N, H, W, C), to (N, out_features).

    PyTorch:
        An ``nn.ModuleList`` named ``layers`` of ``nn.Linear``, with ``relu`` between them; images
        are flattened channels first, as ``nn.Flatten`` does, so that weights go over unpermuted.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> model = ja.models.mlp(784, [256, 128], 10, rngs=nnx.Rngs(0))
        >>> model(jnp.ones((2, 28, 28, 1), jnp.float32)).shape
        (2, 10)
    """
    return MLP((in_features, *hidden_features, out_features), dtype, rngs=rngs)

"""The layer of a slope that is learned."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxaccel.functional import prelu
from jaxaccel.nn._arguments import parameter_dtype


class PReLU(nnx.Module):
    """Scale what is negative by a slope that is learned (:func:`jaxaccel.functional.prelu`).

    ``weight`` is (num_parameters,). It should not decay.

    Args:
        num_parameters: 1, or the number of channels, which are last.
        init: Where the slopes start.
        dtype: Of the slopes and so of the input; None for float32.
        channel_axis: The axis of the channels; -1 is channels last, 1 is PyTorch's.

    Raises:
        ValueError: from a call, an input with another number of channels.
        TypeError: from a call, an input of another dtype.

    PyTorch:
        ``torch.nn.PReLU``: the same, channels last. Left out: ``device`` (JAX places arrays). The
        layer draws nothing and takes no ``rngs``. PyTorch raises ``RuntimeError``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.PReLU(init=0.5)(jnp.array([-1.0, 2.0], jnp.float32)).tolist()
        [-0.5, 2.0]

    References:
        He, Zhang, Ren, Sun. Delving Deep into Rectifiers. 2015. https://arxiv.org/abs/1502.01852
    """

    torch_transposed = ()

    def __init__(
        self,
        num_parameters: int = 1,
        init: float = 0.25,
        dtype: Any = None,
        *,
        channel_axis: int = -1,
    ):
        self.num_parameters = num_parameters
        self.init = init
        self.channel_axis = channel_axis
        self.weight = nnx.Param(jnp.full((num_parameters,), init, parameter_dtype(dtype)))

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the output, of the input's shape and dtype."""
        return prelu(input, self.weight[...], channel_axis=self.channel_axis)

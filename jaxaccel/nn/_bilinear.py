"""The bilinear layer."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxaccel._math import compute_dtype
from jaxaccel._types import Generator
from jaxaccel.init import uniform
from jaxaccel.nn._arguments import add_bias, parameter_dtype, params_key


class Bilinear(nnx.Module):
    r"""Map two vectors through a bilinear form for each output.

    .. math::
        y_o = x_1^\top A_o x_2 + b_o

    From (..., in1_features) and (..., in2_features) to (..., out_features). ``weight`` is
    (out_features, in1_features, in2_features), as in PyTorch, ``bias`` (out_features,) or None.

    Args:
        in1_features: The length of the first input's last axis, positive.
        in2_features: The length of the second input's last axis.
        out_features: The length of the output's last axis.
        bias: Whether to add a bias.
        dtype: Of the parameters and so of the inputs; None for float32.
        rngs: Draws ``weight``, then ``bias``, from PyTorch's U(-b, b) with b = 1 / sqrt(in1
            features): the ``params`` stream of an ``nnx.Rngs``, or a
            :class:`jaxaccel.random.Generator` for PyTorch's own numbers.

    Raises:
        ValueError: ``in1_features`` is not positive, another size is negative; from a call, inputs
            whose last axes are of other lengths or whose other axes differ.
        TypeError: from a call, inputs of another dtype than the parameters.

    PyTorch:
        ``torch.nn.Bilinear``: the same. Left out: ``device`` (JAX places arrays). PyTorch raises
        ``RuntimeError`` for shapes and dtypes.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> layer = ja.nn.Bilinear(3, 4, 2, rngs=nnx.Rngs(0))
        >>> layer(jnp.ones((5, 3), jnp.float32), jnp.ones((5, 4), jnp.float32)).shape
        (5, 2)
    """

    torch_transposed = ()

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        dtype: Any = None,
        *,
        rngs: nnx.Rngs | Generator,
    ):
        shape = (out_features, in1_features, in2_features)
        if min(shape) < 0:
            raise ValueError(
                f"Trying to create tensor with negative dimension {min(shape)}: {[*shape]}"
            )
        if in1_features == 0:
            raise ValueError(f"in1_features must be > 0, but got (in1_features={in1_features})")
        self.in1_features = in1_features
        self.in2_features = in2_features
        self.out_features = out_features
        dtype, bound = parameter_dtype(dtype), 1 / math.sqrt(in1_features)
        start = uniform(-bound, bound, layout="torch")
        self.weight = nnx.Param(start(params_key(rngs), shape, dtype))
        self.bias: nnx.Param[jax.Array] | None = nnx.data(None)
        if bias:
            self.bias = nnx.Param(start(params_key(rngs), (out_features,), dtype))

    def __call__(self, input1: jax.Array, input2: jax.Array) -> jax.Array:
        """Return the output, in the inputs' dtype."""
        weight = self.weight[...]
        bias = None if self.bias is None else self.bias[...]
        _check_inputs(self, input1, input2)
        wide = compute_dtype(input1.dtype)
        rows = jnp.einsum("...i,oij->...oj", input1, weight, preferred_element_type=wide)
        output = jnp.einsum("...oj,...j->...o", rows, input2.astype(wide))
        return add_bias(output, None if bias is None else bias.astype(wide)).astype(input1.dtype)


def _check_inputs(layer: Bilinear, input1: jax.Array, input2: jax.Array) -> None:
    """Check shapes and dtypes, with PyTorch's texts."""
    if input1.ndim != input2.ndim:
        raise ValueError(
            f"bilinear(): input dimensions do not match: got {input1.ndim} and {input2.ndim}"
        )
    for axis, (first, second) in enumerate(zip(input1.shape[:-1], input2.shape[:-1], strict=True)):
        if first != second:
            raise ValueError(
                f"bilinear(): input batch dimensions do not match at dim {axis}: "
                f"got {first} and {second}"
            )
    expected = layer.in1_features, layer.in2_features
    for number, (input, size) in enumerate(zip((input1, input2), expected, strict=True), 1):
        if input.shape[-1] != size:
            raise ValueError(
                f"bilinear(): input{number} size does not match weight size: "
                f"got {input.shape[-1]} but expected {size}"
            )
    dtype = layer.weight.dtype
    if input1.dtype != dtype or input2.dtype != dtype:
        raise TypeError(
            f"All tensors must have the same dtype, got input1: {input1.dtype}, "
            f"input2: {input2.dtype}, weight: {dtype}"
        )

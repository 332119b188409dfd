"""The linear, the bilinear and the empty layer."""

from __future__ import annotations

import math
from typing import Any

import jax
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel._types import DType, Generator
from jaxaccel.functional import bilinear, linear
from jaxaccel.init import default_bias, default_weight, uniform
from jaxaccel.nn._arguments import array_of, parameter_dtype, params_key, value_of


class Identity(nnx.Module):
    """Return the input.

    Args:
        args: Not looked at.
        kwargs: Not looked at.

    PyTorch:
        ``torch.nn.Identity``: the same.

    Example:
        >>> import jaxaccel as ja
        >>> ja.nn.Identity(54, unused=True)(1.5)
        1.5
    """

    @checked
    def __init__(self, *args: Any, **kwargs: Any):
        pass

    def __call__(self, input: Any) -> Any:
        """Return the input."""
        return input


class Linear(nnx.Module):
    r"""Map the last axis through a matrix (:func:`jaxaccel.functional.linear`).

    .. math::
        y = x W + b

    From (..., in_features) to (..., out_features). ``weight`` is (in_features, out_features),
    ``bias`` (out_features,) or None. ``layer.weight = embedding.weight`` ties it to another layer's
    weight, in whichever layout that is kept. TPUs and many GPUs multiply float32 with fewer digits
    unless asked for all of them, by ``jax.default_matmul_precision("highest")``.

    Args:
        in_features: The length of the input's last axis.
        out_features: The length of the output's last axis.
        bias: Whether to add a bias.
        dtype: Of the parameters and so of the input; None for float32.
        rngs: Draws ``weight``, then ``bias``, from PyTorch's default distribution
            (:func:`jaxaccel.init.default_weight`): the ``params`` stream of an ``nnx.Rngs``, or a
            :class:`jaxaccel.random.Generator` for PyTorch's own numbers.

    Raises:
        ValueError: from a call, an input whose last axis is not in_features.
        TypeError: from a call, an input of another dtype than the parameters.

    PyTorch:
        ``torch.nn.Linear``: the same, but for the weight, which is transposed (flax's layout;
        :func:`jaxaccel.nn.state_dict` gives PyTorch's). Left out: ``device`` (JAX places arrays).
        PyTorch raises ``RuntimeError`` for shapes and dtypes. The counterpart of
        ``jax.default_matmul_precision`` is ``torch.set_float32_matmul_precision``.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> layer = ja.nn.Linear(3, 2, rngs=nnx.Rngs(0))
        >>> layer(jnp.ones((5, 3), jnp.float32)).shape
        (5, 2)
    """

    torch_transposed = ("weight",)
    kernel_axes = 2
    reads_any_layout = True

    @checked
    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        dtype: DType | None = None,
        *,
        rngs: nnx.Rngs | Generator,
    ):
        dtype = parameter_dtype(dtype)
        shape = (in_features, out_features)
        self.in_features = in_features
        self.out_features = out_features
        kernel = default_weight()(params_key(rngs), shape, dtype)
        self.weight = nnx.Param(kernel, layout="flax")
        self.bias: nnx.Param[jax.Array] | None = nnx.data(None)
        if bias:
            draw = default_bias(in_features)
            self.bias = nnx.Param(draw(params_key(rngs), (out_features,), dtype))

    @checked
    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the output, in the input's dtype."""
        weight = array_of(self, "weight")
        _check_shared(self, input, weight)
        return linear(input, weight, value_of(self.bias))


def _check_shared(layer: Linear, input: jax.Array, weight: jax.Array) -> None:
    """Say how to tie a weight that is another layer's and does not fit the input."""
    own = (layer.in_features, layer.out_features)
    if weight.shape != own and input.shape[-1:] != weight.shape[:1]:
        raise ValueError(
            "mat1 and mat2 shapes cannot be multiplied "
            f"({math.prod(input.shape[:-1])}x{input.shape[-1] if input.ndim else 0} and "
            f"{'x'.join(map(str, weight.shape))})\n"
            f"Linear{own} has a weight for {weight.shape[0]} inputs, which it may share with "
            f"another layer: Linear(E, V) takes that of Embedding(V, E) and of Linear(E, V); for "
            "the transpose of a Linear's, use jaxaccel.functional.linear"
        )


class Bilinear(nnx.Module):
    r"""Map two vectors through a bilinear form for each output.

    :func:`jaxaccel.functional.bilinear`:

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
    reads_any_layout = True

    @checked
    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        dtype: DType | None = None,
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
        self.weight = nnx.Param(start(params_key(rngs), shape, dtype), layout="torch")
        self.bias: nnx.Param[jax.Array] | None = nnx.data(None)
        if bias:
            self.bias = nnx.Param(start(params_key(rngs), (out_features,), dtype))

    @checked
    def __call__(self, input1: jax.Array, input2: jax.Array) -> jax.Array:
        """Return the output, in the inputs' dtype."""
        return bilinear(input1, input2, array_of(self, "weight"), value_of(self.bias))

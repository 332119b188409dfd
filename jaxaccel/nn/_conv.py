"""The convolution layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol

import jax
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel._spatial import (
    check_conv_dilation,
    check_conv_padding,
    check_kernel_size,
    check_stride,
    conv_axes,
)
from jaxaccel._types import DType, Generator
from jaxaccel.functional import conv1d, conv2d, conv3d, pad
from jaxaccel.init import default_bias, default_weight
from jaxaccel.nn._arguments import array_of, parameter_dtype, params_key


class Convolution(nnx.Module):
    """What the convolutions share; ``_convolve`` is the function of their ``axes`` spatial axes."""

    torch_transposed = ("weight",)
    reads_any_layout = True
    axes: ClassVar[int]
    _convolve: ClassVar[Callable[..., jax.Array]]

    @property
    def kernel_axes(self) -> int:
        """How many axes the kernel has."""
        return self.axes + 2

    @checked
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] | str = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        dtype: DType | None = None,
        *,
        rngs: nnx.Rngs | Generator,
    ):
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = conv_axes("kernel_size", kernel_size, self.axes)
        self.stride = conv_axes("stride", stride, self.axes)
        self.padding = (
            padding if isinstance(padding, str) else conv_axes("padding", padding, self.axes)
        )
        self.dilation = conv_axes("dilation", dilation, self.axes)
        self.groups = groups
        self.padding_mode = padding_mode
        check_conv_padding(self.padding, self.stride)
        if padding_mode not in ("zeros", "reflect", "replicate", "circular"):
            raise ValueError(
                f"padding_mode must be one of {{'zeros', 'reflect', 'replicate', 'circular'}}, "
                f"but got padding_mode='{padding_mode}'"
            )
        check_geometry(self)
        check_conv_dilation(self.dilation)
        self.weight, self.bias = draw(in_channels // groups, out_channels, self, bias, dtype, rngs)

    @checked
    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the output, in the input's dtype."""
        weight = array_of(self, "weight")
        bias = None if self.bias is None else self.bias[...]
        padding = self.padding
        if self.padding_mode != "zeros":
            input, padding = pad(input, self._pairs(), self.padding_mode), 0
        return self._convolve(input, weight, bias, self.stride, padding, self.dilation, self.groups)

    def _pairs(self) -> list[int]:
        """Return what :func:`jaxaccel.functional.pad` adds: pairs, the last axis first."""
        each = self.padding
        if each == "valid":
            each = (0,) * self.axes
        if isinstance(each, str):  # "same": the odd point goes to the end
            total = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True)]
            return [half for t in reversed(total) for half in (t // 2, t - t // 2)]
        return [int(p) for p in reversed(each) for _ in range(2)]


class Geometry(Protocol):
    """What a convolution knows before it has arrays."""

    in_channels: int
    out_channels: int
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    groups: int


def draw(
    inputs: int, outputs: int, layer: Geometry, bias: bool, dtype: Any, rngs: nnx.Rngs | Generator
) -> tuple[nnx.Param[jax.Array], nnx.Param[jax.Array] | None]:
    """Draw the weight (*k, inputs, outputs), then the bias, as PyTorch's ``_ConvNd`` does."""
    dtype = parameter_dtype(dtype)
    shape = (*layer.kernel_size, inputs, outputs)
    torch_shape = [outputs, inputs, *layer.kernel_size]
    if min(shape) < 0:
        text = f"Trying to create tensor with negative dimension {min(shape)}: {torch_shape}"
        raise ValueError(text)
    if outputs == 0:
        raise ValueError(
            f"Given groups={layer.groups}, expected weight to be at least {layer.groups} at "
            f"dimension 0, but got weight of size {torch_shape} instead"
        )
    weight = nnx.Param(default_weight()(params_key(rngs), shape, dtype), layout="flax")
    if not bias:
        return weight, nnx.data(None)
    start = default_bias(math.prod(shape[:-1]))
    return weight, nnx.Param(start(params_key(rngs), (layer.out_channels,), dtype))


def check_geometry(layer: Geometry) -> None:
    """Check channels, window and stride, with PyTorch's texts."""
    if layer.groups <= 0:
        raise ValueError("groups must be a positive integer")
    if layer.in_channels % layer.groups != 0:
        raise ValueError("in_channels must be divisible by groups")
    if layer.out_channels % layer.groups != 0:
        raise ValueError("out_channels must be divisible by groups")
    check_kernel_size(layer.kernel_size)
    check_stride(layer.stride)


class Conv2d(Convolution):
    """Convolve images (:func:`jaxaccel.functional.conv2d`), channels last.

    From (N, H, W, in_channels) to (N, H', W', out_channels); an image without a batch axis works
    too. ``weight`` is (kernel height, kernel width, in_channels / groups, out_channels), ``bias``
    (out_channels,) or None.
    TPUs and many GPUs multiply float32 with fewer digits unless asked for all of them, by
    ``jax.default_matmul_precision("highest")``.

    Args:
        in_channels: Channels of the input, a multiple of ``groups``.
        out_channels: Channels of the output, a multiple of ``groups``.
        kernel_size: Size of the window, one number or (height, width).
        stride: Step of the window, one number or (height, width).
        padding: Points added on both sides, one number or (height, width);
            ``"valid"`` adds none, ``"same"`` as many as keep the size (stride 1 only; the odd one
            goes to the end).
        dilation: Distance of the window's points, one number or (height, width).
        groups: The channels fall into so many blocks that do not see each other; as many as there
            are input channels make it depthwise.
        bias: Whether to add a bias.
        padding_mode: What is added: ``"zeros"``, ``"reflect"``, ``"replicate"`` or ``"circular"``.
        dtype: Of the parameters and so of the input; None for float32.
        rngs: Draws ``weight``, then ``bias``, from PyTorch's default distribution
            (:func:`jaxaccel.init.default_weight`): the ``params`` stream of an ``nnx.Rngs``, or a
            :class:`jaxaccel.random.Generator` for PyTorch's own numbers.

    Raises:
        ValueError: a bad argument; from a call, an input of another shape or smaller than the
            window.
        TypeError: from a call, an input of another dtype than the parameters.

    PyTorch:
        ``torch.nn.Conv2d``: the same, but for the axes: channels are last, and the weight is in
        flax's layout (:func:`jaxaccel.nn.state_dict` gives PyTorch's). Left out: ``device`` (JAX
        places arrays). Where PyTorch raises ``RuntimeError``, and for many arguments only when the
        layer is called, this raises ``ValueError`` or ``TypeError``, at once where it can. The
        counterpart of ``jax.default_matmul_precision`` is
        ``torch.set_float32_matmul_precision``.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> layer = ja.nn.Conv2d(3, 8, 3, stride=2, padding=1, rngs=nnx.Rngs(0))
        >>> layer(jnp.ones((4, 32, 32, 3), jnp.float32)).shape
        (4, 16, 16, 8)
    """

    axes = 2
    _convolve = staticmethod(conv2d)


class Conv1d(Convolution):
    """Convolve sequences (:func:`jaxaccel.functional.conv1d`), channels last.

    Args:
        as :class:`Conv2d`, with one number each, for (N, L, in_channels) or (L, in_channels);
        ``weight`` is (kernel, in_channels / groups, out_channels).

    PyTorch:
        as :class:`Conv2d`, of ``torch.nn.Conv1d``.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> layer = ja.nn.Conv1d(3, 8, 3, stride=2, padding=1, rngs=nnx.Rngs(0))
        >>> layer(jnp.ones((4, 32, 3), jnp.float32)).shape
        (4, 16, 8)
    """

    axes = 1
    _convolve = staticmethod(conv1d)


class Conv3d(Convolution):
    """Convolve volumes (:func:`jaxaccel.functional.conv3d`), channels last.

    Args:
        as :class:`Conv2d`, with three numbers each, or one, for (N, D, H, W, in_channels) or
        (D, H, W, in_channels); ``weight`` is (kernel depth, height, width, in_channels / groups,
        out_channels).

    PyTorch:
        as :class:`Conv2d`, of ``torch.nn.Conv3d``.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> layer = ja.nn.Conv3d(3, 8, 3, stride=2, padding=1, rngs=nnx.Rngs(0))
        >>> layer(jnp.ones((4, 8, 8, 8, 3), jnp.float32)).shape
        (4, 4, 4, 4, 8)
    """

    axes = 3
    _convolve = staticmethod(conv3d)

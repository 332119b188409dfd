"""The transposed convolution layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import jax
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel._spatial import check_conv_transpose, conv_axes
from jaxaccel._types import DType, Generator
from jaxaccel.functional import conv_transpose1d, conv_transpose2d, conv_transpose3d
from jaxaccel.nn._arguments import array_of
from jaxaccel.nn._conv import check_geometry, draw


class TransposedConvolution(nnx.Module):
    """What the transposed convolutions share; ``_convolve`` is the function of their ``axes``."""

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
        padding: int | Sequence[int] = 0,
        output_padding: int | Sequence[int] = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | Sequence[int] = 1,
        padding_mode: str = "zeros",
        dtype: DType | None = None,
        *,
        rngs: nnx.Rngs | Generator,
    ):
        if isinstance(padding, str):
            raise TypeError(
                f"conv_transpose{self.axes}d(): argument 'padding' (position 5) must be tuple of "
                f"ints, but found element of type str at pos 0: {padding!r}"
            )
        if padding_mode != "zeros":
            raise ValueError(
                f'Only "zeros" padding mode is supported for ConvTranspose{self.axes}d'
            )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = conv_axes("kernel_size", kernel_size, self.axes)
        self.stride = conv_axes("stride", stride, self.axes)
        self.padding = conv_axes("padding", padding, self.axes)
        self.output_padding = conv_axes("output_padding", output_padding, self.axes)
        self.groups = groups
        self.dilation = conv_axes("dilation", dilation, self.axes)
        self.padding_mode = padding_mode
        check_geometry(self)
        check_conv_transpose(self.stride, self.padding, self.output_padding, self.dilation)
        self.weight, self.bias = draw(out_channels // groups, in_channels, self, bias, dtype, rngs)

    @checked
    def __call__(self, input: jax.Array, output_size: Sequence[int] | None = None) -> jax.Array:
        """Return the output, in the input's dtype.

        With a stride several sizes have the same convolution: ``output_size``, in place of
        ``output_padding``, names the spatial ones, or the whole output's.
        """
        weight = array_of(self, "weight")
        bias = None if self.bias is None else self.bias[...]
        extra = self.output_padding
        if output_size is not None and input.ndim in (self.axes + 1, self.axes + 2):
            extra = self._extra_points(input.shape, output_size)
        options = (self.stride, self.padding, extra, self.groups, self.dilation)
        return self._convolve(input, weight, bias, *options)

    def _extra_points(self, shape: tuple[int, ...], wanted: Sequence[int]) -> tuple[int, ...]:
        """Return the output padding that gives the sizes wanted, with PyTorch's texts."""
        if len(wanted) == len(shape):
            wanted = wanted[-1 - self.axes : -1]
        if len(wanted) != self.axes:
            raise ValueError(
                f"ConvTranspose{self.axes}D: for {len(shape)}D input, output_size must have "
                f"{self.axes} or {len(shape)} elements (got {len(wanted)})"
            )
        sizes = shape[-1 - self.axes : -1]
        each = zip(sizes, self.stride, self.padding, self.dilation, self.kernel_size, strict=True)
        smallest = [(n - 1) * s - 2 * p + d * (k - 1) + 1 for n, s, p, d, k in each]
        largest = [size + stride - 1 for size, stride in zip(smallest, self.stride, strict=True)]
        bounds = zip(smallest, wanted, largest, strict=True)
        if not all(low <= size <= high for low, size, high in bounds):
            raise ValueError(
                f"requested an output size of {[*wanted]}, but valid sizes range from {smallest} "
                f"to {largest} (for an input of {[*sizes]})"
            )
        return tuple(size - low for low, size in zip(smallest, wanted, strict=True))


class ConvTranspose2d(TransposedConvolution):
    """Transpose a convolution of images (:func:`jaxaccel.functional.conv_transpose2d`).

    From (N, H, W, in_channels) to (N, H', W', out_channels). It is the gradient of a
    :class:`jaxaccel.nn.Conv2d` with respect to its input, and with a stride enlarges what it gets.
    An image without a batch axis works too. ``weight`` is (kernel height, kernel width,
    out_channels / groups, in_channels), ``bias`` (out_channels,) or None. ``layer(input,
    output_size)`` chooses among the sizes that the stride allows. Full precision on a TPU or GPU:
    ``jax.default_matmul_precision("highest")``.

    Args:
        in_channels: Channels of the input, a multiple of ``groups``.
        out_channels: Channels of the output, a multiple of ``groups``.
        kernel_size: Size of the window, one number or (height, width).
        stride: Step of the window in the output, one number or (height, width).
        padding: Points taken off both sides of the output, one number or (height, width).
        output_padding: Points added to the end of the output, one number or (height, width);
            smaller than the stride or the dilation.
        groups: The channels fall into so many blocks that do not see each other.
        bias: Whether to add a bias.
        dilation: Distance of the window's points, one number or (height, width).
        padding_mode: ``"zeros"``, nothing else.
        dtype: Of the parameters and so of the input; None for float32.
        rngs: Draws ``weight``, then ``bias``, from PyTorch's default distribution, whose fan_in is
            here out_channels / groups times the window: the ``params`` stream of an ``nnx.Rngs``,
            or a :class:`jaxaccel.random.Generator` for PyTorch's own numbers.

    Raises:
        ValueError: a bad argument; from a call, an input of another shape, no output, or an
            ``output_size`` out of reach.
        TypeError: ``padding`` is a string; from a call, an input of another dtype than the
            parameters.

    PyTorch:
        ``torch.nn.ConvTranspose2d``: the same, but for the axes: channels are last, and the weight
        is ``(*k, out_channels / groups, in_channels)`` (:func:`jaxaccel.nn.state_dict` gives
        PyTorch's). Left out: ``device`` (JAX places arrays). Where PyTorch raises
        ``RuntimeError``, and for many arguments only when the layer is called, this raises
        ``ValueError``, at once where it can. The counterpart of ``jax.default_matmul_precision``
        is ``torch.set_float32_matmul_precision``.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> layer = ja.nn.ConvTranspose2d(3, 8, 2, stride=2, rngs=nnx.Rngs(0))
        >>> layer(jnp.ones((4, 8, 8, 3), jnp.float32)).shape
        (4, 16, 16, 8)
    """

    axes = 2
    _convolve = staticmethod(conv_transpose2d)


class ConvTranspose1d(TransposedConvolution):
    """Transpose a convolution of sequences (:func:`jaxaccel.functional.conv_transpose1d`).

    Args:
        as :class:`ConvTranspose2d`, with one number each, for (N, L, in_channels) or
        (L, in_channels); ``weight`` is (kernel, out_channels / groups, in_channels).

    PyTorch:
        as :class:`ConvTranspose2d`, of ``torch.nn.ConvTranspose1d``.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> layer = ja.nn.ConvTranspose1d(3, 8, 2, stride=2, rngs=nnx.Rngs(0))
        >>> layer(jnp.ones((4, 8, 3), jnp.float32)).shape
        (4, 16, 8)
    """

    axes = 1
    _convolve = staticmethod(conv_transpose1d)


class ConvTranspose3d(TransposedConvolution):
    """Transpose a convolution of volumes (:func:`jaxaccel.functional.conv_transpose3d`).

    Args:
        as :class:`ConvTranspose2d`, with three numbers each, or one, for (N, D, H, W, in_channels)
        or (D, H, W, in_channels); ``weight`` is (kernel depth, height, width, out_channels /
        groups, in_channels).

    PyTorch:
        as :class:`ConvTranspose2d`, of ``torch.nn.ConvTranspose3d``.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> layer = ja.nn.ConvTranspose3d(3, 8, 2, stride=2, rngs=nnx.Rngs(0))
        >>> layer(jnp.ones((4, 4, 4, 4, 3), jnp.float32)).shape
        (4, 8, 8, 8, 8)
    """

    axes = 3
    _convolve = staticmethod(conv_transpose3d)

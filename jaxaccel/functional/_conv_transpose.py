"""The transposed convolutions."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxaccel._checked import checked
from jaxaccel._operations import operation
from jaxaccel._spatial import as_plane, check_conv_transpose, conv_axes
from jaxaccel._weight_map import WeightMap, affine
from jaxaccel.functional._conv_shapes import (
    check_bias,
    check_conv,
    check_points,
    dimension_numbers,
    wrong_channels,
)
from jaxaccel.functional._linear import check_same_dtype


@checked
@operation("conv_transpose2d", low=None, has_wide=False)
def conv_transpose2d(
    input: jax.Array,
    weight: jax.Array,
    bias: jax.Array | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    output_padding: int | Sequence[int] = 0,
    groups: int = 1,
    dilation: int | Sequence[int] = 1,
) -> jax.Array:
    """Apply a convolution's transpose to images, channels last.

    It is the gradient of :func:`conv2d` with respect to its input, and with a stride enlarges what
    it gets. Full precision on a TPU or GPU: ``jax.default_matmul_precision("highest")``.

    Args:
        input: (N, H, W, in_channels), or (H, W, in_channels).
        weight: (kernel height, kernel width, out_channels / groups, in_channels), flax's layout.
        bias: (out_channels,), or None.
        stride: Step of the window in the output, one number or (height, width).
        padding: Points taken off both sides of the output, one number or (height, width).
        output_padding: Points added to the end of the output, one number or (height, width);
            smaller than the stride or the dilation.
        groups: The channels fall into so many blocks that do not see each other.
        dilation: Distance of the window's points, one number or (height, width).

    Returns:
        (N, H', W', out_channels), or (H', W', out_channels), in the input's dtype.

    Raises:
        ValueError: a bad argument, shapes that do not fit, or no output.
        TypeError: ``padding`` is a string, or different dtypes.

    PyTorch:
        ``torch.nn.functional.conv_transpose2d``: the same, but for the axes: channels are last, and
        the weight is ``w.permute(2, 3, 1, 0)`` of PyTorch's, whose axes are in_channels,
        out_channels / groups and the kernel's. PyTorch raises ``RuntimeError``. The counterpart of
        ``jax.default_matmul_precision`` is ``torch.set_float32_matmul_precision``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> image, weight = jnp.array([[[[1.0], [2.0]]]]), jnp.ones((2, 2, 1, 1))
        >>> ja.functional.conv_transpose2d(image, weight, stride=2)[0, :, :, 0].tolist()
        [[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0]]
    """
    geometry = (stride, padding, output_padding, groups, dilation)
    return _conv_transpose(2, input, weight, bias, *geometry)


@checked
@operation("conv_transpose1d", low=None, has_wide=False)
def conv_transpose1d(
    input: jax.Array,
    weight: jax.Array,
    bias: jax.Array | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    output_padding: int | Sequence[int] = 0,
    groups: int = 1,
    dilation: int | Sequence[int] = 1,
) -> jax.Array:
    """Apply a convolution's transpose to sequences, channels last.

    Args:
        as :func:`conv_transpose2d`, for an input (N, L, in_channels) or (L, in_channels) and a
        weight (kernel, out_channels / groups, in_channels).

    Returns:
        (N, L', out_channels), or (L', out_channels), in the input's dtype.

    Raises:
        as :func:`conv_transpose2d`.

    PyTorch:
        as :func:`conv_transpose2d`, of ``torch.nn.functional.conv_transpose1d``; the weight is
        ``w.permute(2, 1, 0)``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> sequence, weight = jnp.array([[1.0], [2.0]]), jnp.array([[[1.0]], [[10.0]]])
        >>> ja.functional.conv_transpose1d(sequence, weight).ravel().tolist()
        [1.0, 12.0, 20.0]
    """
    geometry = (stride, padding, output_padding, groups, dilation)
    return _conv_transpose(1, input, weight, bias, *geometry)


@checked
@operation("conv_transpose3d", low=None, has_wide=False)
def conv_transpose3d(
    input: jax.Array,
    weight: jax.Array,
    bias: jax.Array | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    output_padding: int | Sequence[int] = 0,
    groups: int = 1,
    dilation: int | Sequence[int] = 1,
) -> jax.Array:
    """Apply a convolution's transpose to volumes, channels last.

    Args:
        as :func:`conv_transpose2d`, for an input (N, D, H, W, in_channels) or
        (D, H, W, in_channels) and a weight (kernel depth, height, width, out_channels / groups,
        in_channels).

    Returns:
        (N, D', H', W', out_channels), or (D', H', W', out_channels), in the input's dtype.

    Raises:
        as :func:`conv_transpose2d`.

    PyTorch:
        as :func:`conv_transpose2d`, of ``torch.nn.functional.conv_transpose3d``; the weight is
        ``w.permute(2, 3, 4, 1, 0)``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> volume, weight = jnp.ones((1, 4, 4, 4, 2)), jnp.ones((2, 2, 2, 3, 2))
        >>> ja.functional.conv_transpose3d(volume, weight, stride=2).shape
        (1, 8, 8, 8, 3)
    """
    geometry = (stride, padding, output_padding, groups, dilation)
    return _conv_transpose(3, input, weight, bias, *geometry)


def _conv_transpose(
    axes: int,
    input: jax.Array,
    weight: jax.Array,
    bias: jax.Array | None,
    stride: int | Sequence[int],
    padding: int | Sequence[int],
    output_padding: int | Sequence[int],
    groups: int,
    dilation: int | Sequence[int],
) -> jax.Array:
    """Transpose a convolution over ``axes`` axes, of an input with or without a batch axis."""
    name = f"conv_transpose{axes}d"
    if isinstance(padding, str):
        raise TypeError(
            f"{name}(): argument 'padding' (position 5) must be tuple of "
            f"ints, but found element of type str at pos 0: {padding!r}"
        )
    stride, padding = conv_axes("stride", stride, axes), conv_axes("padding", padding, axes)
    extra = conv_axes("output_padding", output_padding, axes)
    dilation = conv_axes("dilation", dilation, axes)
    batch = check_conv(name, axes, input, weight, stride, groups)
    check_conv_transpose(stride, padding, extra, dilation)
    _check_shapes(batch, weight, groups)
    given = f"transposed=1, weight of size {[*weight.shape]}"
    check_bias(given, input, weight.shape[-2] * groups, bias)
    check_same_dtype(input, weight, bias)
    spans = [d * (k - 1) for d, k in zip(dilation, weight.shape[:axes], strict=True)]
    _check_output(
        batch.shape[1:-1],
        [
            (n - 1) * s - 2 * p + span + 1 + e
            for n, s, p, span, e in zip(
                batch.shape[1:-1], stride, padding, spans, extra, strict=True
            )
        ],
    )
    # What the window reaches beyond a point, less the padding that the forward one added.
    reach = [span - p for span, p in zip(spans, padding, strict=True)]
    pads = tuple((r, r + e) for r, e in zip(reach, extra, strict=True))
    rule = WeightMap(_product, None, (stride, pads, dilation, groups))
    output = affine(rule, batch, weight, bias)
    return output[0] if input.ndim == axes + 1 else output


def _product(
    input: jax.Array,
    weight: jax.Array,
    stride: tuple[int, ...],
    padding: tuple[tuple[int, int], ...],
    dilation: tuple[int, ...],
    groups: int,
) -> jax.Array:
    """Return a batch's transposed convolution."""
    axes = len(stride)
    return jax.lax.conv_general_dilated(
        input,
        _regrouped(weight, groups),
        (1,) * axes,
        padding,
        lhs_dilation=stride,
        rhs_dilation=dilation,
        dimension_numbers=dimension_numbers(axes),
        feature_group_count=groups,
    )


def _regrouped(weight: jax.Array, groups: int) -> jax.Array:
    """Return the kernel (*k, in / groups, out), turned round, of a weight (*k, out / groups, in).

    Each group's block is a matrix, and transposed by itself.
    """
    *window, outputs, inputs = weight.shape
    axes = len(window)
    weight = jnp.flip(weight, range(axes)).reshape(*window, outputs, groups, inputs // groups)
    weight = weight.transpose(*range(axes), axes + 2, axes + 1, axes)
    return weight.reshape(*window, inputs // groups, groups * outputs)


def _check_shapes(input: jax.Array, weight: jax.Array, groups: int) -> None:
    """Check what a batch and a weight have to do with each other, with PyTorch's texts."""
    *window, outputs, inputs = weight.shape
    if inputs < groups or inputs % groups != 0:
        size = [inputs, outputs, *window]
        need = f"at least {groups}" if inputs < groups else f"divisible by {groups}"
        raise ValueError(
            f"Given groups={groups}, expected weight to be {need} at dimension 0, "
            f"but got weight of size {size if inputs < groups else [size]} instead"
        )
    if input.shape[-1] != inputs:
        raise wrong_channels(f"transposed=1, weight of size {[*weight.shape]}", input, inputs)
    check_points(input)


def _check_output(sizes: Sequence[int], output: list[int]) -> None:
    """Raise unless there is an output, with PyTorch's text."""
    if min(output) < 1:
        before, after = (" x ".join(map(str, as_plane(s))) for s in (sizes, output))
        raise ValueError(
            f"Given input size per channel: ({before}). Calculated output size per channel: "
            f"({after}). Output size is too small"
        )

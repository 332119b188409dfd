"""The convolutions."""

from __future__ import annotations

from collections.abc import Sequence

import jax

from jaxaccel._checked import checked
from jaxaccel._operations import operation
from jaxaccel._spatial import check_conv_dilation, check_conv_padding, conv_axes
from jaxaccel._weight_map import WeightMap, affine
from jaxaccel.functional._conv_gradient import convolve, gradient_on_cpu
from jaxaccel.functional._conv_shapes import (
    check_bias,
    check_conv,
    check_points,
    wrong_channels,
)
from jaxaccel.functional._linear import check_same_dtype


@checked
@operation("conv2d", low=None, has_wide=False)
def conv2d(
    input: jax.Array,
    weight: jax.Array,
    bias: jax.Array | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> jax.Array:
    """Convolve images, channels last.

    TPUs and many GPUs multiply float32 with fewer digits unless asked for all of them, by
    ``jax.default_matmul_precision("highest")``.

    Args:
        input: (N, H, W, in_channels), or (H, W, in_channels).
        weight: (kernel height, kernel width, in_channels / groups, out_channels), flax's layout.
        bias: (out_channels,), or None.
        stride: Step of the window, one number or (height, width).
        padding: Zeros added on both sides, one number or (height, width);
            ``"valid"`` adds none, ``"same"`` as many as keep the size (stride 1 only; the odd one
            goes to the end).
        dilation: Distance of the window's points, one number or (height, width).
        groups: The channels fall into so many blocks that do not see each other; as many as there
            are input channels make it depthwise.

    Returns:
        (N, H', W', out_channels), or (H', W', out_channels), in the input's dtype.

    Raises:
        ValueError: a bad argument, shapes that do not fit, or an input smaller than the window.
        TypeError: different dtypes.

    PyTorch:
        ``torch.nn.functional.conv2d``: the same, but for the axes: channels are last, and the
        weight is ``w.permute(2, 3, 1, 0)`` of PyTorch's. Another padding than by zeros:
        :func:`pad` first, as in PyTorch. PyTorch raises ``RuntimeError``. The counterpart of
        ``jax.default_matmul_precision`` is ``torch.set_float32_matmul_precision``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> image = jnp.arange(9.0).reshape(1, 3, 3, 1)
        >>> ja.functional.conv2d(image, jnp.ones((2, 2, 1, 1))).ravel().tolist()
        [8.0, 12.0, 20.0, 24.0]
    """
    return _conv(2, input, weight, bias, stride, padding, dilation, groups)


@checked
@operation("conv1d", low=None, has_wide=False)
def conv1d(
    input: jax.Array,
    weight: jax.Array,
    bias: jax.Array | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> jax.Array:
    """Convolve sequences, channels last.

    Args:
        as :func:`conv2d`, for an input (N, L, in_channels) or (L, in_channels) and a weight
        (kernel, in_channels / groups, out_channels).

    Returns:
        (N, L', out_channels), or (L', out_channels), in the input's dtype.

    Raises:
        as :func:`conv2d`.

    PyTorch:
        as :func:`conv2d`, of ``torch.nn.functional.conv1d``; the weight is ``w.permute(2, 1, 0)``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> sequence, weight = jnp.arange(4.0).reshape(4, 1), jnp.ones((3, 1, 1))
        >>> ja.functional.conv1d(sequence, weight, padding="same").ravel().tolist()
        [1.0, 3.0, 6.0, 5.0]
    """
    return _conv(1, input, weight, bias, stride, padding, dilation, groups)


@checked
@operation("conv3d", low=None, has_wide=False)
def conv3d(
    input: jax.Array,
    weight: jax.Array,
    bias: jax.Array | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> jax.Array:
    """Convolve volumes, channels last.

    Args:
        as :func:`conv2d`, for an input (N, D, H, W, in_channels) or (D, H, W, in_channels) and a
        weight (kernel depth, height, width, in_channels / groups, out_channels).

    Returns:
        (N, D', H', W', out_channels), or (D', H', W', out_channels), in the input's dtype.

    Raises:
        as :func:`conv2d`.

    PyTorch:
        as :func:`conv2d`, of ``torch.nn.functional.conv3d``; the weight is
        ``w.permute(2, 3, 4, 1, 0)``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> volume, weight = jnp.ones((1, 4, 4, 4, 2)), jnp.ones((2, 2, 2, 2, 1))
        >>> float(ja.functional.conv3d(volume, weight, stride=2).max())
        16.0
    """
    return _conv(3, input, weight, bias, stride, padding, dilation, groups)


def _conv(
    axes: int,
    input: jax.Array,
    weight: jax.Array,
    bias: jax.Array | None,
    stride: int | Sequence[int],
    padding: int | Sequence[int] | str,
    dilation: int | Sequence[int],
    groups: int,
) -> jax.Array:
    """Convolve an input with or without a batch axis, over ``axes`` spatial axes."""
    stride, dilation = conv_axes("stride", stride, axes), conv_axes("dilation", dilation, axes)
    if not isinstance(padding, str):
        padding = conv_axes("padding", padding, axes)
    check_conv_padding(padding, stride)
    batch = check_conv(f"conv{axes}d", axes, input, weight, stride, groups)
    check_conv_dilation(dilation)
    pairs = _pairs(padding, dilation, weight.shape[:axes])
    _check_shapes(batch, weight, groups, pairs, dilation)
    check_bias(f"weight of size {[*weight.shape]}", input, weight.shape[-1], bias)
    check_same_dtype(input, weight, bias)
    arguments = (stride, tuple(pairs), dilation, groups)
    form = gradient_on_cpu(batch, weight, pairs, groups)
    output = affine(WeightMap(convolve, form, arguments), batch, weight, bias)
    return output[0] if input.ndim == axes + 1 else output


def _pairs(
    padding: tuple[int, ...] | str, dilation: tuple[int, ...], window: tuple[int, ...]
) -> list[tuple[int, int]]:
    """Return (before, after) for each spatial axis."""
    if padding == "valid":
        return [(0, 0)] * len(window)
    if isinstance(padding, str):  # "same"
        total = [d * (k - 1) for d, k in zip(dilation, window, strict=True)]
        return [(t // 2, t - t // 2) for t in total]
    return [(int(p), int(p)) for p in padding]


def _check_shapes(
    input: jax.Array,
    weight: jax.Array,
    groups: int,
    padding: list[tuple[int, int]],
    dilation: tuple[int, ...],
) -> None:
    """Check what a batch and a weight have to do with each other, with PyTorch's texts."""
    *window, inputs, outputs = weight.shape
    if outputs < groups:
        raise ValueError(
            f"Given groups={groups}, expected weight to be at least {groups} at dimension 0, but "
            f"got weight of size {[outputs, inputs, *window]} instead"
        )
    if outputs % groups != 0:
        raise ValueError(
            f"Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, "
            f"but got weight of size [{[outputs, inputs, *window]}] instead"
        )
    if input.shape[-1] != inputs * groups:
        given = f"groups={groups}, weight of size {[*weight.shape]}"
        raise wrong_channels(given, input, inputs * groups)
    sizes = input.shape[1:-1]
    padded = [size + sum(pads) for size, pads in zip(sizes, padding, strict=True)]
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, window, strict=True)]
    if any(size < points for size, points in zip(padded, reach, strict=True)):
        raise ValueError(
            f"Calculated padded input size per channel: ({' x '.join(map(str, padded))}). "
            f"Kernel size: ({' x '.join(map(str, reach))}). "
            "Kernel size can't be greater than actual input size"
        )
    check_points(input)

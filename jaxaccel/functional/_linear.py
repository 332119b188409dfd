"""The linear and the bilinear map."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from jaxaccel._checked import checked
from jaxaccel._gradient import with_float32_sums
from jaxaccel._math import compute_dtype
from jaxaccel._operations import operation
from jaxaccel._weight_map import ROWS, affine


@checked
@operation("linear", low=None, has_wide=False)
def linear(input: jax.Array, weight: jax.Array, bias: jax.Array | None = None) -> jax.Array:
    r"""Map the last axis through a matrix.

    .. math::
        y = x W + b

    TPUs and many GPUs multiply float32 with fewer digits unless asked for all of them, by
    ``jax.default_matmul_precision("highest")``.

    Args:
        input: (..., in_features).
        weight: (in_features, out_features), PyTorch's transposed.
        bias: (out_features,), or None.

    Returns:
        (..., out_features), in the input's dtype.

    Raises:
        ValueError: shapes that do not fit.
        TypeError: different dtypes.

    PyTorch:
        ``torch.nn.functional.linear``: the same, but for the weight, which is transposed (flax's
        layout). Left out: weights without the axis of outputs. PyTorch raises ``RuntimeError``. The
        counterpart of ``jax.default_matmul_precision`` is
        ``torch.set_float32_matmul_precision``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x, weight = jnp.array([1.0, 2.0]), jnp.array([[1.0, 0.0, 3.0], [0.0, 1.0, 4.0]])
        >>> ja.functional.linear(x, weight, jnp.array([0.5, 0.5, 0.5])).tolist()
        [1.5, 2.5, 11.5]
    """
    if weight.ndim != 2:
        raise ValueError(
            f"linear(): weight must be (in_features, out_features), but got {weight.shape}"
        )
    if input.ndim == 0:
        raise ValueError("both arguments to linear need to be at least 1D, but they are 0D and 2D")
    if input.shape[-1] != weight.shape[0]:
        raise ValueError(
            "mat1 and mat2 shapes cannot be multiplied "
            f"({math.prod(input.shape[:-1])}x{input.shape[-1]} and "
            f"{weight.shape[0]}x{weight.shape[1]})"
            + (
                f"\nweight is (in_features, out_features) here: got {weight.shape}; pass weight.T"
                if input.shape[-1] == weight.shape[1]
                else ""
            )
        )
    if bias is not None and bias.shape != weight.shape[1:]:
        raise ValueError(
            f"linear(): bias must have one number for each of {weight.shape[1]} outputs, but got "
            f"{bias.shape}"
        )
    check_same_dtype(input, weight, bias)
    return affine(ROWS, input, weight, bias)


@checked
@operation("bilinear", low=None)
def bilinear(
    input1: jax.Array, input2: jax.Array, weight: jax.Array, bias: jax.Array | None = None
) -> jax.Array:
    r"""Map two vectors through a bilinear form for each output.

    .. math::
        y_o = x_1^\top A_o x_2 + b_o

    Args:
        input1: (..., in1_features).
        input2: (..., in2_features), its other axes those of ``input1``.
        weight: (out_features, in1_features, in2_features), as in PyTorch.
        bias: (out_features,), or None.

    Returns:
        (..., out_features), in the inputs' dtype; half precision is summed in float32.

    Raises:
        ValueError: shapes that do not fit.
        IndexError: inputs without axes.
        TypeError: different dtypes.

    PyTorch:
        ``torch.nn.functional.bilinear``: the same. PyTorch raises ``RuntimeError``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x, weight = jnp.array([1.0, 2.0]), jnp.array([[[1.0, 0.0], [0.0, 10.0]]])
        >>> ja.functional.bilinear(x, x, weight).tolist()
        [41.0]
    """
    _check_bilinear(input1, input2, weight, bias)
    wide = compute_dtype(input1.dtype)
    rows = jnp.einsum("...i,oij->...oj", input1, weight, preferred_element_type=wide)
    output = jnp.einsum("...oj,...j->...o", rows, input2.astype(wide))
    return add_bias(output, None if bias is None else bias.astype(wide)).astype(input1.dtype)


def check_same_dtype(input: jax.Array, weight: jax.Array, bias: jax.Array | None) -> None:
    """Raise on mixed dtypes, as PyTorch does; JAX would promote them in silence."""
    for name, value in (("weight", weight), ("bias", bias)):
        if value is not None and value.dtype != input.dtype:
            raise TypeError(
                f"expected input and {name} to have the same dtype, but got: "
                f"{input.dtype} != {value.dtype}\n"
                f"Make the layer in it (dtype=jnp.{input.dtype}), or pass "
                f"input.astype(jnp.{value.dtype})"
            )


def add_bias(output: jax.Array, bias: jax.Array | None) -> jax.Array:
    """Add a bias along the last axis."""
    if bias is None:
        return output
    return output + with_float32_sums(jax.lax.expand_dims(bias, range(output.ndim - 1)), output)


def _check_bilinear(
    input1: jax.Array, input2: jax.Array, weight: jax.Array, bias: jax.Array | None
) -> None:
    """Check shapes and dtypes, with PyTorch's texts."""
    if weight.ndim != 3:
        raise ValueError(
            "bilinear(): weight must be (out_features, in1_features, in2_features), but got "
            f"{weight.shape}"
        )
    if input1.ndim != input2.ndim:
        raise ValueError(
            f"bilinear(): input dimensions do not match: got {input1.ndim} and {input2.ndim}"
        )
    if input1.ndim == 0:
        raise IndexError("Dimension specified as -1 but tensor has no dimensions")
    for axis, (first, second) in enumerate(zip(input1.shape[:-1], input2.shape[:-1], strict=True)):
        if first != second:
            raise ValueError(
                f"bilinear(): input batch dimensions do not match at dim {axis}: "
                f"got {first} and {second}"
            )
    for number, (input, size) in enumerate(zip((input1, input2), weight.shape[1:], strict=True), 1):
        if input.shape[-1] != size:
            raise ValueError(
                f"bilinear(): input{number} size does not match weight size: "
                f"got {input.shape[-1]} but expected {size}"
            )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(
            "bilinear(): bias size does not match weight size: "
            f"got {bias.shape[0] if bias.ndim else 0} but expected {weight.shape[0]}"
        )
    if input1.dtype != weight.dtype or input2.dtype != weight.dtype:
        raise TypeError(
            f"All tensors must have the same dtype, got input1: {input1.dtype}, "
            f"input2: {input2.dtype}, weight: {weight.dtype}"
        )
    check_same_dtype(input1, weight, bias)

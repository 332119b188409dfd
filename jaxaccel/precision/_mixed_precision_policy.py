"""FSDP's MixedPrecisionPolicy."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from jaxaccel._checked import checked
from jaxaccel._types import DType
from jaxaccel.precision._policy import Policy


@checked
def mixed_precision_policy(
    param_dtype: DType | None = None,
    reduce_dtype: DType | None = None,
    output_dtype: DType | None = None,
    cast_forward_inputs: bool = True,
) -> Policy:
    """Return a :class:`Policy` from the words of FSDP, which mean other things by the same names.

    Args:
        param_dtype: What forward and backward compute in, :class:`Policy`'s ``compute_dtype``;
            default: float32. The parameters that are kept, sharded or not, stay in float32.
        reduce_dtype: What gradients are summed over devices in: float32, whatever is computed in,
            or the default, which is float32 here too.
        output_dtype: What a model's outputs are cast to; default: they stay in ``param_dtype``.
        cast_forward_inputs: Cast floating-point inputs to ``param_dtype``.

    Returns:
        A :class:`Policy` for :func:`cast`.

    Raises:
        TypeError: A dtype is not one.
        ValueError: ``reduce_dtype`` is neither float32 nor ``None``.

    PyTorch:
        ``torch.distributed.fsdp.MixedPrecisionPolicy`` with ``fully_shard``: the same dtypes of
        computation and outputs for a model that is one unit. FSDP sums gradients in
        ``param_dtype`` unless ``reduce_dtype`` says otherwise; this policy lets each reach its
        parameter in float32 and be summed so, which is more exact and moves twice the bytes.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> policy = ja.precision.mixed_precision_policy(jnp.bfloat16, output_dtype=jnp.float32)
        >>> print(jnp.dtype(policy.compute_dtype), jnp.dtype(policy.param_dtype))
        bfloat16 float32
    """
    if reduce_dtype is not None and jnp.dtype(reduce_dtype) != jnp.float32:
        raise ValueError(
            f"reduce_dtype must be float32 or None, got {reduce_dtype!r}; gradients are summed "
            "over devices in the dtype of the parameters that are kept, float32"
        )
    computed: Any = jnp.float32 if param_dtype is None else param_dtype
    returned = computed if output_dtype is None else output_dtype
    return Policy(jnp.float32, computed, returned, cast_forward_inputs)

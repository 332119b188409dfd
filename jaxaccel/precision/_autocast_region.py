"""A region of autocast: for which device, in which dtype, and how an inner one is found."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxaccel.precision._float8 import FLOAT8

DEFAULTS = {"cuda": jnp.float16, "cpu": jnp.bfloat16, "tpu": jnp.bfloat16}
"""The dtype that a device's region computes in where none is given."""


class Region(NamedTuple):
    """What :func:`autocast` was asked for."""

    device_type: str
    dtype: Any
    enabled: bool
    product: Any = None
    """The float8 dtype of the operands of matrix products, where one was asked for."""


def region_of(device_type: str, dtype: Any, enabled: bool) -> Region:
    """Return a region, its arguments checked with PyTorch's texts."""
    if device_type not in DEFAULTS:
        raise ValueError(
            f"User specified an unsupported autocast device_type '{device_type}'\n"
            f"It is one of {', '.join(map(repr, DEFAULTS))}"
        )
    dtype = jnp.dtype(DEFAULTS[device_type] if dtype is None else dtype)
    if dtype in FLOAT8:
        return Region(device_type, jnp.dtype(jnp.bfloat16), enabled, dtype)
    if dtype not in (jnp.bfloat16, jnp.float16):
        raise ValueError(
            f"In {device_type.upper()} autocast, but the target dtype is not supported. "
            f"{device_type.upper()} Autocast only supports dtypes of torch.bfloat16, torch.float16 "
            "currently.\nGive jnp.bfloat16 or jnp.float16, or for products jnp.float8_e4m3fn or "
            f"jnp.float8_e5m2, got {dtype}; to switch a region off, pass enabled=False"
        )
    return Region(device_type, dtype, enabled)

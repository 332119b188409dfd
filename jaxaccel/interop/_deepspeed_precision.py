"""The sections ``fp16``, ``bf16`` and ``torch_autocast`` of a DeepSpeed configuration."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxaccel import precision
from jaxaccel.interop._unchanged import unchanged
from jaxaccel.precision import GradScaler


class Precision(NamedTuple):
    """What a model computes in, and what that needs."""

    dtype: Any
    cast: Any
    scaler: GradScaler | None
    reduce_dtype: Any


WORDS = {"fp32": jnp.float32, "fp16": jnp.float16, "bf16": jnp.bfloat16}
LONGER_WORDS = {
    **dict.fromkeys(("float", "float32", "torch.float32"), jnp.float32),
    **dict.fromkeys(("half", "float16", "torch.float16"), jnp.float16),
    **dict.fromkeys(("bfloat16", "torch.bfloat16"), jnp.bfloat16),
}


def precision_of(config: dict[str, Any], stage: int) -> Precision:
    """Return what the three sections say, with the scaler that the ZeRO stage brings."""
    half, brain = (dict(config.get(name) or {}) for name in ("fp16", "bf16"))
    autocast = config.get("torch_autocast") or {}
    is_half, is_brain = half.pop("enabled", False), brain.get("enabled", False)
    if is_half and is_brain:
        raise ValueError(
            "bfloat16 and fp16 modes cannot be simultaneously enabled\nSet one of fp16.enabled and "
            "bf16.enabled to false"
        )
    reduced = _reduced_in(config.get("communication_data_type"))
    if is_half:
        scaler = _scaler(half, stage)
        return Precision(jnp.float16, _casting(jnp.float16), scaler, reduced or jnp.float16)
    if is_brain:
        checks = stage > 0 and brain.get("check_grad_overflow", True)
        scaler = _checking() if checks else None
        return Precision(jnp.bfloat16, _casting(jnp.bfloat16), scaler, reduced or jnp.bfloat16)
    if autocast.get("enabled", False):
        return _autocast(autocast, reduced)
    return Precision(jnp.float32, unchanged, None, reduced)


def _scaler(section: dict[str, Any], stage: int) -> GradScaler:
    names = ("loss_scale", "initial_scale_power", "loss_scale_window")
    names = (*names, "hysteresis", "consecutive_hysteresis", "min_loss_scale")
    given = {name: section[name] for name in names if section.get(name) is not None}
    if stage == 0:  # its FP16_Optimizer reads no hysteresis
        given["hysteresis"] = 1
    return precision.deepspeed_grad_scaler(**given)


def _checking() -> GradScaler:
    """Return a scaler that scales nothing, and skips steps that are not finite."""
    return precision.grad_scaler(init_scale=1.0, dynamic=False, schedule_skipped_steps=False)


def _autocast(section: dict[str, Any], reduced: Any) -> Precision:
    word = section.get("dtype", "bf16")
    dtype = {**WORDS, **LONGER_WORDS}.get(word)
    if dtype not in (jnp.float16, jnp.bfloat16):
        raise ValueError(
            f"Invalid dtype for torch autocast: {word}\nIt is one of float16 and bfloat16"
        )
    scaler = precision.grad_scaler() if dtype == jnp.float16 else None
    cast = functools.partial(precision.autocast, device_type="cuda", dtype=dtype)
    return Precision(dtype, cast, scaler, reduced)


def _reduced_in(word: Any) -> Any:
    if word is None:
        return None
    if (dtype := WORDS.get(str(word).lower())) is None:
        raise ValueError(
            "Invalid communication_data_type. Supported data types: ['fp16', 'bf16', 'fp32']. "
            f"Got: {word}"
        )
    return dtype


def _casting(dtype: Any) -> Any:
    policy = precision.Policy(compute_dtype=dtype)
    return functools.partial(precision.cast, policy=policy)

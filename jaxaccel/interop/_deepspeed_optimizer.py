"""The section ``optimizer`` of a DeepSpeed configuration."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import optax

from jaxaccel import optimizers
from jaxaccel._types import Schedule
from jaxaccel.interop._config_file import nearest
from jaxaccel.interop._deepspeed_scheduler import Scheduled, check_arguments


def fused_adam(
    lr: float | Schedule = 1e-3,
    bias_correction: bool = True,
    betas: Any = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    amsgrad: bool = False,
    set_grad_none: bool = True,
    fp32_optimizer_states: bool = True,
    adam_w_mode: bool = True,
) -> optax.GradientTransformation:
    """DeepSpeed's FusedAdam and DeepSpeedCPUAdam: AdamW unless told otherwise, without decay."""
    del set_grad_none
    if amsgrad:
        raise ValueError("FusedAdam does not support the AMSGrad variant.\nSet torch_adam to true")
    if not bias_correction:
        raise ValueError("bias_correction must be true: there is no Adam without it here")
    if not fp32_optimizer_states:
        raise ValueError("fp32_optimizer_states must be true: moments are as wide as parameters")
    make = optimizers.adamw if adam_w_mode else optimizers.adam
    return make(lr=lr, betas=tuple(betas), eps=eps, weight_decay=weight_decay)


def fused_lion(
    lr: Any = 1e-3,
    betas: Any = (0.9, 0.999),
    weight_decay: float = 0.0,
    set_grad_none: bool = True,
) -> optax.GradientTransformation:
    """DeepSpeed's FusedLion: optax's Lion, with DeepSpeed's defaults."""
    del set_grad_none
    first, second = betas
    return optax.lion(lr, b1=first, b2=second, weight_decay=weight_decay)


OF_DEEPSPEED: dict[str, Callable[..., Any]] = {
    "adam": fused_adam,
    "adamw": fused_adam,
    "adagrad": optimizers.adagrad,
    "lion": fused_lion,
}

OF_TORCH: dict[str, Callable[..., Any]] = {
    "SGD": optimizers.sgd,
    "RMSprop": optimizers.rmsprop,
    "Adadelta": optimizers.adadelta,
    "Adafactor": optimizers.adafactor,
    "Adamax": optimizers.adamax,
    "ASGD": optimizers.asgd,
    "NAdam": optimizers.nadam,
    "RAdam": optimizers.radam,
    "Rprop": optimizers.rprop,
}

_MUP = "it takes widths from the mup package, which configurations do not hold"
_ONE_BIT = "it sends compressed gradients, and DeepSpeed has removed it"
NOT_HERE = {
    "lamb": "there is no LAMB of DeepSpeed's kind here; optax.lamb has no bounds on its ratio",
    "muon": (
        "which parameters it moves stands in the model and not in the configuration: leave the "
        "section out, and make it with optimizers.param_groups, optimizers.muon and "
        "optimizers.adamw"
    ),
    "muadam": _MUP,
    "muadamw": _MUP,
    "musgd": _MUP,
    "onebitadam": _ONE_BIT,
    "zerooneadam": _ONE_BIT,
    "onebitlamb": _ONE_BIT,
    "LBFGS": "it asks for the loss again; see optimizers.lbfgs",
    "SparseAdam": "it takes sparse rows; see optimizers.sparse_adam",
}

HOW = ("foreach", "fused", "capturable", "differentiable")
"""PyTorch's switches that say how and not what."""


def optimizer_of(
    section: dict[str, Any] | None, scheduled: Scheduled
) -> optax.GradientTransformation | None:
    """Return the optimizer of a section with its schedules, or None where there is none."""
    if section is None or section.get("type") is None:
        return None
    name = str(section["type"])
    make, params = _factory(name, dict(section.get("params") or {}))
    names = list(inspect.signature(make).parameters)
    check_arguments(f"optimizer.params of {name}", params, names)
    if "betas" in params:
        params["betas"] = tuple(params["betas"])
    if scheduled.lr is not None:
        params["lr"] = scheduled.lr
    if scheduled.momentum is not None and "betas" in names:
        params["betas"] = (scheduled.momentum, 0.99)  # whatever the second was: DeepSpeed's too
    return make(**params)


def learning_rate_of(section: dict[str, Any] | None) -> float | None:
    """Return the learning rate of a section: what it says, or the optimizer's default."""
    if section is None or section.get("type") is None:
        return None
    make, params = _factory(str(section["type"]), dict(section.get("params") or {}))
    return params.get("lr", inspect.signature(make).parameters["lr"].default)


def _factory(name: str, params: dict[str, Any]) -> tuple[Callable[..., Any], dict[str, Any]]:
    """Return what makes an optimizer, and what is left of its arguments."""
    if "max_grad_norm" in params:
        raise ValueError(
            "'max_grad_norm' is not supported as an optimizer parameter, please switch to using "
            "the deepspeed parameter 'gradient_clipping'"
        )
    own = name.lower()
    if (why := NOT_HERE.get(own, NOT_HERE.get(name))) is not None:
        raise ValueError(f"optimizer.type {name!r}: {why}")
    if own in ("adam", "adamw"):
        is_w = params.pop("adam_w_mode", True) or own == "adamw"
        if not params.pop("torch_adam", False):
            return fused_adam, {**params, "adam_w_mode": is_w}
        params = {key: value for key, value in params.items() if key not in HOW}
        return optimizers.adamw if is_w else optimizers.adam, params
    make = OF_DEEPSPEED.get(own) or OF_TORCH.get(name)
    if make is None:
        known = ["Adam", "AdamW", "Adagrad", "Lion", *OF_TORCH]
        raise ValueError(f"unknown optimizer.type {name!r}{nearest(name, known)}")
    return make, {key: value for key, value in params.items() if key not in HOW}

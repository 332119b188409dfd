"""The section ``scheduler`` of a DeepSpeed configuration."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

from jaxaccel import schedules
from jaxaccel._types import Schedule
from jaxaccel.interop import _deepspeed_schedules as of_deepspeed
from jaxaccel.interop._config_file import nearest

OF_DEEPSPEED: dict[str, Callable[..., Any]] = {
    "LRRangeTest": of_deepspeed.lr_range_test,
    "OneCycle": of_deepspeed.one_cycle,
    "WarmupLR": of_deepspeed.warmup_lr,
    "WarmupDecayLR": of_deepspeed.warmup_decay_lr,
    "WarmupCosineLR": of_deepspeed.warmup_cosine_lr,
}

OF_TORCH: dict[str, Callable[..., Any]] = {
    "StepLR": schedules.step_lr,
    "MultiStepLR": schedules.multi_step_lr,
    "ConstantLR": schedules.constant_lr,
    "LinearLR": schedules.linear_lr,
    "ExponentialLR": schedules.exponential_lr,
    "PolynomialLR": schedules.polynomial_lr,
    "CosineAnnealingLR": schedules.cosine_annealing_lr,
    "CosineAnnealingWarmRestarts": schedules.cosine_annealing_warm_restarts,
}

NOT_HERE = ("OneCycleLR", "CyclicLR", "ReduceLROnPlateau", "SequentialLR", "ChainedScheduler")
"""PyTorch's that move a momentum too, follow a metric, or are made of others."""


class Scheduled(NamedTuple):
    """What a scheduler moves."""

    lr: Schedule | None
    momentum: Schedule | None


def scheduled(section: dict[str, Any] | None, lr: float | None, given: dict[str, Any]) -> Scheduled:
    """Return the schedules of a section, around the optimizer's learning rate."""
    if section is None or section.get("type") is None:
        return Scheduled(None, None)
    name = section["type"]
    params = dict(section.get("params") or {})
    if params.get("last_batch_iteration") == -1:
        del params["last_batch_iteration"]
    make = OF_DEEPSPEED.get(name) or OF_TORCH.get(name)
    if make is None:
        raise ValueError(_not_known(name))
    takes = inspect.signature(make).parameters
    for argument, value in given.items():
        if argument in takes and argument not in params and value is not None:
            params[argument] = value
    check_arguments(f"scheduler.params of {name}", params, [each for each in takes if each != "lr"])
    for argument, parameter in takes.items():
        if argument != "lr" and parameter.default is parameter.empty and argument not in params:
            remedy = "pass num_training_steps=, or " if argument in given else ""
            raise ValueError(f"{name} needs {argument}; {remedy}write it into scheduler.params")
    if name in OF_TORCH and lr is None:
        raise ValueError(f"{name} starts from the optimizer's learning rate; pass learning_rate=")
    found = make(lr, **params)
    return Scheduled(*found) if isinstance(found, tuple) else Scheduled(found, None)


def check_arguments(where: str, params: dict[str, Any], names: list[str]) -> None:
    """Raise for arguments that a function does not take."""
    for name, value in params.items():
        if name not in names:
            raise ValueError(f"unknown argument {name!r} in {where}{nearest(name, names)}")
        if isinstance(value, list) and name not in ("betas", "milestones", "etas", "step_sizes"):
            raise ValueError(
                f"{name} in {where} must be one number, got {value!r:.60}; for several groups make "
                "the optimizer yourself: optimizers.param_groups"
            )


def _not_known(name: Any) -> str:
    if name in NOT_HERE:
        return (
            f"PyTorch's {name} does more than to set a learning rate; leave the section out and "
            "give the optimizer the schedules yourself, see jaxaccel.schedules"
        )
    near = nearest(str(name), [*OF_DEEPSPEED, *OF_TORCH])
    return (
        f"DeepSpeed does not recognize LR scheduler {name}\nIt has {', '.join(OF_DEEPSPEED)}{near}"
    )

"""A configuration to start from: what a course on training recommends, as parts of a step."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import optax

from jaxaccel._checked import checked
from jaxaccel._types import Count, Schedule
from jaxaccel.optimizers import adamw, param_groups
from jaxaccel.precision import GradScaler, autocast, grad_scaler
from jaxaccel.schedules import one_cycle_lr, one_cycle_momentum
from jaxaccel.training._callback import Callback
from jaxaccel.training._early_stopping import early_stopping


class Recommended(NamedTuple):
    """Parts of a training step and its loop, each to be replaced by another: ``_replace``."""

    tx: optax.GradientTransformation
    """AdamW whose learning rate and first beta go through one cycle, in a state that shows them."""
    schedule: Schedule
    """That learning rate."""
    autocast: Callable[[Callable[..., Any]], Callable[..., Any]]
    """Of the loss function, before ``training.gradients``."""
    scaler: GradScaler | None
    """For ``train_step`` and ``train_state``; ``None`` where bfloat16 needs none."""
    max_grad_norm: float
    """For ``train_step``."""
    callbacks: tuple[Callback, ...]
    """For ``fit``: early stopping."""


@checked
def recommended(
    total_steps: Count,
    *,
    max_lr: float = 1e-3,
    weight_decay: float = 0.01,
    max_grad_norm: float = 1.0,
    patience: Count = 10,
    monitor: str = "val_loss",
    device_type: Literal["cuda", "cpu", "tpu"] = "cuda",
) -> Recommended:
    """Return the parts of a configuration that often works, to begin with.

    AdamW with one cycle of the learning rate, mixed precision, gradients clipped to a norm, early
    stopping. :func:`checklist` says what a setup of these or other parts lacks, and
    ``tuning.ablate`` which of them help.

    Args:
        total_steps: The steps of the whole run, over which the cycle goes.
        max_lr: The learning rate at the top of the cycle.
        weight_decay: AdamW's.
        max_grad_norm: The norm that gradients are clipped to.
        patience: Epochs in a row without a better ``monitor`` after which the run stops.
        monitor: The number that early stopping follows, which is to fall.
        device_type: Whose mixed precision: ``"cuda"`` is float16 with a scaler, ``"cpu"`` and
            ``"tpu"`` are bfloat16, which needs none.

    Returns:
        :class:`Recommended`.

    Raises:
        ValueError: A number is out of its range, or there is no such device type.
        TypeError: An argument is of another kind.

    PyTorch:
        ``AdamW(lr=1e-4, weight_decay=0.01)``, ``OneCycleLR(max_lr=1e-3, total_steps=...)``,
        ``GradScaler()`` around ``autocast("cuda")``, ``clip_grad_norm_(..., 1.0)`` and early
        stopping with a patience of 10. The cycle overwrites the optimizer's ``lr=1e-4``
        before the first step, with a 25th of its top: the number has no effect, and this has no
        argument for it. Unasked the cycle also takes the first beta from .95 to .85 and back, and
        so does this.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> parts = ja.training.recommended(total_steps=100, device_type="tpu")
        >>> def loss_fn(w, model_state, batch):
        ...     return jnp.mean((batch @ w - 1) ** 2), (model_state, {})
        >>> step = ja.training.train_step(
        ...     ja.training.gradients(parts.autocast(loss_fn)),
        ...     parts.tx,
        ...     max_grad_norm=parts.max_grad_norm,
        ...     scaler=parts.scaler,
        ... )
        >>> state = ja.training.train_state(jnp.zeros(3), parts.tx, scaler=parts.scaler)
        >>> state, metrics = step(state, jnp.ones((4, 3)))
        >>> print(metrics["lr"], parts.schedule(29), parts.callbacks[0].name)
        4e-05 0.001 early_stopping val_loss
    """
    if device_type not in ("cuda", "cpu", "tpu"):
        raise ValueError(f"device_type must be 'cuda', 'cpu' or 'tpu', got {device_type!r}")
    if not max_grad_norm > 0:
        raise ValueError(f"max_grad_norm must be more than 0, got {max_grad_norm}")
    schedule = one_cycle_lr(max_lr, total_steps)
    betas = (one_cycle_momentum(total_steps), 0.999)
    tx = param_groups(adamw, [], lr=schedule, betas=betas, weight_decay=weight_decay)
    scaler = grad_scaler() if device_type == "cuda" else None
    cast = functools.partial(autocast, device_type=device_type)
    stopping = early_stopping(monitor, int(patience))
    return Recommended(tx, schedule, cast, scaler, max_grad_norm, (stopping,))

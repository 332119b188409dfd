"""DeepSpeed's loss scaler, in the words of its configuration."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from jaxaccel._call_repr import shows_call
from jaxaccel._checked import checked_after
from jaxaccel._checks import check_positive_integer
from jaxaccel._types import Count, Scalar
from jaxaccel.precision._grad_scaler import GradScaler, grad_scaler


@shows_call
@checked_after
def deepspeed_grad_scaler(
    loss_scale: Scalar = 0.0,
    initial_scale_power: Count = 16,
    loss_scale_window: Count = 1000,
    hysteresis: Count = 2,
    consecutive_hysteresis: bool = False,
    min_loss_scale: Scalar = 1.0,
) -> GradScaler:
    """Return :func:`grad_scaler` as the section ``fp16`` of a DeepSpeed configuration sets it.

    Args:
        loss_scale: A scale that stays; 0: it finds its own size.
        initial_scale_power: The first scale is 2 to this power.
        loss_scale_window: Steps in a row without an infinity after which the scale is doubled.
        hysteresis: The infinity, counted since the scale has last grown, from which on the scale is
            halved.
        consecutive_hysteresis: Count infinities in a row.
        min_loss_scale: The scale is not reduced below this.

    Returns:
        A :class:`GradScaler` that also takes float16 gradients. Schedules stand still at skipped
        steps, as DeepSpeed's engine leaves them.

    Raises:
        ValueError: A count is less than 1.
        TypeError: An argument is not a number.

    PyTorch:
        Nothing there; DeepSpeed's ``DynamicLossScaler`` (0.19.8; until 0.16 the scale grew a step
        sooner) gives the same scale after any overflows. It does not count the first good step,
        at the start and after an overflow: ``state.growth_tracker`` begins at -1.
        At ``min_loss_scale`` DeepSpeed raises at the next overflow, which a compiled step cannot:
        the scale stays, and ``state.skipped`` counts. Its scale has no upper bound, this one
        stays finite. A ``loss_scale`` that stays skips steps with an infinity, as its optimizer.

    Example:
        >>> import jaxaccel as ja
        >>> scaler = ja.precision.deepspeed_grad_scaler(hysteresis=2)
        >>> state = scaler.init()
        >>> for _ in range(3):
        ...     state = scaler.update(state, True)
        ...     print(state.scale)
        65536.0
        32768.0
        16384.0

    References:
        Rasley et al. DeepSpeed. 2020. https://www.deepspeed.ai/docs/config-json/
    """
    power = check_positive_integer("initial_scale_power", initial_scale_power)
    scaler = grad_scaler(
        init_scale=loss_scale or 2.0**power,
        growth_interval=loss_scale_window,
        dynamic=not loss_scale,
        min_scale=min_loss_scale,
        hysteresis=hysteresis,
        consecutive_hysteresis=consecutive_hysteresis,
        allow_fp16=True,
        schedule_skipped_steps=False,
    )
    return scaler if loss_scale else _begun_later(scaler)


def _begun_later(scaler: GradScaler) -> GradScaler:
    """Return a scaler that does not count the first good step after an infinity."""

    def init(params: Any = ()) -> Any:
        state = scaler.init(params)
        return state._replace(growth_tracker=state.growth_tracker - 1)

    def update(state: Any, *found_infs: Any, new_scale: Any = None) -> Any:
        new = scaler.update(state, *found_infs, new_scale=new_scale)
        was_skipped = new.skipped != state.skipped
        tracker = jnp.where(was_skipped, jnp.full_like(new.growth_tracker, -1), new.growth_tracker)
        return new._replace(growth_tracker=tracker)

    return scaler._replace(init=init, update=update)

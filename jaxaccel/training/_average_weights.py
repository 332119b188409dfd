"""A step that keeps an average of the weights and buffers, in the same program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxaccel._checked import checked, checked_but
from jaxaccel._functions import check_function, check_takes
from jaxaccel._tree import short_repr
from jaxaccel._types import Params
from jaxaccel.training._train_state import TrainState
from jaxaccel.training._wrapped_step import wrapped_step
from jaxaccel.transforms import AverageState, WeightAverage


class AveragedWeights(NamedTuple):
    """The averaged model: what a model function and :func:`merge` take."""

    params: Params
    """The average of the parameters."""
    model_state: Any
    """Buffers: averaged too (``use_buffers``), or those of the model at the last update."""


class AveragedState(NamedTuple):
    """The state of a step in :func:`average_weights`: a pytree like the one inside."""

    train_state: Any
    """The state of the step inside: a :class:`TrainState`, or of another average again."""
    average: AverageState
    """``n_averaged`` and ``module``, the :class:`AveragedWeights`."""

    __repr__ = short_repr


@checked
def averaged_state(state: TrainState | AveragedState, average: WeightAverage) -> AveragedState:
    """Return the state of a step that :func:`average_weights` wraps.

    Args:
        state: The state of the step inside.
        average: The average that the step is given too.

    Returns:
        An :class:`AveragedState` whose average is a copy of the weights, averaged 0 times.

    PyTorch:
        ``AveragedModel(model)``, whose ``module`` is a copy.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> state = ja.training.train_state(jnp.ones(2), ja.optimizers.sgd())
        >>> average = ja.transforms.stochastic_weight_average()
        >>> state = ja.training.averaged_state(state, average)
        >>> print(state.average.n_averaged, state.average.module.params)
        0 [1. 1.]
    """
    inner = _innermost(state)
    return AveragedState(state, average.init(AveragedWeights(inner.params, inner.model_state)))


@checked_but("step", "when", "restart")
def average_weights(
    step: Callable[..., Any],
    average: WeightAverage,
    *,
    use_buffers: bool = False,
    when: Callable[[jax.Array], Any] | None = None,
    restart: Callable[[jax.Array], Any] | None = None,
    donate: bool = True,
) -> Callable[..., Any]:
    """Wrap a step: after it, the weights are averaged, on the device and in the same program.

    The average is a part of the state: it is saved, restored and sharded with it, and donated.
    :func:`fit` and its callbacks take the state as they take any other. To evaluate what is
    averaged, give ``*state.average.module`` in the place of parameters and model state.

    Args:
        step: A step that can be compiled, as :func:`train_step` returns it, or one in wrappers.
        average: ``transforms.exponential_moving_average`` or ``stochastic_weight_average``.
        use_buffers: Average the running statistics too. Otherwise the averaged model has those
            of the model (of which :func:`update_bn` makes its own).
        when: Whether to average after a step, a traced function of its number, from 0 on:
            ``lambda k: k % 32 == 0``. By default after every step.
        restart: Whether the average begins anew after a step, by its number: the next update is a
            copy, as the first one is. ``lambda k: k < 5 * steps_per_epoch`` keeps a copy of the
            weights for five epochs. By default never.
        donate: Give the state's memory to the step.

    Returns:
        A step of :class:`AveragedState`, which :func:`averaged_state` makes, with the metrics of
        the step inside.

    Raises:
        TypeError: ``step``, ``when`` or ``restart`` is not a function of that form; when called,
            the state is not an :class:`AveragedState`.
        ValueError: When called: the state was donated.

    PyTorch:
        ``AveragedModel(model, multi_avg_fn=..., use_buffers=...)`` and, after each
        ``optimizer.step()``, ``if when(k): averaged.update_parameters(model)``. ``restart`` is
        torchvision's ``averaged.n_averaged.fill_(0)`` during a warm-up, ``when`` its
        ``model_ema_steps``, whose count begins anew with each epoch:
        ``lambda k: k % steps_per_epoch % 32 == 0``. SWA averages at the end of epochs:
        ``lambda k: (k >= start) & (k % steps_per_epoch == steps_per_epoch - 1)``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> tx = ja.optimizers.sgd(lr=0.5)
        >>> loss_fn = lambda params, model_state, batch: (params * batch, (model_state, {}))
        >>> step = ja.training.train_step(ja.training.gradients(loss_fn), tx)
        >>> average = ja.transforms.exponential_moving_average(decay=0.5)
        >>> step = ja.training.average_weights(step, average)
        >>> state = ja.training.averaged_state(ja.training.train_state(jnp.ones(()), tx), average)
        >>> for _ in range(3):
        ...     state, metrics = step(state, 1.0)
        >>> print(state.train_state.params, state.average.module.params)
        -0.5 -0.125

    References:
        Polyak, Juditsky. Acceleration of Stochastic Approximation by Averaging. 1992.
        Izmailov, Podoprikhin, Garipov, Vetrov, Wilson. Averaging Weights Leads to Wider Optima and
        Better Generalization. 2018. https://arxiv.org/abs/1803.05407
    """
    check_function("average_weights", "step", step, "(state, batch) -> (state, metrics)", 2)
    for name, function in (("when", when), ("restart", restart)):
        if function is not None:
            check_function("average_weights", name, function, "(step) -> bool", 1)
            check_takes(name, "(step) -> bool", function, 0)

    def run(state: Any, batch: Any, extra: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        if not isinstance(state, AveragedState):
            raise TypeError(
                f"a step of average_weights takes an AveragedState, got {type(state).__name__}; "
                "make one with training.averaged_state(state, average)"
            )
        number = _innermost(state).step
        new, metrics = step(state.train_state, batch, **extra)
        inner = _innermost(new)
        weights = AveragedWeights(inner.params, inner.model_state)

        def update(old: AverageState) -> AverageState:
            return _updated(average, old, weights, use_buffers)

        if when is None:
            kept = update(state.average)
        else:
            kept = jax.lax.cond(_answer(when, number), update, lambda old: old, state.average)
        if restart is not None:
            n_averaged = jnp.where(_answer(restart, number), 0, kept.n_averaged)
            kept = kept._replace(n_averaged=n_averaged)
        return AveragedState(new, kept), metrics

    return wrapped_step(run, step, donate)


def _updated(
    average: WeightAverage, old: AverageState, new: AveragedWeights, use_buffers: bool
) -> AverageState:
    """Return the average after one more update; buffers that are not averaged are the model's."""
    if use_buffers:
        return average.update(old, new)
    params = average.update(old._replace(module=old.module.params), new.params)
    return params._replace(module=AveragedWeights(params.module, new.model_state))


def _answer(function: Callable[[Any], Any], number: jax.Array) -> jax.Array:
    """Return what a function says of a step, one bool."""
    return jnp.asarray(function(number), bool).reshape(())


def _innermost(state: Any) -> TrainState:
    """Return the training state inside, which may be in several averages."""
    while isinstance(state, AveragedState):
        state = state.train_state
    return state

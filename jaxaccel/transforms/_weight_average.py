"""Averages of the weights over training: exponentially decaying, or equal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxaccel._call_repr import shows_call
from jaxaccel._checked import checked_after
from jaxaccel._checks import known_value
from jaxaccel._filled import copied
from jaxaccel._math import compute_dtype, ema, in_dtype, one_minus, value_at, widest
from jaxaccel._tree import initial_step, next_step, short_repr, takes_shapes
from jaxaccel._types import Hyperparameter, Params


class AverageState(NamedTuple):
    """State of a :class:`WeightAverage`, under PyTorch's keys."""

    n_averaged: jax.Array
    """int32 scalar: how often the average was updated."""
    module: Params
    """The average, like the parameters (or in the dtypes that ``init`` was given)."""

    __repr__ = short_repr


class WeightAverage(NamedTuple):
    """A pair of pure functions that keep an average of a model's parameters."""

    init: Callable[[Params], AverageState]
    """``init(params) -> state``: a copy of the parameters, averaged 0 times."""
    update: Callable[[AverageState, Params], AverageState]
    """``update(state, params) -> state``: average once more; the first time copies."""


@shows_call
@checked_after
def exponential_moving_average(decay: Hyperparameter = 0.999) -> WeightAverage:
    r"""Average the weights with exponentially decaying shares.

    .. math:: \bar\theta_0 = \theta_0, \qquad
        \bar\theta_n = d\,\bar\theta_{n-1} + (1 - d)\,\theta_n

    The first call of ``update`` copies what it is given, which is :math:`\theta_0`. Averages that
    begin with the weights before the first step (timm's ``ModelEma``, most written by hand) call it
    once with those. It can be called after every step or less often, inside ``jit`` or outside,
    with the parameters alone or with a tree that also holds running statistics.

    Args:
        decay: The share :math:`d` of the old average, in [0, 1]: a number, a JAX scalar or a
            schedule of the number of averages so far.

    Returns:
        A :class:`WeightAverage`. ``state.module`` has the dtypes of the tree that ``init`` was
        given: from parameters cast to float32, bfloat16 ones are averaged in float32.

    Raises:
        ValueError: ``decay`` is outside [0, 1].
        TypeError: ``decay`` is not a number, a JAX scalar or a schedule.

    PyTorch:
        ``torch.optim.swa_utils.AveragedModel`` with ``get_ema_avg_fn(decay)`` or
        ``get_ema_multi_avg_fn(decay)``: same numbers, keys and errors. ``update`` is
        ``update_parameters``; ``use_buffers=True`` is a tree that holds the running statistics too
        (integers are averaged in float32 and truncated, random keys follow the model); with
        ``False`` the averaged model takes the current ones. Left out: ``device`` (an average lives
        where its parameters do).

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> average = ja.transforms.exponential_moving_average(decay=0.75)
        >>> state = average.init(jnp.zeros(2))
        >>> for w in (jnp.array([1.0, 2.0]), jnp.array([5.0, 2.0])):
        ...     state = average.update(state, w)
        >>> print(state.module, state.n_averaged)
        [2. 2.] 2

    References:
        Polyak, Juditsky. Acceleration of Stochastic Approximation by Averaging. 1992.
    """
    known = known_value("decay", decay)
    if known is not None and not 0.0 <= known <= 1.0:
        raise ValueError(
            f"Invalid decay value {decay} provided. Please provide a value in [0,1] range."
        )

    def average(averaged, param, n_averaged, is_integer):
        return _decaying(averaged, param, is_integer, decay=value_at(decay, n_averaged, "decay"))

    return _weight_average(average)


@shows_call
@checked_after
def stochastic_weight_average() -> WeightAverage:
    r"""Average the weights with equal shares.

    .. math:: \bar\theta_n = \bar\theta_{n-1} + \frac{\theta_n - \bar\theta_{n-1}}{n + 1}

    Usually ``update`` is called once per epoch, late in training, under a constant or cyclic
    learning rate; then :func:`jaxaccel.training.update_bn` renews the running statistics.

    Returns:
        A :class:`WeightAverage`. ``state.module`` has the dtypes of the tree that ``init`` was
        given: from parameters cast to float32, bfloat16 ones are averaged in float32.

    PyTorch:
        ``torch.optim.swa_utils.AveragedModel`` with its default ``get_swa_avg_fn()`` or with
        ``get_swa_multi_avg_fn()``: same numbers and keys, see :func:`exponential_moving_average`
        (on a GPU PyTorch rounds :math:`1 / (n + 1)` to float32, for double-precision weights too).

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> average = ja.transforms.stochastic_weight_average()
        >>> state = average.init(jnp.zeros(2))
        >>> for w in (jnp.array([1.0, 2.0]), jnp.array([5.0, 2.0])):
        ...     state = average.update(state, w)
        >>> print(state.module)
        [3. 2.]

    References:
        Izmailov, Podoprikhin, Garipov, Vetrov, Wilson. Averaging Weights Leads to Wider Optima and
        Better Generalization. 2018. https://arxiv.org/abs/1803.05407
    """

    def average(averaged, param, n_averaged, is_integer):
        del is_integer
        return _equal(averaged, param, n_averaged)

    return _weight_average(average)


def _weight_average(average: Callable[..., jax.Array]) -> WeightAverage:
    """Return the pair of functions around ``average(averaged, param, n_averaged, is_integer)``."""

    @takes_shapes
    def init(params: Params) -> AverageState:
        return AverageState(initial_step(params), jax.tree.map(copied, params))

    def update(state: AverageState, params: Params) -> AverageState:
        module = jax.tree.map(
            lambda averaged, param: _update_leaf(averaged, param, state.n_averaged, average),
            state.module,
            params,
        )
        return AverageState(next_step(state.n_averaged), module)

    return WeightAverage(init, update)


def _decaying(averaged, param, is_integer, *, decay):
    """Return the average with exponentially decaying shares."""
    if not is_integer:
        return ema(averaged, param, decay)
    # Both products are rounded, as in PyTorch: truncation shows the last bit.
    keep, weight = in_dtype(averaged.dtype, decay, one_minus(decay))
    return _rounded(averaged * keep) + _rounded(param * weight)


def _equal(averaged, param, n_averaged):
    """Return the average with equal shares."""
    return averaged + (param - averaged) / (n_averaged + 1).astype(averaged.dtype)


def _update_leaf(averaged, param, n_averaged, average):
    """Return the new average of one array, in the dtype of the old one; the first is a copy."""
    averaged, param = jnp.asarray(averaged), jnp.asarray(param)
    if jnp.issubdtype(param.dtype, jax.dtypes.extended):
        return param
    is_integer = not jnp.issubdtype(averaged.dtype, jnp.inexact)
    wide: Any = jnp.float32 if is_integer else compute_dtype(widest(averaged.dtype, param.dtype))
    new = average(averaged.astype(wide), param.astype(wide), n_averaged, is_integer)
    return jnp.where(n_averaged == 0, param.astype(averaged.dtype), new.astype(averaged.dtype))


def _rounded(product):
    """Return a product, rounded by itself.

    A compiler fuses a product with the sum around it, unrounded; the one here is exact.
    """
    return jnp.abs(product) * jnp.sign(product)

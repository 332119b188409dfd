"""ReduceLROnPlateau."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxaccel._call_repr import shows_call
from jaxaccel._checked import checked_after
from jaxaccel._checks import check_eps
from jaxaccel._tree import initial_scalar, initial_step, next_step, short_repr, update_leaves
from jaxaccel._types import Count, Params, Scalar, State, Updates
from jaxaccel.schedules._inputs import known_count, known_lr, known_number


class PlateauState(NamedTuple):
    """State of a :class:`Plateau`: scalars, under the keys of PyTorch's ``state_dict``."""

    best: jax.Array
    """Default float: the best metric so far; at first the worst one, plus or minus infinity."""
    num_bad_epochs: jax.Array
    """int32: metrics in a row that were no better."""
    cooldown_counter: jax.Array
    """int32: metrics to come that are not counted as bad."""
    last_epoch: jax.Array
    """int32: metrics so far."""
    lr: jax.Array
    """Default float: the learning rate now, the one entry of PyTorch's ``_last_lr``."""

    is_elementwise = True
    __repr__ = short_repr


class Plateau(NamedTuple):
    """A learning rate that follows a metric: pure functions, alone or in an optax chain."""

    init: Callable[[], PlateauState]
    """``init() -> state``: no metric yet."""
    update: Callable[[PlateauState, Any], PlateauState]
    """``update(state, metric) -> state``: PyTorch's ``scheduler.step(metric)``. The metric is a
    real number, or an array or tensor of one element."""
    transformation: optax.GradientTransformationExtraArgs
    """For ``optax.chain(optimizer, plateau.transformation)``; its state is a ``PlateauState``."""


@shows_call
@checked_after
def reduce_lr_on_plateau(
    lr: Scalar,
    mode: Literal["min", "max"] = "min",
    factor: Scalar = 0.1,
    patience: Count = 10,
    threshold: Scalar = 1e-4,
    threshold_mode: Literal["rel", "abs"] = "rel",
    cooldown: Count = 0,
    min_lr: Scalar = 0,
    eps: Scalar = 1e-8,
) -> Plateau:
    r"""Reduce the learning rate when a metric has stopped improving.

    A metric is better than the best so far, :math:`b`, by the test below; with ``mode="max"``
    the sign before :math:`t` and the comparison are reversed. NaN is never better. Once more
    than ``patience`` metrics in a row were no better, the learning rate is reduced.

    .. math::
        m < b\,(1 - t) \;\text{(rel)} \qquad m < b - t \;\text{(abs)} \qquad
        \eta \leftarrow \max(\eta f, \eta_{\min}) \;\text{if that takes off more than}\;
        \epsilon

    There are two ways to give the learning rate to an optimizer. Either build it with
    ``ja.optimizers.param_groups`` and write
    ``opt_state = ja.optimizers.set_hyperparams(opt_state, lr=plateau_state.lr)`` after each
    metric: for every optimizer that can be in groups.

    Or use ``optax.chain(optimizer, plateau.transformation)``, the optimizer given the same ``lr``
    as a number: ``update(updates, state, params, value=metric)`` multiplies the updates by
    (the learning rate now) / ``lr``. The updates of that very call have the learning rate from
    before the metric, which counts from the next call on; a call without a metric says
    ``value=None``, and the plateau stays as it is. This suits optimizers whose step is
    proportional to ``lr``: not adafactor, asgd, lbfgs and rprop, and not lookahead (chain inside
    it).

    Args:
        lr: The optimizer's learning rate, at least 0: a number, not a schedule.
        mode: ``"min"`` for a metric that should fall, ``"max"`` for one that should rise.
        factor: What the learning rate is multiplied by (:math:`f`), in [0, 1).
        patience: How many metrics in a row may be no better, a whole number of at least 0.
        threshold: How much better the metric must be (:math:`t`).
        threshold_mode: ``"rel"``: by a share of the best, which for a negative best and a positive
            :math:`t` lets slightly worse metrics pass for better; ``"abs"``: by a difference.
        cooldown: How many metrics after a reduction are not counted as bad, a whole number of at
            least 0.
        min_lr: The learning rate is not reduced below this (:math:`\eta_{\min}`).
        eps: A reduction by this much or less is left out (:math:`\epsilon`), at least 0.

    Returns:
        A :class:`Plateau` of pure functions for ``jit``, ``vmap`` and ``scan``. Counts are int32
        and a larger ``patience`` or ``cooldown`` is cut to that; the updates keep their dtypes.

    Raises:
        ValueError: An argument is out of its range; or a metric is not a single number.
        TypeError: An argument is not a number, ``min_lr`` is a list, or a metric is complex.

    PyTorch:
        ``torch.optim.lr_scheduler.ReduceLROnPlateau``: the same state after every metric, and the
        order ``optimizer.step(); scheduler.step(metric)``. Metrics are read and kept in JAX's
        default float, but compared in double, so that float32 metrics are judged as PyTorch judges
        them; a float32 learning rate is rounded once per reduction. The best and the counts depend
        on the metric alone, so for groups with an ``lr`` or ``min_lr`` of their own (a list in
        PyTorch) feed one plateau per group with the same metric and write each with
        ``set_hyperparams(opt_state, group, lr=...)``. Left out: ``epoch`` of ``step``, and what
        PyTorch does not refuse: a negative ``factor``, ``eps``, ``patience`` or ``cooldown``, and
        NaN for a number.

    Example:
        >>> import jaxaccel as ja
        >>> plateau = ja.schedules.reduce_lr_on_plateau(0.5, factor=0.5, patience=1)
        >>> state = plateau.init()
        >>> for loss in (3.0, 2.0, 2.0, 2.0, 1.0):
        ...     state = plateau.update(state, loss)
        ...     print(state.lr, state.num_bad_epochs)
        0.5 0
        0.5 0
        0.5 1
        0.25 0
        0.25 0
    """
    lr = known_lr(lr)
    if mode not in ("min", "max"):
        raise ValueError(f"mode {mode} is unknown!")
    if threshold_mode not in ("rel", "abs"):
        raise ValueError(f"threshold mode {threshold_mode} is unknown!")
    factor = _known_factor(factor)
    most_bad, pause = _known_int32("patience", patience), _known_int32("cooldown", cooldown)
    check_eps(eps)
    is_better = _comparison(mode, _known("threshold", threshold), threshold_mode)
    reduce = _reduction(factor, _known_min_lr(min_lr), known_number("eps", eps))

    def init(params: Params = None) -> PlateauState:
        worst = math.inf if mode == "min" else -math.inf
        best, rate = (initial_scalar(params, _default_float(), value) for value in (worst, lr))
        bad, cooldown_counter, epoch = (initial_step(params) for _ in range(3))
        return PlateauState(best, bad, cooldown_counter, epoch, rate)

    def update(state: PlateauState, metric: Any) -> PlateauState:
        metric = _as_scalar(metric, state.best.dtype)
        better = is_better(metric, state.best)
        is_cooling = state.cooldown_counter > 0
        bad = jnp.where(better | is_cooling, 0, next_step(state.num_bad_epochs))
        reduces = bad > most_bad
        cooled = jnp.maximum(state.cooldown_counter - 1, 0)
        return PlateauState(
            best=jnp.where(better, metric, state.best),
            num_bad_epochs=jnp.where(reduces, 0, bad),
            cooldown_counter=jnp.where(reduces, pause, cooled),
            last_epoch=next_step(state.last_epoch),
            lr=jnp.where(reduces, reduce(state.lr), state.lr),
        )

    return Plateau(init, update, _transformation(lr, init, update))


def _transformation(lr, init, update_plateau):
    """Return the transformation that scales the updates of an optimizer with that ``lr``."""

    def update(
        updates: Updates,
        state: State,
        params: Params | None = None,
        *,
        value: Any,
        **extra: object,
    ) -> tuple[Updates, State]:
        del params, extra
        first = np.asarray(lr, state.lr.dtype)
        if first >= jnp.finfo(first.dtype).tiny:  # 0 / 0 otherwise
            scale = state.lr / first
            (updates,) = update_leaves(
                lambda _, leaf: (leaf * scale.astype(leaf.dtype),), updates, None, ()
            )
        return updates, state if value is None else update_plateau(state, value)

    # Optax's type knows no keyword that must be given; a forgotten metric must raise.
    checked: Any = update
    return optax.GradientTransformationExtraArgs(init, checked)


def _comparison(mode: str, threshold: float, threshold_mode: str) -> Callable[..., jax.Array]:
    """Return the test ``is_better(metric, best)``, in PyTorch's order of operations."""
    share = 1.0 - threshold if mode == "min" else threshold + 1.0
    distance = -threshold if mode == "min" else threshold

    def is_beyond(metric, best):
        bound = best * share if threshold_mode == "rel" else best + distance
        return metric < bound if mode == "min" else metric > bound

    def is_better(metric, best):
        # In float32 the bound would be rounded onto the metrics themselves: accuracies that are
        # multiples of the threshold would often be judged otherwise than PyTorch judges them.
        with jax.enable_x64(True):
            exact = is_beyond(metric.astype(float), best.astype(float))
        # A TPU's double is a pair of floats: infinities are kept out of its arithmetic.
        return jnp.where(jnp.isfinite(best), exact, is_beyond(metric, best))

    return is_better


def _reduction(factor: float, min_lr: float, eps: float) -> Callable[[jax.Array], jax.Array]:
    """Return the function that reduces a learning rate, rounded once to its own dtype."""

    def reduce(lr):
        with jax.enable_x64(True):
            old = lr.astype(float)
            new = jnp.maximum(old * factor, min_lr)
            return jnp.where(old - new > eps, new, old).astype(lr.dtype)

    return reduce


def _as_scalar(metric: Any, dtype: Any) -> jax.Array:
    """Return a metric as a scalar of ``dtype``."""
    value = jnp.asarray(float(metric) if isinstance(metric, numbers.Real) else metric)
    if value.size != 1:
        raise ValueError(
            f"the metric must be a single number, got shape {value.shape}; reduce it first, for "
            "instance to its mean"
        )
    if jnp.iscomplexobj(value):
        raise TypeError(f"the metric must be real, got dtype {value.dtype}")
    return value.reshape(()).astype(dtype)


def _default_float() -> Any:
    """Return JAX's default float: float64 with x64 on, else float32."""
    return jax.dtypes.canonicalize_dtype(float)


def _known(name: str, value: Any) -> float:
    """Return a number that is not NaN as a float."""
    known = known_number(name, value)
    if math.isnan(known):
        raise ValueError(f"{name} must be a number, got {value!r}")
    return known


def _known_factor(factor: Any) -> float:
    """Return the factor, at least 0 and below 1, as a float."""
    known = _known("factor", factor)
    if known >= 1.0:
        raise ValueError("Factor should be < 1.0.")
    if known < 0.0:
        raise ValueError(f"factor must be at least 0, got {factor!r}")
    return known


def _known_min_lr(min_lr: Any) -> float:
    """Return ``min_lr`` as a float; a list, one per group in PyTorch, is refused."""
    if isinstance(min_lr, (list, tuple)):
        raise TypeError(
            f"min_lr must be one number, got {min_lr!r}; build one plateau per parameter group, "
            "each with its own min_lr, and feed all of them with the same metric"
        )
    return _known("min_lr", min_lr)


def _known_int32(name: str, value: Any) -> int:
    """Return a count of at least 0 as an int, at most the largest that an int32 holds."""
    return min(known_count(name, value, least=0), np.iinfo(np.int32).max)

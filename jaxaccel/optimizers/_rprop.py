"""Rprop: each parameter has a step size of its own, and the gradient gives only the sign."""

from __future__ import annotations

import functools
import numbers
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxaccel._call_repr import shows_call
from jaxaccel._check_trees import check_parameters, check_update
from jaxaccel._checked import checked_after
from jaxaccel._checks import check_lr, known_value
from jaxaccel._counts import next_counts, of_leaves, schedule_step
from jaxaccel._math import in_dtype, value_at, values_at
from jaxaccel._tree import (
    initial_step,
    is_none,
    short_repr,
    takes_shapes,
    update_leaves,
    zeros_like,
)
from jaxaccel._types import Hyperparameter, Params, State, Updates
from jaxaccel.optimizers._torch_fields import TorchFields


class RpropState(NamedTuple):
    """State of :func:`rprop`, under PyTorch's keys."""

    step: jax.Array
    """int32 scalar: finished updates."""
    prev: Params
    """The last gradient, 0 where it had turned its sign; like the parameters."""
    step_size: Params
    """Step size of every parameter, like the parameters (complex: one for each part)."""

    torch_fields = TorchFields(
        ("prev", "step_size"),
        shared=("step",),
        switches=("foreach", "differentiable", "capturable"),
    )
    own_counts = ("step",)
    is_elementwise = True
    __repr__ = short_repr


@shows_call
@checked_after
def rprop(
    lr: Hyperparameter = 1e-2,
    etas: tuple[Hyperparameter, Hyperparameter] = (0.5, 1.2),
    step_sizes: tuple[Hyperparameter, Hyperparameter] = (1e-6, 50),
    *,
    maximize: bool = False,
) -> optax.GradientTransformationExtraArgs:
    r"""Resilient backpropagation, for gradients of the whole data set.

    .. math::
        \eta_t &= \mathrm{clip}\big(\eta_{t-1} \cdot
        \{\eta_+ \text{ if } g_{t-1} g_t > 0,\;
        \eta_- \text{ if } g_{t-1} g_t < 0,\; 1 \text{ else}\},\;
        \Gamma_{\min}, \Gamma_{\max}\big) \\
        g_t &\leftarrow 0 \quad \text{if } g_{t-1} g_t < 0 \\
        \theta_t &= \theta_{t-1} - \eta_t\,\mathrm{sign}(g_t)

    Args:
        lr: The step size to begin with, at least 0: a number, a JAX scalar or a schedule
            ``step -> value``, of which only the value at 0 counts.
        etas: Factors of the step size where the gradient has turned its sign, in (0, 1), and where
            it has kept it, above 1. Each is a number, a JAX scalar or a schedule, read as
            :obj:`Hyperparameter` says.
        step_sizes: The smallest and the largest step size, likewise.
        maximize: Climb instead of descend: the gradient's sign is flipped first.

    Returns:
        A transformation whose ``update(updates, state, params)`` returns additive updates in the
        parameters' dtypes and an :class:`RpropState` in the parameters' shapes, dtypes and
        shardings. Half-precision leaves are computed in float32 and rounded once.

    Raises:
        ValueError: ``lr`` is negative, or ``etas`` do not lie on their sides of 1.
        TypeError: ``etas`` or ``step_sizes`` is not a pair, or a number in them or ``lr`` is not a
            number, a JAX scalar or a schedule.

    PyTorch:
        ``torch.optim.Rprop``: same arguments, defaults, state keys, errors and numbers; the first
        step is taken at once, and clipped (``optax.rprop`` lags by one step and does neither). A
        gradient of NaN moves nothing, in both. The product of two gradients decides, in both; one
        that is subnormal (of two float32 gradients near 1e-19) is 0 under XLA, and the step size
        rests. Left out: ``foreach``, ``capturable`` and ``differentiable``, which say how and not
        what. A leaf whose gradient is ``None`` stays as it is; thawed later, it needs
        :func:`count_per_parameter`.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> tx = ja.optimizers.rprop(lr=0.1)
        >>> w = jnp.array([1.0, -2.0])
        >>> updates, state = tx.update(2 * w, tx.init(w), w)
        >>> updates, state = tx.update(jnp.array([0.5, 3.0]), state, w)
        >>> print(updates, state.step_size)
        [-0.12 -0.  ] [0.12 0.05]

    References:
        Riedmiller, Braun. A Direct Adaptive Method for Faster Backpropagation Learning: The RPROP
        Algorithm. 1993.
    """
    check_lr(lr)
    _check_etas(etas)
    _check_pair("step_sizes", step_sizes)

    @takes_shapes
    def init(params: Params) -> State:
        check_parameters(params)
        step = initial_step(params)
        step_size = value_at(lr, step, "lr")
        return RpropState(
            step=step,
            prev=zeros_like(params),
            step_size=jax.tree.map(lambda param: _filled_like(param, step_size), params),
        )

    def update(
        updates: Updates, state: State, params: Params | None = None, **extra: object
    ) -> tuple[Updates, State]:
        check_update("rprop", RpropState, updates, state, params)
        at = schedule_step(extra, state.step)
        now = values_at(
            at,
            etaminus=etas[0],
            etaplus=etas[1],
            step_size_min=step_sizes[0],
            step_size_max=step_sizes[1],
        )
        update_leaf = functools.partial(_update_leaf, maximize=maximize, **now)
        step = next_counts(state.step, updates)
        step_size = state.step_size
        if not isinstance(lr, numbers.Real):  # a number is the one that init has put there
            start = functools.partial(_started, lr=value_at(lr, at, "lr"))
            counts = of_leaves(step, step_size)
            step_size = jax.tree.map(start, updates, step_size, counts, is_leaf=is_none)
        slots = (state.prev, step_size)
        updates, *slots = update_leaves(update_leaf, updates, params, slots)
        return updates, RpropState(step, *slots)

    return optax.GradientTransformationExtraArgs(init, update)


def _update_leaf(
    param, grad, prev, step_size, *,
    etaminus, etaplus, step_size_min, step_size_max, maximize,
):  # fmt: skip
    """Return the update of one array, the gradient to remember and the new step sizes."""
    del param
    etaminus, etaplus, step_size_min, step_size_max = in_dtype(
        grad.dtype, etaminus, etaplus, step_size_min, step_size_max
    )
    grad = -grad if maximize else grad
    agreement = grad * prev
    turned = agreement < 0
    grown = jnp.where(agreement > 0, etaplus * step_size, step_size)
    # Clipped before it is chosen: what ends in a choice is computed once, not in every reader.
    step_size = jnp.where(
        turned,
        jnp.clip(etaminus * step_size, step_size_min, step_size_max),
        jnp.clip(grown, step_size_min, step_size_max),
    )
    grad = jnp.where(turned, 0, grad)
    return _against(grad, step_size), grad, step_size


def _started(grad: Any, step_size: jax.Array, step: jax.Array, lr: Any) -> jax.Array:
    """Return the step sizes of this step: at the first one the learning rate in force then.

    A leaf that no gradient reaches may have had its first step, and still counts 1.
    """
    if grad is None:
        return step_size
    return jnp.where(step == 1, _filled_like(step_size, lr), step_size)


def _against(grad, step_size):
    """Return a step against the sign of the gradient; none where that is 0 or NaN."""
    return jnp.where(grad > 0, -step_size, jnp.where(grad < 0, step_size, -0.0))


def _filled_like(param: Any, value: Any) -> jax.Array:
    """Return an array like the parameter, full of a number; both parts of a complex one are."""
    dtype = jnp.result_type(param)
    value = jnp.asarray(value, dtype)
    value = value * (1 + 1j) if jnp.iscomplexobj(param) else value
    return jnp.full_like(param, value, dtype=dtype)


def _check_pair(name: str, pair: Any) -> tuple[float | None, float | None]:
    """Return a pair of numbers as floats, None where they are not known yet."""
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise TypeError(f"{name} must be a pair, got {pair!r}")
    return known_value(f"{name}[0]", pair[0]), known_value(f"{name}[1]", pair[1])


def _check_etas(etas: Any) -> None:
    """Check the factors: the first in (0, 1), the second above 1."""
    etaminus, etaplus = _check_pair("etas", etas)
    shrinks = etaminus is None or 0.0 < etaminus < 1.0
    grows = etaplus is None or etaplus > 1.0
    if not (shrinks and grows):
        raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")

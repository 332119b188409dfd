"""Adafactor: a step along the gradient, over a second moment kept as one row and one column."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxaccel._call_repr import shows_call
from jaxaccel._check_packed import check_not_packed
from jaxaccel._check_trees import check_parameters, check_update
from jaxaccel._checked import checked_after
from jaxaccel._checks import check_non_negative, check_params_given, known_value
from jaxaccel._counts import next_counts, schedule_step
from jaxaccel._layout import Layouts, axis_from_torch, check_layouts, layout_at
from jaxaccel._math import compute_dtype, in_dtype, is_zero, lerp, value_at, values_at
from jaxaccel._stacked import check_not_stacked
from jaxaccel._tree import (
    initial_step,
    is_none,
    path_name,
    short_repr,
    takes_shapes,
    update_leaves,
    zeros_like,
)
from jaxaccel._types import Hyperparameter, Params, State, Updates
from jaxaccel.optimizers._torch_fields import TorchFields


class AdafactorState(NamedTuple):
    """State of :func:`adafactor`, under PyTorch's keys; each tree holds ``None`` where unused."""

    step: jax.Array
    """int32 scalar: finished updates."""
    row_var: Params
    """Mean square over PyTorch's last axis, which stays with size 1; leaves of 2 axes or more."""
    col_var: Params
    """Mean square over PyTorch's last axis but one, which stays with size 1; the same leaves."""
    variance: Params
    """Running mean of squared gradients, like the parameters; leaves of fewer axes."""

    torch_fields = TorchFields(
        ("row_var", "col_var", "variance"),
        shared=("step",),
        switches=("foreach",),
        factors=("row_var", "col_var"),
    )
    own_counts = ("step",)
    __repr__ = short_repr


@shows_call
@checked_after
def adafactor(
    lr: Hyperparameter = 1e-2,
    beta2_decay: Hyperparameter = -0.8,
    eps: tuple[Hyperparameter | None, Hyperparameter] = (None, 1e-3),
    d: Hyperparameter = 1.0,
    weight_decay: Hyperparameter = 0.0,
    *,
    maximize: bool = False,
    layout: Layouts = "flax",
) -> optax.GradientTransformationExtraArgs:
    r"""Adafactor, factored and scaled as in PyTorch.

    .. math::
        \rho_t &= \min(\gamma, 1 / \sqrt{t}), \qquad
        \alpha_t = \max(\epsilon_2, \text{RMS}(\theta_{t-1}))\,\rho_t, \qquad
        w_t = t^{\tau} \\
        R_t &= (1 - w_t) R_{t-1} + w_t\,\text{mean}_j(g_t^2), \qquad
        C_t = (1 - w_t) C_{t-1} + w_t\,\text{mean}_i(g_t^2) \\
        V_t &= R_t C_t / \max(\text{mean}_i(R_t), \epsilon_1), \qquad
        U_t = g_t / \max(\sqrt{V_t}, \epsilon_1) \\
        \theta_t &= (1 - \gamma \lambda)\,\theta_{t-1}
        - \alpha_t\,U_t / \max(1, \text{RMS}(U_t) / d)

    :math:`i` and :math:`j` are the last two axes in PyTorch's layout: output and input of a
    linear weight, height and width of a convolution's window. Leaves of fewer axes keep
    :math:`V_t` itself.

    Args:
        lr: Learning rate, at least 0: the largest relative step. Like every numeric argument here a
            number, a JAX scalar or a schedule ``step -> value``, read as :obj:`Hyperparameter`
            says.
        beta2_decay: Exponent :math:`\tau`, at most 0, of the share of the newest square.
        eps: Two numbers, each at least 0. The first bounds the second moment's root from below;
            ``None`` is the distance from 1 to the next number in each leaf's own dtype. The
            second bounds the parameters' root mean square from below.
        d: Clipping threshold, at least 1, of the root mean square of :math:`U_t`.
        weight_decay: Weight decay, at least 0; the learning rate scales it.
        maximize: Climb instead of descend: the gradient's sign is flipped first.
        layout: ``"flax"`` for kernels ``(*k, I, O)``, ``"torch"`` for ``(O, I, *k)``, or a
            function from a leaf's path (``"layer1.0.kernel"``) to one of the two: an embedding
            has PyTorch's layout in flax too.

    Returns:
        A transformation whose ``update(updates, state, params)`` returns additive updates in the
        parameters' dtypes and an :class:`AdafactorState` in their dtypes and shardings.
        Half-precision leaves are computed in float32 and rounded once.

    Raises:
        ValueError: A number is out of its range, or ``layout`` is unknown; or ``update`` is
            called without parameters.
        TypeError: A numeric argument is not a number, a JAX scalar or a schedule, or ``eps`` is
            not a pair.
        RuntimeError: A parameter is complex, in ``init``.

    PyTorch:
        ``torch.optim.Adafactor``: same arguments, defaults, state keys, errors and numbers
        (``optax.adafactor`` factors the two largest axes, and none where one of them is shorter
        than 128). ``layout`` says where PyTorch's last two axes are. In a tree of several dtypes
        each leaf has its own default of epsilon, where PyTorch takes that of the first it meets for
        all. Left out: ``foreach``, which says how and not what. ``step`` is one int32 for the whole
        tree. A leaf whose gradient is ``None`` stays as it is; thawed later, it needs
        :func:`count_per_parameter`.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> tx = ja.optimizers.adafactor(lr=0.1)
        >>> w = jnp.array([[1.0, -2.0], [2.0, 1.0]])
        >>> updates, state = tx.update(2 * w, tx.init(w), w)
        >>> print(updates.round(3))
        [[-0.1  0.2]
         [-0.2 -0.1]]
        >>> print(state.row_var, state.col_var.shape)
        [[10. 10.]] (2, 1)

    References:
        Shazeer, Stern. Adafactor: Adaptive Learning Rates with Sublinear Memory Cost. 2018.
        https://arxiv.org/abs/1804.04235
    """
    _check(lr, beta2_decay, eps, d, weight_decay)
    check_layouts(layout)

    @takes_shapes
    def init(params: Params) -> State:
        check_not_packed("adafactor", params)
        check_not_stacked("adafactor", params)
        check_parameters(params)
        return _initial_state(params, layout)

    def update(
        updates: Updates, state: State, params: Params | None = None, **extra: object
    ) -> tuple[Updates, State]:
        check_update("adafactor", AdafactorState, updates, state, params, slots_alike=False)
        check_params_given(params, "adafactor")
        step = next_counts(state.step, updates)
        at = schedule_step(extra, state.step)
        now = values_at(
            at, lr=lr, beta2_decay=beta2_decay, eps2=eps[1], d=d, weight_decay=weight_decay
        )
        update_leaf = functools.partial(_update_leaf, maximize=maximize, **now)
        # It depends on the leaf's own dtype, so it walks along like a slot.
        eps1 = _eps1(None if eps[0] is None else value_at(eps[0], at, "eps[0]"), updates, params)
        slots = (*state[1:], eps1)
        updates, *moments, _ = update_leaves(update_leaf, updates, params, slots, step=step)
        return updates, AdafactorState(step, *moments)

    return optax.GradientTransformationExtraArgs(init, update)


def _check(lr: Any, beta2_decay: Any, eps: Any, d: Any, weight_decay: Any) -> None:
    """Check the numbers in PyTorch's order, with its texts."""
    check_non_negative("lr", lr, "Learning rate should be >= 0 but is")
    known_decay = known_value("beta2_decay", beta2_decay)
    if known_decay is not None and not known_decay <= 0.0:
        raise ValueError(f"beta2_decay should be <= 0 but is: {beta2_decay}")
    if not isinstance(eps, (tuple, list)) or len(eps) != 2:
        raise TypeError(f"eps must be a pair (eps1, eps2), got {eps!r}")
    if eps[0] is not None:
        check_non_negative("eps[0]", eps[0], "epsilon1 should be >= 0 but is")
    check_non_negative("eps[1]", eps[1], "epsilon2 should be >= 0 but is")
    known_d = known_value("d", d)
    if known_d is not None and not known_d >= 1.0:
        raise ValueError(f"Clipping threshold d should be >= 1 but is: {d}")
    check_non_negative("weight_decay", weight_decay, "weight_decay should be >= 0 but is")


def _initial_state(params: Params, layout: Layouts) -> AdafactorState:
    """Return zeros for all moments, each where the parameter's own will be."""
    for leaf in jax.tree.leaves(params):
        if jnp.iscomplexobj(leaf):
            raise RuntimeError(
                "Adafactor does not support complex parameters (got a leaf of dtype "
                f"{jnp.result_type(leaf)})"
            )

    def zeros(torch_axis, path, param):
        ndim = jnp.ndim(param)
        if ndim < 2:
            return None
        axis = axis_from_torch(torch_axis, ndim, layout_at(layout, path_name(path)))
        # A sum has the sharding that later means will have.
        return jnp.zeros_like(jnp.sum(param, axis, keepdims=True))

    return AdafactorState(
        step=initial_step(params),
        row_var=jax.tree.map_with_path(functools.partial(zeros, -1), params),
        col_var=jax.tree.map_with_path(functools.partial(zeros, -2), params),
        variance=jax.tree.map(lambda p: zeros_like(p) if jnp.ndim(p) < 2 else None, params),
    )


def _eps1(eps1: Any, grads: Any, params: Any) -> Any:
    """Return the first epsilon of every leaf that moves, in the dtype of its arithmetic."""

    def of_leaf(grad, param):
        if grad is None:
            return None
        dtype = jnp.result_type(param)
        return jnp.asarray(jnp.finfo(dtype).eps if eps1 is None else eps1, compute_dtype(dtype))

    return jax.tree.map(of_leaf, grads, params, is_leaf=is_none)


def _update_leaf(
    param, grad, row_var, col_var, variance, eps1, step, *,
    lr, beta2_decay, eps2, d, weight_decay, maximize,
):  # fmt: skip
    """Return the update of one array and its new second moment, whole or in two factors."""
    dtype = grad.dtype
    lr, beta2_decay, eps2, d, weight_decay = in_dtype(dtype, lr, beta2_decay, eps2, d, weight_decay)
    grad = -grad if maximize else grad
    count = step.astype(dtype)
    newest = count**beta2_decay
    # Like Python's max, fmax passes over a NaN: it stays where it is and does not spread.
    alpha = jnp.fmax(eps2, _root_mean_square(param)) * jnp.minimum(lr, 1 / jnp.sqrt(count))

    if variance is None:
        row_axis, col_axis = _mean_axes(row_var), _mean_axes(col_var)
        square = grad * grad
        row_var = lerp(row_var, jnp.mean(square, row_axis, keepdims=True), newest)
        col_var = lerp(col_var, jnp.mean(square, col_axis, keepdims=True), newest)
        # Divided first: a product of two squares leaves float32's range.
        mean = jnp.mean(row_var, col_axis, keepdims=True)
        estimate = row_var / jnp.maximum(mean, eps1) * col_var
    else:
        estimate = variance = lerp(variance, grad * grad, newest)

    update = grad / jnp.maximum(jnp.sqrt(estimate), eps1)
    update = -(alpha / jnp.fmax(1.0, _root_mean_square(update) / d)) * update
    if not is_zero(weight_decay):
        update = update - lr * weight_decay * param
    return update, row_var, col_var, variance, eps1


def _mean_axes(factor: Any) -> tuple[int, ...]:
    """Return the axes that a factor is a mean over (or, just as well, of size 1 anyway)."""
    return tuple(axis for axis, size in enumerate(factor.shape) if size == 1)


def _root_mean_square(array: Any) -> Any:
    """Return the root of the mean square of all elements, summed axis by axis.

    A float32 sum over few terms at a time has seen less rounding.
    """
    square = array * array
    for _ in range(array.ndim):
        square = jnp.mean(square, -1)
    return jnp.sqrt(square)

"""Muon: a step along the momentum's nearest orthogonal matrix, for matrices only."""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxaccel._call_repr import shows_call
from jaxaccel._check_packed import check_not_packed
from jaxaccel._check_trees import check_parameters, check_update
from jaxaccel._checked import checked_after
from jaxaccel._checks import check_non_negative, check_params_for_decay, known_value
from jaxaccel._counts import next_counts, schedule_step
from jaxaccel._layout import Layouts, check_layouts, input_axis, layout_at, output_axis
from jaxaccel._math import compute_dtype, ema, in_dtype, is_zero, newton_schulz, value_at, values_at
from jaxaccel._tree import (
    initial_step,
    is_none,
    path_name,
    short_repr,
    takes_shapes,
    update_leaves,
    zeros_like,
)
from jaxaccel._types import DecayFactor, Hyperparameter, Params, State, Updates
from jaxaccel.optimizers._torch_fields import TorchFields


class MuonState(NamedTuple):
    """State of :func:`muon`, under PyTorch's keys."""

    step: jax.Array
    """int32 scalar: finished updates (PyTorch keeps none; schedules need it)."""
    momentum_buffer: Params
    """Running average of gradients, like the parameters."""

    torch_fields = TorchFields(per_parameter=("momentum_buffer",))
    own_counts = ()
    __repr__ = short_repr


@shows_call
@checked_after
def muon(
    lr: Hyperparameter = 1e-3,
    weight_decay: Hyperparameter = 0.1,
    momentum: DecayFactor = 0.95,
    nesterov: bool = True,
    ns_coefficients: tuple[Hyperparameter, Hyperparameter, Hyperparameter] = (
        3.4445,
        -4.7750,
        2.0315,
    ),
    eps: Hyperparameter = 1e-7,
    ns_steps: int = 5,
    adjust_lr_fn: str | None = None,
    *,
    layout: Layouts = "flax",
) -> optax.GradientTransformationExtraArgs:
    r"""Muon, with PyTorch's momentum, bfloat16 iteration and learning rates.

    .. math::
        B_t &= \mu B_{t-1} + (1 - \mu)\,G_t, \qquad
        \tilde B_t = \mu B_t + (1 - \mu)\,G_t \text{ (Nesterov), else } B_t \\
        O_t &= \mathrm{NS}_k(\tilde B_t), \qquad
        \mathrm{NS}: X \leftarrow a X + b\,(X X^\top) X + c\,(X X^\top)^2 X,
        \quad X_0 = \tilde B_t / \max(\lVert \tilde B_t \rVert, \epsilon) \\
        \theta_t &= \theta_{t-1} - \gamma \lambda\,\theta_{t-1} - \gamma\,r\,O_t

    where :math:`r` is, for a matrix of :math:`O` outputs and :math:`I` inputs,
    :math:`\sqrt{\max(1, O / I)}`, or :math:`0.2 \sqrt{\max(O, I)}` for ``"match_rms_adamw"``.

    Every leaf must be a matrix: biases, norm scales, convolutions and usually the embedding and
    the last layer belong to another optimizer, by ``optax.partition`` or ``optax.masked``.

    Args:
        lr: Learning rate, at least 0. Like every numeric argument but ``ns_steps`` a number, a JAX
            scalar or a schedule ``step -> value``, read as :obj:`Hyperparameter` says.
        weight_decay: Decoupled weight decay, at least 0.
        momentum: Decay factor of the running average, at least 0.
        nesterov: Look one step ahead along the average.
        ns_coefficients: The three coefficients :math:`a, b, c` of the Newton-Schulz iteration.
        eps: Smallest norm to divide by.
        ns_steps: Number of Newton-Schulz iterations, below 100.
        adjust_lr_fn: How the shape of a matrix scales its learning rate: ``"original"``
            (as ``None``) or ``"match_rms_adamw"``, which suits a learning rate tuned for AdamW.
        layout: Which axis counts the outputs: ``"flax"``, the last, ``"torch"``, the first (also of
            a weight that a layer shares with an embedding: ``weight.get_metadata("layout")``); or a
            function of a leaf's path (``"encoder.embedding"``) that returns one of the two.

    Returns:
        A transformation whose ``update(updates, state, params)`` returns additive updates in the
        parameters' dtypes and a :class:`MuonState` in the parameters' shapes, dtypes and
        shardings. Half-precision leaves are computed in float32 and rounded once; the factors of
        the iteration's products are bfloat16 for every dtype.

    Raises:
        ValueError: ``lr``, ``weight_decay`` or ``momentum`` is negative, ``adjust_lr_fn`` or
            ``layout`` is unknown, there are not three ``ns_coefficients`` or 100 steps or more;
            a parameter is not a matrix; or ``update`` is called without parameters while
            ``weight_decay`` is in use.
        TypeError: A numeric argument is not a number, a JAX scalar or a schedule, or
            ``ns_steps`` is not an integer.
        RuntimeError: A parameter is complex.

    PyTorch:
        ``torch.optim.Muon``: same arguments, defaults, state key, errors and numbers
        (``optax.contrib.muon`` corrects the bias of the Nesterov average, iterates in the
        gradient's dtype and adds ``eps``). The iteration rounds to bfloat16 where PyTorch's does;
        in large matrices the order of its sums is another, and the last bits differ. PyTorch's
        kernels are (outputs, inputs), hence ``layout``. What PyTorch would find wrong at the first
        step is found before it. A leaf whose gradient is ``None`` stays as it is.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> tx = ja.optimizers.muon(lr=0.5, weight_decay=0.0)
        >>> w = jnp.array([[1.0, 2.0], [-2.0, 1.0]])
        >>> updates, state = tx.update(2 * w, tx.init(w), w)
        >>> print(updates)
        [[-0.24609375 -0.4921875 ]
         [ 0.4921875  -0.24609375]]

    References:
        Jordan et al. Muon: An optimizer for hidden layers in neural networks. 2024.
        https://kellerjordan.github.io/posts/muon/

        Liu et al. Muon is Scalable for LLM Training. 2025. https://arxiv.org/abs/2502.16982
    """
    _check(lr, weight_decay, momentum, adjust_lr_fn, ns_coefficients, eps, ns_steps)
    check_layouts(layout)

    @takes_shapes
    def init(params: Params) -> State:
        check_not_packed("muon", params)
        check_parameters(params)
        _check_matrices(params, "Muon only supports 2D parameters whereas we found a parameter")
        _check_real(params)
        return MuonState(step=initial_step(params), momentum_buffer=zeros_like(params))

    def update(
        updates: Updates, state: State, params: Params | None = None, **extra: object
    ) -> tuple[Updates, State]:
        check_params_for_decay(weight_decay, params)
        _check_matrices(updates, "Param gradient must be a 2D matrix, not one")
        check_update("muon", MuonState, updates, state, params)
        step = next_counts(state.step, updates)
        at = schedule_step(extra, state.step)
        now = values_at(at, lr=lr, weight_decay=weight_decay, momentum=momentum, eps=eps)
        update_leaf = functools.partial(
            _update_leaf,
            nesterov=nesterov,
            ns_coefficients=[value_at(each, at, "ns_coefficients") for each in ns_coefficients],
            ns_steps=ns_steps,
            **now,
        )
        # It depends on the leaf's shape and layout, so it walks along like a slot.
        lr_ratio = _lr_ratio(updates, adjust_lr_fn, layout)
        slots = (state.momentum_buffer, lr_ratio)
        updates, momentum_buffer, _ = update_leaves(update_leaf, updates, params, slots)
        return updates, MuonState(step, momentum_buffer)

    return optax.GradientTransformationExtraArgs(init, update)


def _update_leaf(
    param, grad, momentum_buffer, lr_ratio, *,
    lr, weight_decay, momentum, nesterov, ns_coefficients, eps, ns_steps,
):  # fmt: skip
    """Return the update of one matrix and its new momentum buffer."""
    lr, weight_decay = in_dtype(grad.dtype, lr, weight_decay)
    momentum_buffer = ema(momentum_buffer, grad, momentum)
    direction = ema(momentum_buffer, grad, momentum) if nesterov else momentum_buffer
    orthogonal = newton_schulz(direction, ns_coefficients, ns_steps, eps)

    update = -(lr * lr_ratio) * orthogonal
    if not is_zero(weight_decay):
        update = update - lr * weight_decay * param
    return update, momentum_buffer, lr_ratio


def _lr_ratio(grads: Any, adjust_lr_fn: str | None, layout: Layouts) -> Any:
    """Return the factor of the learning rate of every leaf, in the dtype of its arithmetic."""

    def of_leaf(path, grad):
        if grad is None:
            return None
        own = layout_at(layout, path_name(path))
        outputs, inputs = grad.shape[output_axis(own)], grad.shape[input_axis(own)]
        if adjust_lr_fn == "match_rms_adamw":
            ratio = 0.2 * math.sqrt(max(outputs, inputs))
        else:
            ratio = math.sqrt(max(1.0, outputs / max(1, inputs)))
        return jnp.asarray(ratio, compute_dtype(grad.dtype))

    return jax.tree.map_with_path(of_leaf, grads, is_leaf=is_none)


def _check(lr, weight_decay, momentum, adjust_lr_fn, ns_coefficients, eps, ns_steps) -> None:
    """Check the arguments in PyTorch's order, with its texts."""
    check_non_negative("lr", lr, "Learning rate should be >= 0 but is")
    check_non_negative("momentum", momentum, "momentum should be >= 0 but is")
    check_non_negative("weight_decay", weight_decay, "weight decay should be >= 0 but is")
    if adjust_lr_fn not in (None, "original", "match_rms_adamw"):
        raise ValueError(f"Adjust learning rate function {adjust_lr_fn} is not supported")
    if not isinstance(ns_steps, int) or isinstance(ns_steps, bool):
        raise TypeError(f"ns_steps must be an integer, got {ns_steps!r}")
    if ns_steps >= 100:
        raise ValueError(
            "Number of steps must be less than 100 for computational efficiency, "
            f"got ns_steps={ns_steps}"
        )
    if not isinstance(ns_coefficients, (tuple, list)) or len(ns_coefficients) != 3:
        raise ValueError(
            "Coefficients must be a tuple of exactly 3 values, "
            f"got ns_coefficients={ns_coefficients!r}"
        )
    for index, coefficient in enumerate(ns_coefficients):
        known_value(f"ns_coefficients[{index}]", coefficient)
    known_value("eps", eps)


def _check_matrices(tree: Any, text: str) -> None:
    """Raise unless every leaf is a matrix."""
    for path, leaf in jax.tree.leaves_with_path(tree):
        if np.ndim(leaf) != 2:
            raise ValueError(f"{text} with size: {np.shape(leaf)} at {path_name(path)!r}")


def _check_real(params: Any) -> None:
    """Raise unless every leaf is real."""
    for path, leaf in jax.tree.leaves_with_path(params):
        if jnp.iscomplexobj(leaf):
            raise RuntimeError(
                f"Muon does not support complex parameters, got one at {path_name(path)!r}"
            )

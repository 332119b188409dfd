"""One compiled training step, from a gradient function and an optimizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.core import Tracer

from jaxaccel._checked import checked_but
from jaxaccel._checks import check_non_negative
from jaxaccel._counts import is_counted
from jaxaccel._functions import check_gradient_function, check_transformation
from jaxaccel._math import widest
from jaxaccel._named_gradients import named_gradients
from jaxaccel._processes import MAKE_GLOBAL, check_global
from jaxaccel._returned import checked_gradients
from jaxaccel._spread import spread_of, warn_of_whole_arrays
from jaxaccel._tree import next_step, unmoved_like
from jaxaccel._types import GradientFunction, Gradients, Params, Step, Updates
from jaxaccel.precision import GradScaler
from jaxaccel.training._float16 import warn_of_float16
from jaxaccel.training._learning_rates import learning_rates
from jaxaccel.training._step_call import (
    called_with_a_batch,
    check_not_overwritten,
    check_scaler,
    check_state,
    check_step_arguments,
)
from jaxaccel.training._step_program import compiled_for_leaves
from jaxaccel.training._train_state import TrainState
from jaxaccel.transforms import clip_grads_with_norm, get_total_norm


@checked_but("gradient_fn", "tx")
def train_step(
    gradient_fn: GradientFunction,
    tx: optax.GradientTransformation,
    *,
    max_grad_norm: float | jax.Array | None = None,
    scaler: GradScaler | None = None,
    donate: bool = True,
) -> Step[TrainState]:
    """Return ``step(state, batch, **extra) -> (state, metrics)``: one program.

    In PyTorch's order: forward and backward (in parts, on many devices, as ``gradient_fn`` does
    it), clipping, optimizer; with a scaler: scale, forward and backward, unscale, clipping, step or
    skip, update of the scale. It is compiled at its first call, and again only for another shape
    of a batch or placement of the state.

    Args:
        gradient_fn: A gradient function: ``training.gradients(loss_fn)``, maybe inside
            :func:`accumulate`, ``parallel.data_parallel`` or ``parallel.fully_shard``.
        tx: The optimizer.
        max_grad_norm: Clip gradients to this 2-norm, with PyTorch's formula; default: do not clip.
        scaler: The scaler for float16 (``precision.grad_scaler``), which :func:`train_state` is
            given too. A step whose gradients are not finite is skipped: parameters and the
            optimizer's state, its counts too, stay as they are, bit for bit; ``model_state`` and
            ``state.step`` go on.
        donate: Let the step overwrite the state it is given, which is then no longer usable.

    Returns:
        The step. The state comes back in the shardings in which it came; on a mesh it must be from
        the start (``train_state(..., mesh=mesh)``), or the second call compiles again, which is a
        warning. Where it has a key, the gradient function gets ``fold_in(state.key, state.step)``.

        Extra arguments, which must be arrays or numbers (``flush=True``), are handed to
        ``tx.update``. By itself the step hands in ``grad``, the gradients before clipping;
        ``value_fn``, the loss on this batch as a function of the parameters, for line searches; and
        ``value``, the loss on this batch. So a ``reduce_lr_on_plateau`` inside ``tx`` follows the
        loss of each single batch, unless the step is given ``value=metric``, the metric to follow,
        or ``value=None``, with which it follows nothing in this step.

        ``metrics`` has ``"loss"``, ``"grad_norm"`` (before clipping), what the loss function adds
        and, where the optimizer's state holds it, the learning rate of this step: ``"lr"``, or
        ``"lr/<name>"`` for each of several groups. With a scaler also ``"loss_scale"``, the scale
        of this step, and ``"skipped"``, 1 or 0, of which ``state.scaler.skipped`` is the sum. They
        are on the device, and reading them waits for the step.

        ``step.lowered(state, batch, **extra)``, of arrays or of shapes, returns the program without
        running it, as ``jax.jit(f).lower`` does: for ``aot.compile_for`` and ``aot.report``.

    Raises:
        ValueError: ``max_grad_norm`` is negative; when called, the batch does not divide, one of
            several processes hands in arrays that are only its own, or the state was donated to an
            earlier step.
        TypeError: ``gradient_fn`` is a loss function or a model, ``tx`` is not a transformation,
            ``max_grad_norm`` is not a number, ``scaler`` not a scaler; when called, the state is
            not a :class:`TrainState`, or of a step with a scaler where this has none, or the
            reverse, the batch or an extra argument is not made of arrays,
            ``schedule_step`` is not one integer, what belongs to a batch is not given as one
            tree, or there is an ``lr``, ``training`` or ``key``, which are not a step's.

    PyTorch:
        ``loss.backward(); clip_grad_norm_(...); optimizer.step(); scheduler.step()``. The schedule
        is part of ``tx``; ``step(state, batch, value=metric)`` is ``scheduler.step(metric)`` of a
        ``ReduceLROnPlateau``, ``value=None`` a step without it. With a scaler:
        ``scaler.scale(loss).backward(); scaler.unscale_(optimizer); clip_grad_norm_(...);
        scaler.step(optimizer); scaler.update(); scheduler.step()``. Optimizers of optax read their
        schedules at their own count, which skipped steps do not move.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> def loss_fn(params, model_state, batch):
        ...     return jnp.mean((params["w"] * batch) ** 2), (model_state, {})
        >>> tx = ja.optimizers.sgd(lr=0.1)
        >>> step = ja.training.train_step(ja.training.gradients(loss_fn), tx, max_grad_norm=1.0)
        >>> state = ja.training.train_state({"w": jnp.ones(())}, tx)
        >>> state, metrics = step(state, jnp.ones(4))
        >>> print(state.params["w"], metrics["grad_norm"])
        0.90000004 2.0
    """
    check_gradient_function("train_step", gradient_fn)
    gradient_fn = checked_gradients("train_step", gradient_fn)
    check_transformation("train_step", tx)
    if max_grad_norm is not None:
        check_non_negative("max_grad_norm", max_grad_norm, "Invalid max_norm value")
    full = optax.with_extra_args_support(tx)
    is_scaled = scaler is not None and scaler.enabled
    scaling: Any = scaler

    def run(state: TrainState, batch: Any, extra: dict[str, Any]) -> tuple[TrainState, Any]:
        key = None if state.key is None else jax.random.fold_in(state.key, state.step)

        def gradients_at(params: Params) -> tuple[Gradients, Any]:
            if not is_scaled:
                return gradient_fn(params, state.model_state, batch, key=key), None
            scale = state.scaler.scale
            found = gradient_fn(params, state.model_state, batch, loss_scale=scale, key=key)
            grads, found_inf = scaling.unscale(found.grads, state.scaler)
            return found._replace(grads=grads), found_inf

        (grads, model_state, metrics), found_inf = gradients_at(state.params)
        grads = named_gradients(grads)
        norm = get_total_norm(grads)
        value_fn = _value_fn(lambda params: gradients_at(params)[0])
        given = {"value": metrics["loss"], "grad": grads, "value_fn": value_fn}
        if is_scaled and scaling.schedule_skipped_steps:
            given["skipped_steps"] = state.scaler.skipped
        if max_grad_norm is not None:
            grads = clip_grads_with_norm(grads, max_grad_norm, norm)
        given |= extra
        updates, opt_state = full.update(grads, state.opt_state, state.params, **given)
        rates = learning_rates(state.opt_state, opt_state, is_counted(given))
        new_state = state._replace(
            step=next_step(state.step),
            params=_moved(state.params, updates),
            model_state=model_state,
            opt_state=opt_state,
        )
        metrics = metrics | {"grad_norm": norm} | rates
        if not is_scaled:
            return new_state, metrics
        metrics |= {"loss_scale": state.scaler.scale, "skipped": found_inf.astype(jnp.float32)}
        return _stepped_or_skipped(scaling, new_state, state, found_inf), metrics

    spread = spread_of(gradient_fn)

    def look(state: TrainState, program: Any) -> None:
        warn_of_whole_arrays(state, spread)
        if not is_scaled:
            warn_of_float16(state, program)

    compiled = compiled_for_leaves(run, donate, look)

    def step(state: TrainState, batch: Any, **extra: Any) -> tuple[TrainState, Any]:
        check_step_arguments(state, batch, extra)
        check_scaler(state, is_scaled)
        leaves, treedef = jax.tree.flatten(state)
        if any(issubclass(kind, Tracer) for kind in {*map(type, leaves)}):
            return run(state, batch, extra)  # part of a larger program
        if jax.process_count() > 1:
            check_global(MAKE_GLOBAL, state=state, batch=batch)
        try:
            return compiled(leaves, treedef, batch, extra)
        except (RuntimeError, ValueError):
            check_not_overwritten(state)  # asked here, so that a step in order pays nothing for it
            raise

    def lowered(state: TrainState, batch: Any, **extra: Any) -> jax.stages.Lowered:
        check_state(state)
        check_scaler(state, is_scaled)
        leaves, treedef = jax.tree.flatten(state)
        return compiled.lower(leaves, treedef, batch, extra)

    return called_with_a_batch(step, lowered, max_grad_norm=max_grad_norm)


def _stepped_or_skipped(
    scaler: GradScaler, new: TrainState, old: TrainState, found_inf: jax.Array
) -> TrainState:
    """Return the new state, or the old one where an infinity was found but for what goes on."""
    made, before = ((state.params, state.opt_state) for state in (new, old))
    params, opt_state = scaler.step(made, before, found_inf)
    of_scaler = scaler.update(old.scaler, found_inf)
    return new._replace(params=params, opt_state=opt_state, scaler=of_scaler)


def _moved(params: Params, updates: Updates) -> Params:
    """Return the parameters after an update; those without one, ``None``, stay."""
    leaves, treedef = jax.tree.flatten(params)
    return treedef.unflatten(map(_added, leaves, treedef.flatten_up_to(updates)))


def _added(leaf: Any, move: Any) -> jax.Array:
    """Return a parameter after its update, which may be wider, as that of master weights is."""
    move = unmoved_like(leaf) if move is None else jnp.asarray(move)
    dtype = widest(leaf.dtype, move.dtype)
    return (leaf.astype(dtype) + move.astype(dtype)).astype(leaf.dtype)


def _value_fn(gradients_at: Callable[[Params], Any]) -> Callable[[Params], jax.Array]:
    """Return the loss as a function of the parameters, with the gradients that the step takes.

    To differentiate through the wrappers instead would bypass their weights: a device without a
    token would make NaN of all gradients.
    """

    @jax.custom_vjp
    def value(params: Params) -> jax.Array:
        return gradients_at(params).metrics["loss"]

    def forward(params: Params) -> Any:
        found = gradients_at(params)
        return found.metrics["loss"], jax.tree.map(jnp.conj, found.grads)

    def backward(grads: Params, cotangent: jax.Array) -> tuple[Params]:
        return (jax.tree.map(lambda g: g * cotangent.astype(g.dtype), grads),)

    value.defvjp(forward, backward)
    return value

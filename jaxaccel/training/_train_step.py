"""One compiled training step, from a loss function and an optimizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import jax
import optax
from jax.sharding import Mesh

from jaxaccel._checks import check_non_negative
from jaxaccel.parallel import data_parallel
from jaxaccel.precision import Policy
from jaxaccel.training._accumulate import accumulate
from jaxaccel.training._train_state import TrainState
from jaxaccel.transforms import clip_grads_with_norm, get_total_norm


def train_step(
    loss_fn: Callable[[Any, Any, Any], tuple[jax.Array, tuple[Any, dict[str, jax.Array]]]],
    tx: optax.GradientTransformation,
    *,
    max_grad_norm: float | jax.Array | None = None,
    accumulation_steps: int = 1,
    unroll_accumulation: bool | None = None,
    accumulation_weight: Callable[[Any], Any] | None = None,
    policy: Policy | None = None,
    mesh: Mesh | None = None,
    mode: Literal["jit", "shard_map", "pmap"] = "jit",
    donate: bool = True,
) -> Callable[[TrainState, Any], tuple[TrainState, dict[str, jax.Array]]]:
    """Return ``step(state, batch) -> (state, metrics)``: one program, compiled at its first call.

    In PyTorch's order: forward and backward (in parts, when accumulating), mean over devices,
    clipping, optimizer.

    Args:
        loss_fn: ``(params, model_state, batch) -> (loss, (model_state, metrics))``. The loss and
            the metrics (a dict of floating-point scalars) are means over the batch.
        tx: The optimizer.
        max_grad_norm: Clip gradients to this 2-norm, with PyTorch's formula; default: do not clip.
        accumulation_steps: Run the batch in this many equal parts (see :func:`accumulate`).
        unroll_accumulation: How the parts are compiled (see :func:`accumulate`).
        accumulation_weight: ``part -> scalar``, what a part counts for in the means: its number of
            tokens (see :func:`accumulate`). On a mesh it needs mode ``"jit"``.
        policy: Cast parameters and floating-point inputs to ``policy.compute_dtype`` before
            ``loss_fn``, and what it returns to ``policy.output_dtype``. The loss function should
            call ``policy.cast_to_output`` on the model's outputs, so that the loss itself is
            computed in that dtype. ``model_state`` is never cast.
        mesh: Split the batch over the mesh's axis ``"data"``; the state is replicated.
        mode: The notation of the parallel part (see ``parallel.data_parallel``).
        donate: Let the step overwrite the state it is given, which is then no longer usable.

    Returns:
        The compiled step. ``metrics`` has ``"loss"``, ``"grad_norm"`` (before clipping) and what
        ``loss_fn`` adds; they are on the device, and reading them waits for the step.

    Raises:
        ValueError: ``max_grad_norm`` is negative, ``accumulation_steps`` is below 1, or the mode is
            unknown, lacks a mesh or cannot weigh parts; when called, the batch does not divide.
        TypeError: A number is none.

    PyTorch:
        ``loss.backward(); clip_grad_norm_(...); optimizer.step(); scheduler.step()`` in a
        ``DistributedDataParallel`` model under ``torch.autocast``. The schedule is part of ``tx``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> def loss_fn(params, model_state, batch):
        ...     return jnp.mean((params["w"] * batch) ** 2), (model_state, {})
        >>> tx = ja.optimizers.sgd(lr=0.1)
        >>> step = ja.training.train_step(loss_fn, tx, max_grad_norm=1.0)
        >>> state = ja.training.train_state({"w": jnp.ones(())}, tx)
        >>> state, metrics = step(state, jnp.ones(4))
        >>> print(state.params["w"], metrics["grad_norm"])
        0.90000004 2.0
    """
    if max_grad_norm is not None:
        check_non_negative("max_grad_norm", max_grad_norm, "Invalid max_norm value")
    if mesh is None and mode != "jit":
        raise ValueError(f"mode={mode!r} needs a mesh; pass mesh=parallel.make_mesh()")
    if accumulation_weight is not None and mode != "jit":
        raise ValueError(
            f"accumulation_weight needs mode='jit', got mode={mode!r}, where each device averages "
            "its own rows and all devices count the same"
        )
    gradients = accumulate(
        _gradients(loss_fn, policy),
        accumulation_steps,
        # In the other modes each device has its own rows already.
        shards=1 if mesh is None or mode != "jit" else mesh.shape.get("data", 1),
        unroll=unroll_accumulation,
        weight=accumulation_weight,
    )
    if mesh is not None:
        gradients = data_parallel(gradients, mesh, mode=mode)

    def step(state: TrainState, batch: Any) -> tuple[TrainState, dict[str, jax.Array]]:
        grads, model_state, metrics = gradients((state.params, state.model_state), batch)
        grad_norm = get_total_norm(grads)
        if max_grad_norm is not None:
            grads = clip_grads_with_norm(grads, max_grad_norm, grad_norm)
        updates, opt_state = tx.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        return TrainState(params, model_state, opt_state), metrics | {"grad_norm": grad_norm}

    return jax.jit(step, donate_argnums=0 if donate else ())


def _gradients(loss_fn: Callable[..., Any], policy: Policy | None) -> Callable[..., Any]:
    """Return ``((params, model_state), batch) -> (grads, model_state, metrics)``."""

    def gradients(carry: Any, batch: Any) -> tuple[Any, Any, dict[str, jax.Array]]:
        params, model_state = carry

        def objective(params: Any) -> Any:
            if policy is None:
                return loss_fn(params, model_state, batch)
            loss, (new_state, metrics) = loss_fn(
                policy.cast_to_compute(params), model_state, policy.cast_to_compute(batch)
            )
            loss, metrics = policy.cast_to_output((loss, metrics))
            return loss, (new_state, metrics)

        (loss, (new_state, metrics)), grads = jax.value_and_grad(objective, has_aux=True)(params)
        return grads, new_state, {"loss": loss, **metrics}

    return gradients

"""A DeepSpeed configuration's parts, put together."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import optax
from jax.sharding import AbstractMesh, Mesh

from jaxaccel import parallel, training
from jaxaccel._types import AxisName, GradientFunction, LossFunction, Params, Placement
from jaxaccel.precision import GradScaler


def sharding(
    stage: int, devices: int, parts: int, reduce_dtype: Any, threshold: int | None
) -> Callable[..., tuple[GradientFunction, Placement]]:
    """Return ``shard``: gradients in parts, and over devices as a stage of ZeRO says."""
    known: dict[str, Any] = {} if threshold is None else {"param_persistence_threshold": threshold}

    def shard(
        gradient_fn: GradientFunction,
        mesh: Mesh | AbstractMesh,
        *,
        axis: AxisName = "data",
        rules: Any = None,
        weight: Any = None,
        batch_axes: Any = 0,
    ) -> tuple[GradientFunction, Placement]:
        _check_size(mesh, axis, devices)
        rows: dict[str, Any] = {"weight": weight, "batch_axes": batch_axes}
        # From stage 2 on DeepSpeed reduces in every part, and holds a sum of shares.
        late = stage >= 2
        if parts > 1 and not late:
            gradient_fn = training.accumulate(gradient_fn, parts, **rows)
        gradient_fn, placement = parallel.zero(
            gradient_fn,
            mesh,
            stage=stage,
            axis=axis,
            reduce_dtype=reduce_dtype,
            rules=rules,
            **rows,
            **known,
        )
        if parts > 1 and late:
            gradient_fn = training.accumulate(gradient_fn, parts, **rows)
        return gradient_fn, placement

    return shard


def initializing(
    shard: Callable[..., tuple[GradientFunction, Placement]],
    configured: optax.GradientTransformation | None,
    offload: Callable[..., optax.GradientTransformation],
    max_grad_norm: float | None,
    scaler: GradScaler | None,
) -> Callable[..., tuple[training.TrainState, Any]]:
    """Return ``initialize``: the state and the step, as ``deepspeed.initialize`` has its engine."""

    def initialize(
        loss_fn: LossFunction,
        params: Params,
        model_state: Any = (),
        *,
        mesh: Mesh,
        tx: optax.GradientTransformation | None = None,
        key: Any = None,
        **rows: Any,
    ) -> tuple[training.TrainState, Any]:
        tx = configured if tx is None else tx
        if tx is None:
            raise ValueError("the configuration has no optimizer; pass one: initialize(..., tx=tx)")
        tx = offload(tx)
        gradient_fn, placement = shard(training.gradients(loss_fn), mesh, **rows)
        state = training.train_state(
            params, tx, model_state, key=key, mesh=mesh, placement=placement, scaler=scaler
        )
        step = training.train_step(gradient_fn, tx, max_grad_norm=max_grad_norm, scaler=scaler)
        return state, step

    return initialize


def _check_size(mesh: Mesh | AbstractMesh, axis: AxisName, devices: int) -> None:
    """Raise for a mesh of another size than the batch sizes were computed for."""
    axes = (axis,) if isinstance(axis, str) else tuple(axis)
    size = math.prod(mesh.shape.get(name, 1) for name in axes)
    if size != devices:
        raise ValueError(
            f"the configuration was read for world_size={devices}, and the mesh splits the batch "
            f"over {size} devices of {dict(mesh.shape)}; pass world_size={size} to "
            "from_deepspeed_config"
        )

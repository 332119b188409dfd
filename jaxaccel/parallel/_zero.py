"""ZeRO: what data parallelism holds on every device is split over them, stage by stage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from jax.sharding import AbstractMesh, Mesh, PartitionSpec

from jaxaccel._checked import checked_but
from jaxaccel._types import AxisName, DType, GradientFunction, Placement
from jaxaccel.parallel._sharded import PERSISTENCE_THRESHOLD, Mode, Options, Stage, sharded

_STAGES: Final = (
    Stage(()),
    Stage(("opt_state",), early=False),
    Stage(("opt_state",)),
    Stage(("params", "opt_state"), again=True),
)


@checked_but("gradient_fn", "axis")
def zero(
    gradient_fn: GradientFunction,
    mesh: Mesh | AbstractMesh,
    *,
    stage: int,
    axis: AxisName = "data",
    reduce_dtype: DType | None = None,
    rules: Callable[[str, tuple[int, ...]], PartitionSpec | None] | None = None,
    param_persistence_threshold: int = PERSISTENCE_THRESHOLD,
    weight: Callable[[Any], Any] | None = None,
    batch_axes: Any = 0,
    mode: Mode = "shard_map",
) -> tuple[GradientFunction, Placement]:
    r"""Return a gradient function and the placement of a state, of a stage of ZeRO.

    With :math:`P` parameters on :math:`n` devices, in bytes for a parameter and its gradient of 4
    each and an optimizer's state of :math:`K`, each device holds

    =====  ===================================  ========================  ======================
    stage  split                                bytes a device            numbers sent a device
    =====  ===================================  ========================  ======================
    0      nothing: DistributedDataParallel     :math:`(4 + 4 + K) P`     :math:`2 P`
    1      the optimizer's state                :math:`(8 + K / n) P`     :math:`2 P`
    2      gradients too                        :math:`(4 + (4+K)/n) P`   :math:`2 P`
    3      parameters too: ``FULL_SHARD``       :math:`(8 + K) P / n`     :math:`3 P`
    =====  ===================================  ========================  ======================

    In stages 1 and 2 gradients are reduced and scattered, each device updates its share of the
    parameters, and these are gathered: in stage 1 gradients are whole until all are there, in
    stage 2 each is scattered where it is made. ``memory.report`` compares with the formula.

    Args:
        gradient_fn: A gradient function (``training.gradients``), maybe wrapped already.
        mesh: The mesh, with automatic axes; an abstract one where the result is only lowered.
        stage: 0, 1, 2 or 3.
        axis: As in :func:`fully_shard`.
        reduce_dtype: As in :func:`fully_shard`.
        rules: As in :func:`fully_shard`.
        param_persistence_threshold: As in :func:`fully_shard`.
        weight: As in :func:`data_parallel`.
        batch_axes: As in :func:`data_parallel`.
        mode: As in :func:`fully_shard`.

    Returns:
        ``(gradient_fn, placement)``, as :func:`fully_shard`.

    Raises:
        ValueError: There is no such stage; and what :func:`fully_shard` raises.
        TypeError: ``gradient_fn`` is a loss function.

    PyTorch:
        DeepSpeed's ``"zero_optimization": {"stage": ...}``; stage 1 is
        ``torch.distributed.optim.ZeroRedundancyOptimizer``, which gives each rank whole
        parameters to update where here each has a share of every one. ``offload_optimizer`` is
        ``memory.offload_optimizer``. Buckets and ``overlap_comm`` are left out:
        ``interop.from_deepspeed_config`` says of each what is done instead.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> def loss_fn(params, model_state, batch):
        ...     return jnp.mean((batch @ params["w"]) ** 2), (model_state, {})
        >>> mesh = ja.parallel.make_mesh(devices=jax.devices()[:1])
        >>> gradients = ja.training.gradients(loss_fn)
        >>> gradient_fn, placement = ja.parallel.zero(gradients, mesh, stage=1)
        >>> print(gradient_fn({"w": jnp.ones((2, 2))}, (), jnp.ones((4, 2))).metrics["loss"])
        4.0

    References:
        Rajbhandari et al. ZeRO: Memory Optimizations Toward Training Trillion Parameter Models.
        2020. https://arxiv.org/abs/1910.02054
    """
    if stage not in range(len(_STAGES)):
        raise ValueError(f"ZeRO has the stages 0, 1, 2 and 3, got stage={stage!r}")
    options = Options(
        axis=axis,
        replica_axis=None,
        param_dtype=None,
        reduce_dtype=reduce_dtype,
        rules=rules,
        threshold=param_persistence_threshold,
        weight=weight,
        batch_axes=batch_axes,
        mode=mode,
    )
    return sharded("zero", gradient_fn, mesh, _STAGES[stage], options)

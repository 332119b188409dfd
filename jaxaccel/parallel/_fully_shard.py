"""FSDP: every device holds a share of the parameters, and gathers what it is about to use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias

from jax.sharding import AbstractMesh, Mesh, PartitionSpec

from jaxaccel._checked import checked_but
from jaxaccel._types import AxisName, DType, GradientFunction, Placement
from jaxaccel.parallel._sharded import PERSISTENCE_THRESHOLD, Mode, Options, Stage, sharded

Strategy: TypeAlias = Literal[
    "FULL_SHARD", "SHARD_GRAD_OP", "NO_SHARD", "HYBRID_SHARD", "_HYBRID_SHARD_ZERO2"
]

_ALL: Final = ("params", "opt_state")

_STAGES: Final[dict[str, Stage]] = {
    "FULL_SHARD": Stage(_ALL, again=True),
    "SHARD_GRAD_OP": Stage(_ALL),
    "NO_SHARD": Stage(()),
    "HYBRID_SHARD": Stage(_ALL, again=True),
    "_HYBRID_SHARD_ZERO2": Stage(_ALL),
}


@checked_but("gradient_fn", "axis")
def fully_shard(
    gradient_fn: GradientFunction,
    mesh: Mesh | AbstractMesh,
    *,
    strategy: Strategy = "FULL_SHARD",
    axis: AxisName = "data",
    replica_axis: str | None = None,
    reshard_after_forward: bool | None = None,
    param_dtype: DType | None = None,
    reduce_dtype: DType | None = None,
    rules: Callable[[str, tuple[int, ...]], PartitionSpec | None] | None = None,
    param_persistence_threshold: int = PERSISTENCE_THRESHOLD,
    weight: Callable[[Any], Any] | None = None,
    batch_axes: Any = 0,
    mode: Mode = "shard_map",
) -> tuple[GradientFunction, Placement]:
    r"""Return a gradient function of parameters in shares, and where a state's arrays live.

    The batch is split as in :func:`data_parallel`, with the same gradients. Parameters, gradients
    and the optimizer's state are split over the devices. The loss function stays as it is: its
    program is read, and each parameter is gathered where it is used, in the loop over layers that
    uses it, in the dtype to which the model casts it. What is gathered is forgotten, and gathered
    again on the way back; gradients are reduced and scattered where they are made.

    ==========================  ========================  =================  ======================
    strategy                    split between steps       in a step          numbers sent a device
    ==========================  ========================  =================  ======================
    ``"FULL_SHARD"``            parameters, gradients,    a layer is whole   :math:`3 P`
                                optimizer's state
    ``"SHARD_GRAD_OP"``         the same                  all parameters     :math:`2 P`
                                                          are whole
    ``"NO_SHARD"``              nothing                   all are whole      :math:`2 P`
    ``"HYBRID_SHARD"``          as ``FULL_SHARD``, over   a layer is whole   :math:`3 P`, and
                                ``axis`` alone                               :math:`2 P / n` between
                                                                             replicas
    ``"_HYBRID_SHARD_ZERO2"``   as ``HYBRID_SHARD``       all are whole      :math:`2 P`, and
                                                                             :math:`2 P / n`
    ==========================  ========================  =================  ======================

    Clipping, a scaler, weight averages and any optimizer work on the shares, in
    ``training.train_step`` as ever. ``training.accumulate`` around it reduces in every part and
    holds a sum of shares; inside of it (``no_sync``) there is one reduction a step and a whole sum.

    Args:
        gradient_fn: A gradient function (``training.gradients``), maybe wrapped already.
        mesh: The mesh, with automatic axes; an abstract one where the result is only lowered.
        strategy: PyTorch's name of what is split, see above.
        axis: The mesh axis that arrays are split over, or a tuple of them, the outermost first:
            those of a TPU's torus each by itself, because one collective over all of them becomes
            an all-reduce. The batch is split over it too.
        replica_axis: For the hybrid strategies: the mesh axis whose devices hold the same shares,
            over which the batch is split too.
        reshard_after_forward: Forget a gathered parameter, and gather it again on the way back;
            default: as the strategy says.
        param_dtype: What parameters are gathered in and handed to ``gradient_fn`` in; default:
            their own dtype. Inputs are yours to cast. With ``precision.cast`` or ``autocast``
            around the model it is not needed: what is gathered is cast already.
        reduce_dtype: What real gradients are reduced in, for ``"shard_map"``; default: their own
            dtype. float16 is divided by the number of devices first, as nothing may overflow.
        rules: ``(path, shape) -> PartitionSpec`` of a parameter, ``"layer1.0.weight"``, or of an
            array of the optimizer's state, in which the same path comes last,
            ``"exp_avg.layer1.0.weight"``: ask with ``endswith``. ``None`` for the default rule: the
            longest dimension that the devices divide is split, of equal ones the first; where they
            divide none, the array is whole. ``"NO_SHARD"`` asks none.
        param_persistence_threshold: Arrays of fewer numbers stay whole.
        weight: What a device's rows count for, as in :func:`data_parallel`. With it a gradient that
            a loop stacks is scattered behind the loop, and whole until then.
        batch_axes: The axis of each leaf that holds its rows, as in :func:`data_parallel`.
        mode: ``"shard_map"``, collectives by name, as they are in the table; ``"jit"``, the
            compiler is told where arrays are to be, and finds the collectives: a program over the
            whole batch, as in :func:`data_parallel`.

    Returns:
        ``(gradient_fn, placement)``: a gradient function whose gradients are split as their
        parameters are, and the placement for ``training.train_state(..., mesh=mesh,
        placement=placement)`` and :func:`distribute_state`.

    Raises:
        ValueError: The strategy or the mode is unknown, the mesh lacks an axis or has explicit
            ones, a hybrid strategy has no ``replica_axis`` or another one has; when called, a rule
            does not fit an array, or the batch does not divide.
        TypeError: ``gradient_fn`` is a loss function; when called, a rule returns anything else.

    PyTorch:
        ``torch.distributed.fsdp.FullyShardedDataParallel(sharding_strategy=...)`` and
        ``torch.distributed.fsdp.fully_shard(reshard_after_forward=, mp_policy=)``; ``param_dtype``
        and ``reduce_dtype`` are those of ``MixedPrecision``, ``param_persistence_threshold``
        DeepSpeed's. PyTorch pads a dimension that the devices do not divide; here another one is
        split, or the array stays whole. Left out: wrapping policies, prefetching and limits of
        gathers, which the compiler schedules by itself; ``buffer_dtype`` and
        ``cast_forward_inputs``, which ``precision.cast`` has; ``cpu_offload``
        (``memory.offload_optimizer`` is the optimizer's half).

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> def loss_fn(params, model_state, batch):
        ...     return jnp.mean((batch @ params["w"]) ** 2), (model_state, {})
        >>> mesh = ja.parallel.make_mesh(devices=jax.devices()[:1])
        >>> gradient_fn, placement = ja.parallel.fully_shard(ja.training.gradients(loss_fn), mesh)
        >>> tx = ja.optimizers.sgd(lr=0.1)
        >>> state = ja.training.train_state(
        ...     {"w": jnp.ones((2, 2))}, tx, mesh=mesh, placement=placement
        ... )
        >>> state, metrics = ja.training.train_step(gradient_fn, tx)(state, jnp.ones((4, 2)))
        >>> print(metrics["loss"])
        4.0

    References:
        Zhao et al. PyTorch FSDP: Experiences on Scaling Fully Sharded Data Parallel. 2023.
        https://arxiv.org/abs/2304.11277
    """
    if strategy not in _STAGES:
        raise ValueError(f"strategy must be one of {', '.join(_STAGES)}, got {strategy!r}")
    is_hybrid = "HYBRID" in strategy
    if is_hybrid and replica_axis is None:
        raise ValueError(
            f"strategy {strategy!r} needs replica_axis, the mesh axis whose devices hold the same "
            "shares: make_mesh({'replica': 2, 'data': 4}), replica_axis='replica'"
        )
    if not is_hybrid and replica_axis is not None:
        raise ValueError(
            f"replica_axis={replica_axis!r} is for the hybrid strategies, got {strategy!r}; write "
            "strategy='HYBRID_SHARD', or split over both axes with axis=(...)"
        )
    stage = _STAGES[strategy]
    if reshard_after_forward is not None and stage.splits_params:
        stage = stage._replace(again=reshard_after_forward)
    options = Options(
        axis=axis,
        replica_axis=replica_axis,
        param_dtype=param_dtype,
        reduce_dtype=reduce_dtype,
        rules=rules,
        threshold=param_persistence_threshold,
        weight=weight,
        batch_axes=batch_axes,
        mode=mode,
    )
    return sharded("fully_shard", gradient_fn, mesh, stage, options)

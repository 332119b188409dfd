"""DeepSpeed's configuration, as the parts of a training step."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import optax

from jaxaccel import memory
from jaxaccel._checked import checked
from jaxaccel._checks import check_positive_integer
from jaxaccel._types import Schedule
from jaxaccel.interop._config_file import config_of, read_json
from jaxaccel.interop._deepspeed_auto import filled_in, notes_on_auto
from jaxaccel.interop._deepspeed_batch import batch_sizes
from jaxaccel.interop._deepspeed_keys import KEYS
from jaxaccel.interop._deepspeed_names import with_first_names
from jaxaccel.interop._deepspeed_offload import offload_of
from jaxaccel.interop._deepspeed_optimizer import learning_rate_of, optimizer_of
from jaxaccel.interop._deepspeed_precision import precision_of
from jaxaccel.interop._deepspeed_scheduler import scheduled
from jaxaccel.interop._deepspeed_step import initializing, sharding
from jaxaccel.interop._key import check_keys
from jaxaccel.precision import GradScaler


class DeepSpeedParts(NamedTuple):
    """What a DeepSpeed configuration says, as the parts that a training step is made of."""

    tx: optax.GradientTransformation | None
    """The optimizer with its schedules, offloaded where that is asked for; ``None`` where the
    configuration has none."""
    scheduler: Schedule | None
    """The learning rate by updates done, which ``tx`` has already; ``None`` where it is constant.
    """
    scaler: GradScaler | None
    """For ``training.train_state`` and ``train_step``; ``None`` where nothing is scaled."""
    max_grad_norm: float | None
    """``gradient_clipping``, for ``training.train_step``."""
    train_batch_size: int
    """Rows of a step, on all devices and in all parts together."""
    train_micro_batch_size_per_gpu: int
    """Rows of a part on a device."""
    gradient_accumulation_steps: int
    """Parts of a step."""
    zero_stage: int
    """0 to 3."""
    dtype: Any
    """What the model computes in."""
    cast: Callable[..., Any]
    """``cast(apply) -> apply``: the model function computes so, parameters and inputs are cast."""
    checkpoint: Callable[..., Any] | None
    """For a model's ``checkpoint=``; ``None`` without a section ``activation_checkpointing``."""
    offload: Callable[..., Any]
    """``offload(tx) -> tx``: with ``offload_optimizer`` the optimizer's state waits in the host's
    memory (``memory.offload_optimizer``), for a client's; ``tx`` above and that of ``initialize``
    have it already."""
    shard: Callable[..., Any]
    """``shard(gradient_fn, mesh, *, axis="data", rules=None, weight=None, batch_axes=0) ->
    (gradient_fn, placement)``: accumulated in parts, and spread by ``parallel.zero``."""
    initialize: Callable[..., Any]
    """``initialize(loss_fn, params, model_state=(), *, mesh, tx=None, key=None, axis="data",
    rules=None, weight=None, batch_axes=0) -> (state, step)``: all of this together; ``tx`` in the
    place of the configuration's optimizer."""
    notes: tuple[str, ...]
    """A line for each key that has nothing to do here, and why."""


@checked
def from_deepspeed_config(
    config: Mapping[str, Any] | str | os.PathLike[str],
    *,
    world_size: int | None = None,
    per_device_train_batch_size: int | None = None,
    gradient_accumulation_steps: int | None = None,
    num_training_steps: int | None = None,
    warmup_steps: int | None = None,
    learning_rate: float | None = None,
    adam_beta1: float | None = None,
    adam_beta2: float | None = None,
    adam_epsilon: float | None = None,
    weight_decay: float | None = None,
    max_grad_norm: float | None = None,
    fp16: bool | None = None,
    bf16: bool | None = None,
) -> DeepSpeedParts:
    """Return the parts of a training step that a DeepSpeed configuration describes.

    What changes numbers is done as DeepSpeed does it, or refused by name. What only says how to
    move bytes (buckets, overlap, buffers) is XLA's to decide, and each such key gets a line in
    ``notes``. An unknown key is an error that names the nearest one.

    Args:
        config: The configuration, or the path of its JSON file.
        world_size: The number of devices that split the batch; default: all of them.
        per_device_train_batch_size: Where ``train_micro_batch_size_per_gpu`` is ``"auto"``. This
            and the following are Transformers' words for what ``"auto"`` stands for; given beside
            another value, they must agree with it.
        gradient_accumulation_steps: Where the key of this name is ``"auto"``.
        num_training_steps: Where ``total_num_steps`` of the scheduler is ``"auto"``, or missing.
        warmup_steps: Where ``warmup_num_steps`` is.
        learning_rate: Where ``lr`` of the optimizer or ``warmup_max_lr`` is, and for a scheduler
            without an optimizer.
        adam_beta1: Where ``betas`` is, the first.
        adam_beta2: The second.
        adam_epsilon: Where ``eps`` is.
        weight_decay: Where the optimizer's ``weight_decay`` is.
        max_grad_norm: Where ``gradient_clipping`` is.
        fp16: Where ``fp16.enabled`` is; of this and ``bf16``, one is enough.
        bf16: Where ``bf16.enabled`` is.

    Returns:
        The :class:`DeepSpeedParts`.

    Raises:
        ValueError: A key or an argument of the optimizer or the scheduler is unknown, asks for what
            is not done here, or is ``"auto"`` without an argument; batch sizes do not fit the
            number of devices; the file is not JSON.
        TypeError: A batch size is not a whole number.
        FileNotFoundError: There is no such file.

    PyTorch:
        Nothing there; ``deepspeed.initialize(config=...)``. ``"Adam"`` is AdamW without decay, as
        in DeepSpeed, unless ``adam_w_mode`` is false or ``torch_adam`` true. Its Lion moves a
        parameter that never had a gradient, this one does not.

    Example:
        >>> import jaxaccel as ja
        >>> parts = ja.interop.from_deepspeed_config(
        ...     {
        ...         "train_batch_size": 32,
        ...         "optimizer": {"type": "Adam", "params": {"lr": "auto"}},
        ...         "fp16": {"enabled": True},
        ...         "zero_optimization": {"stage": 2, "overlap_comm": True},
        ...     },
        ...     world_size=8,
        ...     learning_rate=3e-5,
        ... )
        >>> print(parts.zero_stage, parts.train_micro_batch_size_per_gpu, parts.scaler.init().scale)
        2 4 65536.0
        >>> print(*parts.notes)
        zero_optimization.overlap_comm: XLA schedules and merges collectives by itself

    References:
        Rasley et al. DeepSpeed. 2020. https://www.deepspeed.ai/docs/config-json/
    """
    devices = jax.device_count() if world_size is None else world_size
    check_positive_integer("world_size", devices)
    given = {
        "per_device_train_batch_size": per_device_train_batch_size,
        "gradient_accumulation_steps": gradient_accumulation_steps,
        "num_training_steps": num_training_steps,
        "warmup_steps": warmup_steps,
        "learning_rate": learning_rate,
        "adam_beta1": adam_beta1,
        "adam_beta2": adam_beta2,
        "adam_epsilon": adam_epsilon,
        "weight_decay": weight_decay,
        "max_grad_norm": max_grad_norm,
        "fp16": fp16,
        "bf16": bf16,
    }
    known = with_first_names(config_of(config, read_json))
    notes = (*check_keys("DeepSpeed", known, KEYS), *notes_on_auto(known))
    return _parts(filled_in(known, given), given, devices, notes)


def _parts(
    config: dict[str, Any], given: dict[str, Any], devices: int, notes: tuple[str, ...]
) -> DeepSpeedParts:
    zero = config.get("zero_optimization") or {}
    stage = _stage(zero.get("stage", 0))
    optimizer = config.get("optimizer")
    lr = learning_rate_of(optimizer)
    steps = {
        "total_num_steps": given["num_training_steps"],
        "warmup_num_steps": given["warmup_steps"],
    }
    moved = scheduled(config.get("scheduler"), given["learning_rate"] if lr is None else lr, steps)
    precise = precision_of(config, stage)
    sizes = batch_sizes(config, devices)
    tx, max_grad_norm = optimizer_of(optimizer, moved), config.get("gradient_clipping") or None
    offload = offload_of(zero)
    # DeepSpeed splits whatever it is at stages 1 and 2, in flat buffers.
    threshold = zero.get("stage3_param_persistence_threshold", 100_000) if stage == 3 else None
    shard = sharding(stage, devices, sizes.parts, precise.reduce_dtype, threshold)
    return DeepSpeedParts(
        tx=None if tx is None else offload.wrap(tx),
        scheduler=moved.lr,
        scaler=precise.scaler,
        max_grad_norm=max_grad_norm,
        train_batch_size=sizes.train,
        train_micro_batch_size_per_gpu=sizes.micro,
        gradient_accumulation_steps=sizes.parts,
        zero_stage=stage,
        dtype=precise.dtype,
        cast=precise.cast,
        checkpoint=None if config.get("activation_checkpointing") is None else memory.checkpoint,
        offload=offload.wrap,
        shard=shard,
        initialize=initializing(shard, tx, offload.wrap, max_grad_norm, precise.scaler),
        notes=(*notes, *offload.notes),
    )


def _stage(stage: Any) -> int:
    if isinstance(stage, bool) or stage not in range(4):
        raise ValueError(f"zero_optimization.stage must be 0, 1, 2 or 3, got {stage!r}")
    return int(stage)

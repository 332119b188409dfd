"""accelerate's configuration of FSDP, as the arguments of ``parallel.fully_shard``."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxaccel import memory, precision
from jaxaccel._checked import checked
from jaxaccel._checks import as_integer
from jaxaccel.interop._config_file import config_of, nearest, read_yaml
from jaxaccel.interop._fsdp_keys import KEYS
from jaxaccel.interop._key import check_keys
from jaxaccel.interop._unchanged import unchanged
from jaxaccel.precision import GradScaler

STRATEGIES = ("FULL_SHARD", "SHARD_GRAD_OP", "NO_SHARD", "HYBRID_SHARD", "_HYBRID_SHARD_ZERO2")
"""In the order of PyTorch's numbers, which begin at 1."""
_PARAMS_STAY = (
    "fsdp_config.fsdp_offload_params: `offload` moves the optimizer's state; parameters stay on "
    "the devices, in shares, and the numbers are the same"
)
SIZES = "parallelism_config_dp_replicate_size", "parallelism_config_dp_shard_size"


class FSDPParts(NamedTuple):
    """What accelerate's configuration says of FSDP."""

    arguments: dict[str, Any]
    """``parallel.fully_shard(gradient_fn, mesh, **arguments)``."""
    mesh_shape: dict[str, int]
    """``parallel.make_mesh(mesh_shape)``: the devices that shard, ``"data"``, and before them,
    where groups hold the same shards, ``"replica"``. -1 where the file does not count them."""
    cast: Callable[..., Any]
    """``cast(apply) -> apply``: the model function computes as ``mixed_precision`` says."""
    scaler: GradScaler | None
    """For ``training.train_state`` and ``train_step``; ``None`` unless it is float16."""
    checkpoint: Callable[..., Any] | None
    """For a model's ``checkpoint=``; ``None`` without ``fsdp_activation_checkpointing``."""
    offload: Callable[..., Any]
    """``offload(tx) -> tx``: with ``fsdp_offload_params`` the optimizer's state waits in the
    host's memory (``memory.offload_optimizer``); otherwise ``tx`` as it is."""
    notes: tuple[str, ...]
    """A line for each key that has nothing to do here, and why."""


@checked
def from_fsdp_config(config: Mapping[str, Any] | str | os.PathLike[str]) -> FSDPParts:
    """Return the arguments of ``parallel.fully_shard`` that accelerate's configuration describes.

    It is what ``accelerate config`` writes, of FSDP 1 or 2. What only says how to move bytes
    (prefetching, units of layers) is XLA's to decide, and each such key gets a line in ``notes``.
    An unknown key is an error that names the nearest one.

    Args:
        config: The configuration, or the path of its YAML file, for which PyYAML is needed.

    Returns:
        The :class:`FSDPParts`.

    Raises:
        ValueError: A key is unknown or asks for what is not done here; a value does not fit its
            key, or the version of FSDP; the processes do not divide.
        FileNotFoundError: There is no such file.
        ModuleNotFoundError: The file is to be read, and PyYAML is missing.

    PyTorch:
        Nothing there; ``accelerate.Accelerator`` under ``accelerate launch``. With FSDP it keeps
        parameters in float32 and computes and reduces in ``mixed_precision``.

    Example:
        >>> import jaxaccel as ja
        >>> parts = ja.interop.from_fsdp_config(
        ...     {
        ...         "distributed_type": "FSDP",
        ...         "mixed_precision": "bf16",
        ...         "num_processes": 8,
        ...         "fsdp_config": {"fsdp_version": 2, "fsdp_reshard_after_forward": False},
        ...     }
        ... )
        >>> print(parts.arguments["strategy"], parts.mesh_shape)
        SHARD_GRAD_OP {'data': 8}

    References:
        Zhao et al. PyTorch FSDP: Experiences on Scaling Fully Sharded Data Parallel. 2023.
        https://arxiv.org/abs/2304.11277
    """
    known = config_of(config, read_yaml)
    notes = check_keys("accelerate", known, KEYS)
    if (kind := str(known.get("distributed_type", "FSDP"))) not in ("FSDP", "DistributedType.FSDP"):
        raise ValueError(
            f"distributed_type must be FSDP, got {kind!r}; DeepSpeed's file is read by "
            "interop.from_deepspeed_config, and MULTI_GPU is parallel.data_parallel"
        )
    section = known.get("fsdp_config") or {}
    strategy = _strategy(section)
    mesh_shape, strategy = _mesh_shape(known, strategy)
    dtype = _dtype(known.get("mixed_precision"))
    is_offloaded = _flag(section, "fsdp_offload_params")
    arguments: dict[str, Any] = {"strategy": strategy}
    if "replica" in mesh_shape:
        arguments["replica_axis"] = "replica"
    if dtype is not None:
        arguments |= {"param_dtype": dtype, "reduce_dtype": dtype}
    is_half = dtype == jnp.float16
    policy = precision.Policy() if dtype is None else precision.Policy(compute_dtype=dtype)
    return FSDPParts(
        arguments=arguments,
        mesh_shape=mesh_shape,
        cast=unchanged if dtype is None else functools.partial(precision.cast, policy=policy),
        scaler=precision.grad_scaler(allow_fp16=True) if is_half else None,
        checkpoint=memory.checkpoint if _flag(section, "fsdp_activation_checkpointing") else None,
        offload=memory.offload_optimizer if is_offloaded else unchanged,
        notes=(*notes, _PARAMS_STAY) if is_offloaded else notes,
    )


def _strategy(section: dict[str, Any]) -> str:
    """Return PyTorch's name of the strategy, from the words of either version."""
    version = as_integer(section.get("fsdp_version", 1))
    if version not in (1, 2):
        raise ValueError(f"fsdp_version must be 1 or 2, got {section['fsdp_version']!r}")
    reshard, named = (
        section.get(f"fsdp_{name}") for name in ("reshard_after_forward", "sharding_strategy")
    )
    if version == 2:
        if reshard is not None and not isinstance(reshard, bool):
            raise ValueError(
                f"reshard_after_forward set to {reshard}. This is not supported with FSDP2, please "
                "set to a `bool`"
            )
        return "SHARD_GRAD_OP" if reshard is False else "FULL_SHARD"
    if isinstance(reshard, bool):
        raise ValueError(
            f"reshard_after_forward set to {reshard}. This is not supported with FSDP1, please set "
            "to a `str`\nOr set fsdp_version to 2"
        )
    word = named if named is not None else reshard
    return "FULL_SHARD" if word is None else _named(word)


def _named(word: Any) -> str:
    number = int(word) if isinstance(word, str) and word.isdigit() else as_integer(word)
    if number is not None and 1 <= number <= len(STRATEGIES):
        return STRATEGIES[number - 1]
    name = {"HYBRID_SHARD_ZERO2": "_HYBRID_SHARD_ZERO2"}.get(str(word).upper(), str(word).upper())
    if name not in STRATEGIES:
        near = nearest(name, STRATEGIES)
        raise ValueError(f"fsdp_sharding_strategy must be one of {STRATEGIES}, got {word!r}{near}")
    return name


def _mesh_shape(known: dict[str, Any], strategy: str) -> tuple[dict[str, int], str]:
    """Return the mesh, and the strategy, which of version 2 is hybrid by the sizes alone."""
    devices, machines = known.get("num_processes", -1), known.get("num_machines", 1)
    replicas, shards = ((known.get("parallelism_config") or {}).get(name, 1) for name in SIZES)
    is_hybrid = strategy in STRATEGIES[3:]
    if replicas * shards > 1 and devices not in (-1, replicas * shards):
        raise ValueError(
            f"dp_replicate_size x dp_shard_size must be num_processes, got {replicas} x {shards} "
            f"for {devices} processes"
        )
    if replicas > 1 and strategy == "NO_SHARD":
        return {"data": replicas * shards}, strategy
    if replicas > 1:
        hybrid = {"FULL_SHARD": "HYBRID_SHARD", "SHARD_GRAD_OP": "_HYBRID_SHARD_ZERO2"}
        return {"replica": replicas, "data": shards}, hybrid.get(strategy, strategy)
    if not is_hybrid:
        return {"data": devices}, strategy
    if devices != -1 and devices % machines:
        raise ValueError(
            f"num_machines must divide num_processes, got {machines} for {devices} processes"
        )
    return {"replica": machines, "data": -1 if devices == -1 else devices // machines}, strategy


def _dtype(word: Any) -> Any:
    """Return what is computed in; None for float32."""
    words = {"fp16": jnp.float16, "bf16": jnp.bfloat16}
    if word in (None, False, "no", "fp32"):  # YAML reads a bare no as False
        return None
    if word not in words:
        raise ValueError(f"mixed_precision must be 'no', 'fp16' or 'bf16', got {word!r}")
    return words[word]


def _flag(section: dict[str, Any], name: str) -> bool:
    value = section.get(name, False)
    if str(value).lower() not in ("true", "false", "none"):
        raise ValueError(f"{name} must be true or false, got {value!r}")
    return str(value).lower() == "true"

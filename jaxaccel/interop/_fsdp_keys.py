"""Every key of accelerate's configuration, and what becomes of it here."""

from __future__ import annotations

from jaxaccel.interop._key import Key, noted, refused, used

_LAUNCHING = "processes find each other by `parallel.initialize`"
_XLA = "XLA schedules and merges collectives by itself"
_SAVING = "states are saved as pytrees, whatever devices they live on"
_WRAPPING = "parameters are gathered where they are used, and layers are no units"
_TPU = "a TPU's processes start the script themselves"

KEYS: dict[str, Key] = {
    "distributed_type": used("FSDP"),
    "mixed_precision": used("`cast`, `scaler`, `param_dtype` and `reduce_dtype`"),
    "num_processes": used("`mesh_shape`"),
    "num_machines": used("`mesh_shape`, of HYBRID_SHARD"),
    "fsdp_config": used("`arguments`"),
    "fsdp_config.fsdp_version": used("1 or 2"),
    "fsdp_config.fsdp_sharding_strategy": used("`strategy`, a name or PyTorch's number"),
    "fsdp_config.fsdp_reshard_after_forward": used(
        "of version 2: true is FULL_SHARD, false SHARD_GRAD_OP; of version 1 the strategy"
    ),
    "fsdp_config.fsdp_offload_params": used(
        "`offload`, of the optimizer's state; parameters stay on the devices, in shares"
    ),
    "fsdp_config.fsdp_activation_checkpointing": used("`checkpoint`, for a model's `checkpoint=`"),
    "fsdp_config.fsdp_activation_checkpointing_offload": refused(
        "kept inputs stay on the device; `memory.checkpoint(policy=..., offload=True)` moves "
        "results that a policy keeps"
    ),
    "fsdp_config.fsdp_auto_wrap_policy": noted(_WRAPPING),
    "fsdp_config.fsdp_transformer_layer_cls_to_wrap": noted(_WRAPPING),
    "fsdp_config.fsdp_min_num_params": noted(_WRAPPING),
    "fsdp_config.fsdp_backward_prefetch": noted(_XLA),
    "fsdp_config.fsdp_backward_prefetch_policy": noted(_XLA),
    "fsdp_config.fsdp_forward_prefetch": noted(_XLA),
    "fsdp_config.fsdp_limit_all_gathers": noted(_XLA),
    "fsdp_config.fsdp_use_orig_params": noted("parameters keep their names and shapes"),
    "fsdp_config.fsdp_sync_module_states": noted("processes that differ are refused by name"),
    "fsdp_config.fsdp_cpu_ram_efficient_loading": noted(_SAVING),
    "fsdp_config.fsdp_state_dict_type": noted(_SAVING),
    "fsdp_config.fsdp_ignored_modules": refused("`rules=` of `parallel.fully_shard` says where"),
    "parallelism_config": used("see its keys"),
    **{
        f"parallelism_config.parallelism_config_{name}": used("`mesh_shape`")
        for name in ("dp_replicate_size", "dp_shard_size")
    },
    **{
        f"parallelism_config.parallelism_config_{name}": refused("only data are parallel here", 1)
        for name in ("tp_size", "cp_size", "sp_size")
    },
    "compute_environment": refused("machines of one's own", "LOCAL_MACHINE"),
    "deepspeed_config": refused("`interop.from_deepspeed_config` reads DeepSpeed's own file"),
    "megatron_lm_config": refused("there is no Megatron here"),
    "fp8_config": refused("float8 is `precision.autocast` with `jnp.float8_e4m3fn`"),
    "use_cpu": noted("`JAX_PLATFORMS=cpu`"),
    "debug": noted("what processes hand in is always compared"),
    "dynamo_config": noted("the whole step is compiled"),
    "dynamo_backend": noted("the whole step is compiled"),
    "downcast_bf16": noted("`mixed_precision` says it"),
    **{
        name: noted(_LAUNCHING)
        for name in (
            *("machine_rank", "gpu_ids", "main_process_ip", "main_process_port", "rdzv_backend"),
            *("same_network", "main_training_function", "enable_cpu_affinity", "mpirun_config"),
        )
    },
    **{
        name: noted(_TPU)
        for name in (
            *("tpu_name", "tpu_zone", "tpu_use_cluster", "tpu_use_sudo", "tpu_vm", "tpu_env"),
            *("command_file", "commands"),
        )
    },
}
"""Dotted path -> what becomes of it."""

"""Every key of a DeepSpeed configuration, and what becomes of it here."""

from __future__ import annotations

from jaxaccel.interop._key import Key, noted, refused, used

_XLA = "XLA schedules and merges collectives by itself"
_NO_BUFFERS = "XLA plans all memory before the first step"
_PARAMS_STAY = "parameters stay on the devices, split at stage 3; the numbers are the same"
_NO_HOOKS = "nothing is hooked into modules: the whole step is one program"
_SAVING = "states are saved as pytrees, whatever devices they live on"
_WATCHING = "the step returns its metrics; what is written where is the loop's"
_PLAIN_SUM = "gradients are averaged by one collective; only the rounding differs"
_COMPRESSED = "numbers on their way are not quantized here"
_REMOVED = "DeepSpeed has removed it"

KEYS: dict[str, Key] = {
    "train_batch_size": used("rows of one step on all devices"),
    "train_micro_batch_size_per_gpu": used("rows of one part on one device"),
    "gradient_accumulation_steps": used("`training.accumulate`"),
    "optimizer": used("`tx`"),
    "optimizer.type": used("Adam, AdamW, Adagrad, Lion, or a name of `torch.optim`"),
    "optimizer.params": used("the optimizer's arguments, with DeepSpeed's defaults"),
    "optimizer.legacy_fusion": noted("XLA fuses an optimizer's arithmetic"),
    "scheduler": used("`scheduler`, and the `lr` of `tx`"),
    "scheduler.type": used("DeepSpeed's five, or a name of `torch.optim.lr_scheduler`"),
    "scheduler.params": used("the schedule's arguments"),
    "gradient_clipping": used("`max_grad_norm`; 0 is None"),
    "fp16": used("`dtype`, `cast` and `scaler`"),
    "fp16.enabled": used("float16, by `precision.cast`"),
    "fp16.loss_scale": used("`precision.deepspeed_grad_scaler`"),
    "fp16.initial_scale_power": used("`precision.deepspeed_grad_scaler`"),
    "fp16.loss_scale_window": used("`precision.deepspeed_grad_scaler`"),
    "fp16.hysteresis": used("`precision.deepspeed_grad_scaler`; without ZeRO it is 1"),
    "fp16.consecutive_hysteresis": used("`precision.deepspeed_grad_scaler`"),
    "fp16.min_loss_scale": used("`precision.deepspeed_grad_scaler`"),
    "fp16.auto_cast": noted("`cast` casts a model's inputs in any case"),
    "fp16.fp16_master_weights_and_grads": refused("master weights stay in float32"),
    "bf16": used("`dtype` and `cast`"),
    "bf16.enabled": used("bfloat16, by `precision.cast`"),
    "bf16.immediate_grad_update": noted("XLA orders the arithmetic of a step"),
    "bf16.check_grad_overflow": used("a `scaler` of 1 that skips steps which are not finite"),
    "bf16.bf16_master_weights_and_grads": refused("master weights stay in float32"),
    "bf16.bf16_optimizer_states": refused("wrap `tx`: `precision.low_precision_state(tx)`"),
    "torch_autocast": used("`cast`"),
    "torch_autocast.enabled": used("`precision.autocast`"),
    "torch_autocast.dtype": used("its dtype; float16 brings PyTorch's scaler"),
    "torch_autocast.lower_precision_safe_modules": noted("gradients arrive in float32"),
    "communication_data_type": used("what gradients are reduced in"),
    "seq_parallel_communication_data_type": noted("there is no sequence parallelism to use it"),
    "prescale_gradients": noted(_PLAIN_SUM),
    "gradient_predivide_factor": noted(_PLAIN_SUM),
    "gradient_allreduce_op": refused("multiply the loss by the number of devices", "mean"),
    "managed_gradient_accumulation": noted("`training.accumulate` is the whole step"),
    "data_types": used("see its keys"),
    "data_types.grad_accum_dtype": noted("sums of micro-batches are held in at least float32"),
    "data_types.param_dtype": refused("parameters are cast to `dtype` as a whole"),
    "data_types.buffer_dtype": noted("running statistics keep their dtype"),
    "data_types.keep_in_fp32_modules": noted("buffers are never cast"),
    "zero_optimization": used("`shard`"),
    "zero_optimization.stage": used("`parallel.zero(stage=)`"),
    "zero_optimization.overlap_comm": noted(_XLA),
    "zero_optimization.contiguous_gradients": noted(_NO_BUFFERS),
    "zero_optimization.reduce_scatter": noted("XLA chooses the collective for each chip"),
    "zero_optimization.reduce_bucket_size": noted(_XLA),
    "zero_optimization.use_multi_rank_bucket_allreduce": noted(_XLA),
    "zero_optimization.allgather_partitions": noted("updated parameters come by all-gather"),
    "zero_optimization.allgather_bucket_size": noted(_XLA),
    "zero_optimization.round_robin_gradients": noted(_XLA),
    "zero_optimization.parameter_alignment": noted(_NO_BUFFERS),
    "zero_optimization.sub_group_size": noted(_NO_BUFFERS),
    "zero_optimization.stage3_prefetch_bucket_size": noted(_XLA),
    "zero_optimization.stage3_param_persistence_threshold": used(
        "at stage 3, `parallel.zero(param_persistence_threshold=)`: 100,000 where it is not there, "
        'and for "auto", because a hidden_size belongs to the model'
    ),
    "zero_optimization.stage3_model_persistence_threshold": noted("there is no upper bound"),
    "zero_optimization.stage3_max_live_parameters": noted(_NO_BUFFERS),
    "zero_optimization.stage3_max_reuse_distance": noted(_NO_BUFFERS),
    "zero_optimization.stage3_module_granularity_threshold": noted(_NO_HOOKS),
    "zero_optimization.stage3_use_all_reduce_for_fetch_params": noted(_XLA),
    "zero_optimization.stage3_allgather_sequential": noted(_XLA),
    "zero_optimization.stage3_gather_16bit_weights_on_model_save": noted(_SAVING),
    "zero_optimization.stage3_gather_fp16_weights_on_model_save": noted(_SAVING),
    "zero_optimization.load_from_fp32_weights": noted(_SAVING),
    "zero_optimization.elastic_checkpoint": noted(_SAVING),
    "zero_optimization.ignore_unused_parameters": noted("a parameter without a gradient has 0"),
    "zero_optimization.compute_grad_norm": noted("the step always returns `grad_norm`"),
    "zero_optimization.legacy_stage1": noted("there is one stage 1"),
    "zero_optimization.memory_efficient_linear": noted("XLA decides what a product keeps"),
    "zero_optimization.override_module_apply": noted(_NO_HOOKS),
    "zero_optimization.leaf_module": noted(_NO_HOOKS),
    "zero_optimization.pipeline_loading_checkpoint": noted(_SAVING),
    "zero_optimization.log_trace_cache_warnings": noted(_NO_HOOKS),
    "zero_optimization.enable_sanity_checks": noted(_NO_HOOKS),
    "zero_optimization.save_muon_momentum_buffer_in_memory": noted("nothing is on a disk"),
    "zero_optimization.offload_optimizer": used("`offload`, which `tx` has had"),
    "zero_optimization.offload_optimizer.device": used(
        '"cpu" is `memory.offload_optimizer`; so is "nvme", and a note says it'
    ),
    "zero_optimization.offload_optimizer.pin_memory": noted("host memory is always pinned"),
    "zero_optimization.offload_optimizer.nvme_path": noted("nothing is on a disk"),
    "zero_optimization.offload_optimizer.buffer_count": noted(_NO_BUFFERS),
    "zero_optimization.offload_optimizer.pipeline_read": noted(_XLA),
    "zero_optimization.offload_optimizer.pipeline_write": noted(_XLA),
    "zero_optimization.offload_optimizer.fast_init": noted("nothing is on a disk"),
    "zero_optimization.offload_optimizer.ratio": noted("all of the state is offloaded", 1),
    "zero_optimization.offload_optimizer.super_offload": noted("the device steps", False),
    "zero_optimization.offload_optimizer.cpuadam_cores_perc": noted("the device steps"),
    "zero_optimization.offload_param": used("see its keys"),
    "zero_optimization.offload_param.device": noted(_PARAMS_STAY, "none"),
    "zero_optimization.offload_param.pin_memory": noted("host memory is always pinned"),
    "zero_optimization.offload_param.nvme_path": noted("nothing is on a disk"),
    "zero_optimization.offload_param.buffer_count": noted(_NO_BUFFERS),
    "zero_optimization.offload_param.buffer_size": noted(_NO_BUFFERS),
    "zero_optimization.offload_param.max_in_cpu": noted(_NO_BUFFERS),
    "zero_optimization.cpu_offload": used('as `offload_optimizer.device` "cpu"'),
    "zero_optimization.cpu_offload_param": noted(_PARAMS_STAY, False),
    "zero_optimization.cpu_offload_params": noted(_PARAMS_STAY, False),
    "zero_optimization.cpu_offload_use_pin_memory": noted("host memory is always pinned"),
    "zero_optimization.zero_hpz_partition_size": refused(
        'a second copy of the shards on each host: `parallel.fully_shard` with "HYBRID_SHARD"', 1
    ),
    "zero_optimization.zero_quantized_weights": refused(_COMPRESSED),
    "zero_optimization.zero_quantized_nontrainable_weights": refused(_COMPRESSED),
    "zero_optimization.zero_quantized_gradients": refused(_COMPRESSED),
    "zero_optimization.zeropp_loco_param": refused(_COMPRESSED),
    "zero_optimization.mics_shard_size": refused(
        'shards within groups: `parallel.fully_shard` with "HYBRID_SHARD"', -1
    ),
    "zero_optimization.mics_hierarchical_params_gather": noted(_XLA),
    "zero_optimization.zenflow": refused("it updates with gradients of earlier steps"),
    "zero_allow_untested_optimizer": noted("the state of every optimizer can be sharded"),
    "zero_force_ds_cpu_optimizer": noted("the device steps"),
    "activation_checkpointing": used("`checkpoint`, for the model's `checkpoint=`"),
    "activation_checkpointing.partition_activations": noted("kept inputs stay where they are"),
    "activation_checkpointing.cpu_checkpointing": refused(
        "kept inputs stay on the device; `memory.checkpoint(policy=..., offload=True)` moves "
        "results that a policy keeps"
    ),
    "activation_checkpointing.contiguous_memory_optimization": noted(_NO_BUFFERS),
    "activation_checkpointing.number_checkpoints": noted(
        "each call of `checkpoint` is one; `memory.checkpoint_sequential` takes a number"
    ),
    "activation_checkpointing.synchronize_checkpoint_boundary": noted(_XLA),
    "activation_checkpointing.profile": noted("`aot.report` says what a step costs"),
    "steps_per_print": noted(_WATCHING),
    "wall_clock_breakdown": noted(_WATCHING),
    "memory_breakdown": noted("`memory.report` says it before the first step"),
    "dump_state": noted(_WATCHING),
    "log_level": noted(_WATCHING),
    "disable_python_gc": noted("Python is not on a step's way"),
    "disable_allgather": noted("updated parameters come by all-gather"),
    "vocabulary_size": noted("XLA pads what a chip wants padded"),
    "tensorboard": noted(_WATCHING),
    "wandb": noted(_WATCHING),
    "csv_monitor": noted(_WATCHING),
    "comet": noted(_WATCHING),
    "flops_profiler": noted("`aot.report` counts them off the compiled step"),
    "comms_logger": noted("`aot.report` lists every collective with its bytes"),
    "autotuning": noted("`memory.max_batch_size` finds the largest batch that fits"),
    "timers": noted(_WATCHING),
    "aio": noted("nothing is on a disk"),
    "compile": noted("the whole step is compiled"),
    "dataloader_drop_last": noted("the loader's choice (`data.batches`)"),
    "checkpoint": noted(_SAVING),
    "load_universal_checkpoint": noted(_SAVING),
    "datastates_ckpt": noted(_SAVING),
    "nebula": noted(_SAVING),
    "use_data_before_expert_parallelism": noted("there is no expert parallelism to use it"),
    "data_efficiency": refused("curricula and token dropping are the loader's and the model's"),
    "curriculum_learning": refused("a curriculum is the loader's"),
    "pipeline": refused("there is no pipeline parallelism here"),
    "tensor_parallel": refused(
        "there is no tensor parallelism here", {"autotp_size": 0}, {"autotp_size": 1}
    ),
    "sequence_parallel_size": refused("there is no sequence parallelism here", 1),
    "expert_parallel": refused("there is no expert parallelism here"),
    "hybrid_engine": refused("it generates text during training"),
    "weight_quantization": refused("it is for inference"),
    "amp": refused("write `fp16` or `torch_autocast`"),
    "elasticity": refused(_REMOVED),
    "compression_training": refused(_REMOVED),
    "quantize_training": refused(_REMOVED),
    "eigenvalue": refused(_REMOVED),
    "sparse_attention": refused(_REMOVED),
    "sparse_gradients": refused(_REMOVED),
    "graph_harvesting": refused(_REMOVED),
    "progressive_layer_drop": refused(_REMOVED),
}
"""Dotted path -> what becomes of it."""

OTHER_NAMES = {
    "bfloat16": "bf16",
    **{
        f"zero_optimization.{name}": f"zero_optimization.stage3_{name}"
        for name in (
            *("prefetch_bucket_size", "param_persistence_threshold", "model_persistence_threshold"),
            *("max_live_parameters", "max_reuse_distance", "gather_16bit_weights_on_model_save"),
            *("module_granularity_threshold", "use_all_reduce_for_fetch_params"),
            "allgather_sequential",
        )
    },
}
"""DeepSpeed's second name for a key -> the first."""

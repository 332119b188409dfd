"""A valid call of every public function and layer: what a test changes one argument of.

An argument without a default is ``TYPICAL``'s, by its name, unless ``OWN`` says another for the
function. A new function whose arguments have new names adds them here.
"""

import functools
import importlib
import inspect
import sys
import tempfile
import typing
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import jaxaccel as ja

GENERATOR = ja.random.manual_seed(0)
IMAGE = np.ones((2, 4, 4, 3), np.float32)
MATRIX = np.ones((2, 3), np.float32)
SQUARE = np.ones((4, 4), np.float32)


def loss_function(params, model_state, batch):
    return jnp.mean(params * batch), (model_state, {})


def model_function(params, model_state, x):
    return params * x, model_state


def square(params):
    return jnp.sum(params**2)


def step_function(state, batch):
    return state, {}


def batches_of(epoch):
    return [MATRIX]


def recipe(*, seed, a=0):
    return {"loss": a}


def metric_function(params, model_state, batch):
    return {}


def placement(path, array):
    return jax.sharding.PartitionSpec()


@functools.cache
def linear():
    return ja.nn.Linear(3, 3, rngs=GENERATOR)


@functools.cache
def mesh():
    return ja.parallel.make_mesh()


def lowered():
    """Return a program that no one here has compiled: what came from the disk is not saved."""
    return jax.jit(lambda x: abs(x)).lower(1.0)


@functools.cache
def executable():
    path = Path(tempfile.mkdtemp()) / "executable"
    ja.aot.save_executable(lowered(), path)
    return path


@functools.cache
def saved_run():
    folder = tempfile.mkdtemp()
    ja.training.save(folder, MATRIX, step=1)
    return folder


TYPICAL = {
    # functional
    **dict.fromkeys(("input", "input1", "input2", "x1", "x2", "tensors", "grads"), MATRIX),
    "weight": np.ones((3, 4), np.float32),
    **dict.fromkeys(("query", "key", "value"), np.ones((3, 2, 4), np.float32)),
    **dict.fromkeys(("running_mean", "running_var"), np.ones(3, np.float32)),
    **dict.fromkeys(("pad", "lengths", "normalized_shape", "unflattened_size"), (3,)),
    **dict.fromkeys(("indices", "weights"), np.arange(2)),
    **dict.fromkeys(("kernel_size", "output_size", "upscale_factor", "downscale_factor"), 2),
    **dict.fromkeys(("size", "num_groups", "dim"), 1),
    **dict.fromkeys(("norm_type", "threshold", "max_norm", "clip_value"), 2.0),
    "target": MATRIX,
    **dict.fromkeys(("anchor", "positive", "negative", "var", "linear_weight"), MATRIX),
    # nn
    **dict.fromkeys(("in_features", "out_features", "in1_features", "in2_features"), 3),
    **dict.fromkeys(("in_channels", "out_channels", "num_features", "num_channels"), 3),
    **dict.fromkeys(("num_embeddings", "embedding_dim", "input_size", "hidden_size"), 3),
    **dict.fromkeys(("embed_dim", "d_model"), 4),
    **dict.fromkeys(("nhead", "num_heads"), 2),
    "rngs": GENERATOR,
    "num_classes": 3,
    "n_classes": 5,
    "cutoffs": (2,),
    "num_layers": 1,
    # optimizers, schedules, transforms
    **dict.fromkeys(("lr", "swa_lr", "base_lr"), 0.1),
    **dict.fromkeys(("gamma", "val", "sparsity", "max_lr"), 0.5),
    **dict.fromkeys(("step_size", "T_max", "T_0", "steps", "fan_in"), 3),
    **dict.fromkeys(("num_warmup_steps", "num_decay_steps"), 3),
    "num_training_steps": 9,
    "params": MATRIX,
    "total_norm": np.float32(1),
    # data, random
    **dict.fromkeys(("seed", "offset", "count", "epoch", "base_seed", "worker_id"), 1),
    **dict.fromkeys(("numel", "sm_count", "num_samples", "batch_size", "base_batch_size"), 2),
    **dict.fromkeys(("data_source", "dataset", "sampler", "iterator"), range(3)),
    "drop_last": False,
    "images": IMAGE.astype(np.uint8),
    "labels": np.zeros(2, np.int32),
}
"""Argument -> a value that most functions accept."""

KERNELS = {n: np.ones((*(1,) * n, 3, 3), np.float32) for n in (1, 2, 3)}
VOLUMES = {n: np.ones((2, *(4,) * n, 3), np.float32) for n in (1, 2, 3)}
ROW = np.ones((2, 1, 3), np.float32)

OWN = {
    "functional.multi_margin_loss": {"target": np.zeros(2, np.int32)},
    "functional.cosine_embedding_loss": {"target": np.zeros(2, np.int32)},
    "functional.multilabel_margin_loss": {"target": np.zeros((2, 3), np.int32)},
    "functional.linear_cross_entropy": {"linear_weight": MATRIX.T, "target": np.zeros(2, np.int32)},
    "functional.ctc_loss": {
        "log_probs": np.zeros((4, 1, 3), np.float32),
        "targets": np.ones((1, 2), np.int32),
        "input_lengths": (4,),
        "target_lengths": (2,),
    },
    "functional.bilinear": {"weight": np.ones((2, 3, 3), np.float32)},
    **{
        f"functional.conv{kind}{n}d": {"input": VOLUMES[n], "weight": KERNELS[n]}
        for n in (1, 2, 3)
        for kind in ("", "_transpose")
    },
    **{
        f"functional.{kind}{n}d": {"input": VOLUMES[n]}
        for n in (1, 2, 3)
        for kind in ("max_pool", "avg_pool", "adaptive_avg_pool", "adaptive_max_pool", "dropout")
    },
    **{
        f"functional.max_unpool{n}d": {
            "input": VOLUMES[n],
            "indices": np.broadcast_to(
                np.arange(4**n).reshape(1, *(4,) * n, 1), VOLUMES[n].shape
            ).astype(np.int32),
            "kernel_size": 1,
        }
        for n in (1, 2, 3)
    },
    **{f"functional.lp_pool{n}d": {"input": VOLUMES[n]} for n in (1, 2, 3)},
    "functional.unfold": {"input": IMAGE},
    "functional.fold": {"input": np.ones((2, 1, 4), np.float32)},
    "functional.channel_shuffle": {"input": IMAGE, "groups": 3},
    "functional.grid_sample": {"input": IMAGE, "grid": np.ones((2, 2, 2, 2), np.float32)},
    "functional.affine_grid": {"theta": np.ones((2, 2, 3), np.float32), "size": (2, 4, 4, 3)},
    "functional.gumbel_softmax": {"logits": MATRIX, "key": jax.random.key(0)},
    **{
        f"functional.{name}": {"training": True, "key": jax.random.key(0)}
        for name in ("alpha_dropout", "feature_alpha_dropout", "rrelu")
    },
    "functional.pad": {"pad": (1, 1)},
    "functional.pixel_shuffle": {"input": np.ones((2, 4, 4, 4), np.float32)},
    "functional.pixel_unshuffle": {"input": IMAGE},
    "functional.interpolate": {"input": VOLUMES[1], "scale_factor": 2.0},
    "functional.dropout": {"key": jax.random.key(0)},
    "functional.dropout1d": {"input": VOLUMES[1], "key": jax.random.key(0)},
    "functional.dropout2d": {"input": VOLUMES[2], "key": jax.random.key(0)},
    "functional.dropout3d": {"input": VOLUMES[3], "key": jax.random.key(0)},
    "functional.embedding": {"input": np.zeros((2, 2), np.int32)},
    "functional.embedding_bag": {"input": np.zeros((2, 2), np.int32)},
    "functional.one_hot": {"input": np.zeros((2, 2), np.int32)},
    "functional.group_norm": {"input": IMAGE},
    "functional.instance_norm": {"input": IMAGE},
    "functional.local_response_norm": {"input": IMAGE},
    "functional.batch_norm": {"input": IMAGE},
    "functional.threshold": {"value": 1.0},
    "functional.prelu": {"weight": np.ones(1, np.float32)},
    "functional.glu": {"input": SQUARE},
    "functional.cross_entropy": {"target": np.zeros(2, np.int32)},
    "functional.nll_loss": {"target": np.zeros(2, np.int32)},
    "functional.multi_head_attention_forward": {
        "embed_dim_to_check": 4,
        "in_proj_weight": np.ones((12, 4), np.float32),
        "in_proj_bias": np.ones(12, np.float32),
        "bias_k": None,
        "bias_v": None,
        "add_zero_attn": False,
        "dropout_p": 0.0,
        "out_proj_weight": SQUARE,
        "out_proj_bias": np.ones(4, np.float32),
    },
    "nn.Threshold": {"value": 1.0},
    "nn.GroupNorm": {"num_groups": 3},
    "nn.Unflatten": {"unflattened_size": (3, 1)},
    "nn.TransformerEncoder": {
        "encoder_layer": lambda: ja.nn.TransformerEncoderLayer(4, 2, 4, rngs=GENERATOR)
    },
    "nn.TransformerDecoder": {
        "decoder_layer": lambda: ja.nn.TransformerDecoderLayer(4, 2, 4, rngs=GENERATOR)
    },
    "nn.AdaptiveLogSoftmaxWithLoss": {"in_features": 8},
    "nn.StackedLayers": {"layers": lambda: [linear(), linear()]},
    "nn.convert_sync_batchnorm": {"module": linear, "axis_name": "batch"},
    "nn.weight_norm": {"module": linear},
    "nn.spectral_norm": {"module": linear},
    "nn.orthogonal": {"module": linear},
    "nn.remove_parametrizations": {
        "module": lambda: ja.nn.weight_norm(ja.nn.Linear(3, 3, rngs=GENERATOR))
    },
    "nn.fuse_conv_bn": {
        "conv": lambda: ja.nn.Conv2d(3, 3, 1, rngs=GENERATOR),
        "bn": lambda: ja.nn.BatchNorm2d(3),
    },
    "nn.fuse_linear_bn": {"linear": linear, "bn": lambda: ja.nn.BatchNorm1d(3)},
    "nn.Upsample": {"scale_factor": 2.0},
    "nn.UpsamplingNearest2d": {"scale_factor": 2.0},
    "nn.UpsamplingBilinear2d": {"scale_factor": 2.0},
    "nn.ChannelShuffle": {"groups": 3},
    **{
        f"nn.{kind}Pad{n}d": {"padding": 1} | ({"value": 0.5} if kind == "Constant" else {})
        for kind in ("Zero", "Constant", "Reflection", "Replication", "Circular")
        for n in (1, 2, 3)
    },
    "models.mlp": {"hidden_features": (3,)},
    "models.vit_tiny": {"width": 6, "depth": 1, "heads": 2},
    "models.gpt": {"config": ja.models.GPTConfig(4, 5, 1, 2, 4)},
    "optimizers.count_per_parameter": {"tx": ja.optimizers.sgd(0.1)},
    "optimizers.lookahead": {"tx": ja.optimizers.sgd(0.1)},
    "optimizers.apply_sparse_updates": {"updates": MATRIX},
    "optimizers.hessian_diagonal": {"loss_fn": jnp.sum},
    "optimizers.param_groups": {"optimizer": ja.optimizers.sgd, "groups": []},
    "optimizers.set_weight_decay": {
        "model": linear,
        "weight_decay": 0.1,
        "custom_keys_for_weight_decay": [("bias", 0.1)],
        "norm_classes": [ja.nn.LayerNorm],
    },
    "optimizers.muon_with_adamw": {"matrices": "", "muon": {}, "adamw": {}},
    "optimizers.no_decay": {"path": "bias", "leaf": MATRIX},
    **{
        f"optimizers.{kind}_hyperparams": {
            "state": lambda: ja.optimizers.param_groups(ja.optimizers.sgd, []).init(MATRIX)
        }
        for kind in ("has", "get", "set")
    },
    "schedules.lambda_lr": {"lr_lambda": abs, "total_steps": 3},
    "schedules.per_epoch": {"schedule": abs, "steps_per_epoch": 3},
    "schedules.cosine_with_min_lr_schedule_with_warmup": {"min_lr": 0.01},
    "schedules.multiplicative_lr": {"lr_lambda": abs, "total_steps": 3},
    "schedules.multi_step_lr": {"milestones": [3]},
    "schedules.sequential_lr": {"schedulers": [abs, abs], "milestones": [3]},
    "schedules.chained_scheduler": {"schedulers": [abs]},
    "schedules.one_cycle_lr": {"total_steps": 9},
    "schedules.one_cycle_momentum": {"total_steps": 9},
    "schedules.wsd_schedule": {"num_training_steps": 20},
    "schedules.preview": {"schedule": abs},
    "transforms.accumulate_gradients": {"tx": ja.optimizers.sgd(0.1)},
    "init.calculate_gain": {"nonlinearity": "leaky_relu"},
    "random.philox_uniform": {"words": lambda: ja.random.philox(0, 0, 2, 1).words},
    "precision.autocast": {"fn": abs, "device_type": "tpu"},
    "precision.dtype_report": {"fn": lambda: ja.precision.autocast(jnp.sin, "tpu")},
    "precision.to": {"x": MATRIX, "dtype": jnp.float32},
    "precision.cast": {"apply": model_function, "policy": ja.precision.Policy()},
    "precision.scaled_gradients": {
        "tx": ja.optimizers.sgd(0.1),
        "scaler": ja.precision.grad_scaler(),
    },
    **{
        f"precision.{name}": {"tx": ja.optimizers.sgd(0.1)}
        for name in ("master_weights", "stochastic_rounding", "low_precision_state")
    },
    "optimizers.load_state_dict": {
        "state": lambda: ja.optimizers.sgd(0.1).init(MATRIX),
        "state_dict": {},
    },
    "optimizers.state_dict": {"state": lambda: ja.optimizers.sgd(0.1).init(MATRIX)},
    "nn.state_dict": {"model": linear},
    "nn.load_state_dict": {"model": linear, "state_dict": lambda: ja.nn.state_dict(linear())},
    "training.split_model": {"model": linear},
    "training.merge": {"model": linear, "params": {}, "model_state": {}},
    "training.gradients": {"loss_fn": loss_function},
    "training.accumulate": {"gradient_fn": ja.training.gradients(loss_function)},
    "training.join_micro_batches": {"batches": [MATRIX, MATRIX]},
    "training.packed_as": {"tree": MATRIX, "like": MATRIX},
    "training.unpacked": {"tree": MATRIX},
    "training.train_state": {"tx": ja.optimizers.sgd(0.1)},
    "training.train_step": {
        "gradient_fn": ja.training.gradients(loss_function),
        "tx": ja.optimizers.sgd(0.1),
    },
    "training.fit": {"step": step_function, "state": MATRIX, "batches": abs},
    "training.evaluate_every": {"evaluate": abs},
    "training.early_stopping": {},
    "training.follow_plateau": {"plateau": ja.schedules.reduce_lr_on_plateau(0.1)},
    "training.save_every": {"folder": "runs"},
    "training.log_every": {"log": divmod},
    "training.terminate_on_nan": {},
    "training.skip_nonfinite": {"step": step_function},
    "training.average_weights": {
        "step": step_function,
        "average": ja.transforms.stochastic_weight_average(),
    },
    "training.averaged_state": {
        "state": lambda: ja.training.train_state(MATRIX, ja.optimizers.sgd()),
        "average": ja.transforms.stochastic_weight_average(),
    },
    "training.roll_back_on_nan": {"folder": "runs"},
    "training.time_budget": {"seconds": 1.0},
    "training.preemption": {},
    "training.heartbeat": {},
    "training.evaluate": {"metric_fn": metric_function, "model_state": (), "batches": [MATRIX]},
    "training.save": {"folder": lambda: tempfile.mkdtemp(), "tree": MATRIX, "step": 1},
    "training.restore": {"folder": lambda: saved_run(), "like": MATRIX},
    "training.saved_steps": {"folder": "no/such/folder"},
    "training.update_bn": {"loader": [MATRIX], "model": linear},
    "training.recommended": {"total_steps": 9},
    "training.checklist": {"step": step_function, "state": MATRIX},
    "training.progressive_batch_size": {"initial": 4, "maximum": 8},
    "training.set_deterministic": {},
    "training.set_rng_state": {"new_state": lambda: ja.training.get_rng_state()},
    "tuning.ablate": {"recipe": recipe, "techniques": {"a": {"a": 1}}},
    "tuning.lr_find": {
        "step": step_function,
        "state": lambda: ja.optimizers.param_groups(ja.optimizers.sgd, []).init(MATRIX),
        "batches": batches_of,
    },
    "parallel.replicate": {"tree": MATRIX, "mesh": mesh},
    "parallel.shard_batch": {"tree": MATRIX, "mesh": mesh},
    "parallel.distribute_state": {"state": MATRIX, "mesh": mesh, "placement": placement},
    "parallel.fully_shard": {"gradient_fn": ja.training.gradients(loss_function), "mesh": mesh},
    "parallel.zero": {
        "gradient_fn": ja.training.gradients(loss_function),
        "mesh": mesh,
        "stage": 2,
    },
    "parallel.data_parallel": {
        "gradient_fn": ja.training.gradients(loss_function),
        "mesh": mesh,
    },
    "parallel.comm_state": {
        "comm_hook": ja.parallel.int8_compress_hook(),
        "params": MATRIX,
        "mesh": mesh,
    },
    "parallel.bf16_compress_hook": {},
    "parallel.fp16_compress_hook": {},
    "parallel.int8_compress_hook": {},
    "parallel.power_sgd_hook": {},
    "parallel.initialize": {"num_processes": 1},
    "parallel.launch": {"command": [sys.executable, "-c", ""], "nproc": 1},
    "parallel.spawn": {"fn": abs, "nprocs": 0},
    "parallel.watchdog": {},
    "monitoring.detect_anomaly": {"fn": step_function},
    "monitoring.find_anomaly": {"fn": abs},
    "monitoring.condition_number": {"loss_fn": lambda: square},
    "interop.from_deepspeed_config": {"config": {"train_batch_size": 8}},
    "interop.from_fsdp_config": {"config": {"distributed_type": "FSDP"}},
    "interop.from_transformers_gpt2": {"state_dict": {}},
    "interop.to_transformers_gpt2": {"model": linear},
    "interop.save_safetensors": {
        "model": linear,
        "path": lambda: Path(tempfile.mkdtemp()) / "model.safetensors",
    },
    "aot.compilation_cache": {},
    "aot.count_recompiles": {"fn": abs},
    "aot.save_executable": {
        "compiled": lambda: lowered(),
        "path": lambda: executable().with_name("another"),
    },
    "aot.load_executable": {"path": lambda: executable()},
    "memory.checkpoint": {"function": abs},
    "memory.checkpoint_sequential": {"functions": [abs, abs], "segments": 2, "input": MATRIX},
    "memory.offload_optimizer": {"tx": ja.optimizers.sgd(0.1)},
    "memory.report": {"step": step_function, "state": {"params": MATRIX}, "batch": MATRIX},
    "memory.max_batch_size": {
        "step": step_function,
        "make_batch": np.ones,
        "state": MATRIX,
        "budget": 10**6,
        "limit": 2,
    },
    "aot.topology_devices": {"topology": "tpu:v5e:2x2"},
    "aot.compile_for": {"step": jnp.sin, "topology": "tpu:v5e:2x2"},
    "aot.info": {},
    "aot.report": {"compiled": lambda: jax.jit(abs).lower(1.0).compile()},
    "data.pad_sequence": {"sequences": [np.ones(3), np.ones(2)], "length": 4},
    "data.bucket_size": {"length": 3, "sizes": (2, 4)},
    "data.pad_to_bucket": {"batch": MATRIX, "sizes": (2, 4)},
    "data.load": {"name": "mnist5k"},
    "data.random_sampler": {"generator": GENERATOR},
    "data.weighted_random_sampler": {"weights": [0.5, 0.5], "generator": GENERATOR},
    "data.random_split": {"lengths": (1, 2), "generator": GENERATOR},
    "data.normalize": {"mean": [0.0] * 3, "std": [1.0] * 3},
    "data.random_crop": {"key": jax.random.key(0)},
    **{
        f"data.{name}": {"key": jax.random.key(0)}
        for name in ("random_horizontal_flip", "random_vertical_flip", "random_erasing")
    },
    "data.random_resized_crop": {"key": jax.random.key(0), "size": 3},
    "data.color_jitter": {"key": jax.random.key(0)},
    "data.mixup": {"key": jax.random.key(0), "images": IMAGE, "num_classes": 3},
    "data.cutmix": {"key": jax.random.key(0), "num_classes": 3},
    "data.random_choice": {
        "key": jax.random.key(0),
        "inputs": IMAGE,
        "transforms": [ja.data.random_horizontal_flip],
    },
    "data.augment": {"key": jax.random.key(0), "augmentations": ()},
}
"""Function -> arguments of its own; a function without arguments makes the value."""


def is_called(value):
    """Return whether a public name is called by users: no record, result or word of annotations."""
    is_record = inspect.isclass(value) and issubclass(value, tuple)
    return callable(value) and not is_record and typing.get_origin(value) is None


def public(rooms):
    """Return {dotted name: what is called} of every public name of the rooms."""
    modules = {room: importlib.import_module(f"jaxaccel.{room}") for room in rooms}
    names = {f"{r}.{name}": getattr(m, name) for r, m in modules.items() for name in m.__all__}
    return {name: value for name, value in names.items() if is_called(value)}


def parameters(value):
    """Return what a function, or the constructor of a class, takes by name."""
    found = dict(inspect.signature(value.__init__ if inspect.isclass(value) else value).parameters)
    found.pop("self", None)
    return {n: p for n, p in found.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}


def is_made(value):
    """Return whether a value of the table is made when it is needed."""
    return value is linear or value is mesh or getattr(value, "__name__", None) == "<lambda>"


def valid_arguments(name, value):
    """Return the arguments of a valid call, and the names of those that nobody has given."""
    own, needed = OWN.get(name, {}), parameters(value)
    given = {n: made() if is_made(made) else made for n, made in own.items()}
    for each, parameter in needed.items():
        if each not in given and parameter.default is parameter.empty and each in TYPICAL:
            given[each] = TYPICAL[each]
    return given, [n for n, p in needed.items() if n not in given and p.default is p.empty]

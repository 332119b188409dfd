"""accelerate's configuration of FSDP: the arguments that it stands for, and what it refuses."""

import builtins

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxaccel as ja
from parity_tests import tolerances as tol

FSDP1 = """compute_environment: LOCAL_MACHINE
debug: false
distributed_type: FSDP
downcast_bf16: 'no'
enable_cpu_affinity: false
fsdp_config:
  fsdp_auto_wrap_policy: TRANSFORMER_BASED_WRAP
  fsdp_backward_prefetch: BACKWARD_PRE
  fsdp_cpu_ram_efficient_loading: true
  fsdp_forward_prefetch: false
  fsdp_offload_params: true
  fsdp_sharding_strategy: HYBRID_SHARD
  fsdp_state_dict_type: SHARDED_STATE_DICT
  fsdp_sync_module_states: true
  fsdp_transformer_layer_cls_to_wrap: BertLayer
  fsdp_use_orig_params: true
machine_rank: 0
main_training_function: main
mixed_precision: fp16
num_machines: 2
num_processes: 16
rdzv_backend: static
same_network: true
tpu_env: []
tpu_use_cluster: false
tpu_use_sudo: false
use_cpu: false
"""
"""What ``accelerate config`` writes."""


def arguments(section, **known):
    return ja.interop.from_fsdp_config({"fsdp_config": section, **known}).arguments


@pytest.mark.quick
def test_the_file_of_accelerate_config(tmp_path):
    path = tmp_path / "default_config.yaml"
    path.write_text(FSDP1)
    parts = ja.interop.from_fsdp_config(path)
    assert parts.arguments == {
        "strategy": "HYBRID_SHARD",
        "replica_axis": "replica",
        "param_dtype": jnp.float16,
        "reduce_dtype": jnp.float16,
    }
    assert parts.mesh_shape == {"replica": 2, "data": 8}
    assert float(parts.scaler.init().scale) == 65536.0
    assert parts.checkpoint is None
    noted = [note.partition(":")[0] for note in parts.notes]
    assert "fsdp_config.fsdp_backward_prefetch" in noted
    assert "fsdp_config.fsdp_offload_params" in noted
    assert "fsdp_config.fsdp_sharding_strategy" not in noted
    apply = parts.cast(lambda params, state, x: (params["w"] @ x, state))
    text = str(jax.make_jaxpr(apply)({"w": jnp.ones((2, 2))}, (), jnp.ones((2, 2))))
    assert "f16[2,2] = dot_general" in text


def test_the_arguments_are_those_of_fully_shard(tmp_path):
    """Half precision on the way, shares within a machine, and copies between the two."""
    path = tmp_path / "default_config.yaml"
    path.write_text(FSDP1.replace("num_processes: 16", "num_processes: 8"))
    parts = ja.interop.from_fsdp_config(path)
    mesh = ja.parallel.make_mesh(parts.mesh_shape)

    def loss_fn(params, model_state, rows):
        outputs, model_state = apply(params, model_state, rows)
        return jnp.mean((outputs / 16) ** 2), (model_state, {})

    apply = parts.cast(lambda params, state, x: (x @ params["w"], state))
    gradients = ja.training.gradients(loss_fn)
    options = parts.arguments | {"param_persistence_threshold": 0}
    gradient_fn, placement = ja.parallel.fully_shard(gradients, mesh, **options)
    tx = parts.offload(ja.optimizers.sgd(0.1, momentum=0.9))
    params = {"w": jnp.linspace(-1, 1, 32, dtype=jnp.float32).reshape(8, 4)}
    scaler = parts.scaler
    state = ja.training.train_state(params, tx, mesh=mesh, placement=placement, scaler=scaler)
    assert state.params["w"].sharding.spec == jax.P("data")
    rows = jnp.linspace(-1, 1, 128, dtype=jnp.float32).reshape(16, 8)
    on_device = ja.optimizers.sgd(0.1, momentum=0.9)
    alone, _ = ja.training.train_step(gradients, on_device, scaler=scaler)(
        ja.training.train_state(params, on_device, scaler=scaler), rows
    )
    step = ja.training.train_step(gradient_fn, tx, scaler=scaler)
    batch = ja.parallel.shard_batch(rows, mesh, axis=("replica", "data"))
    state, metrics = step(state, batch)
    assert float(metrics["skipped"]) == 0  # 65536 times these gradients fit
    momentum = state.opt_state.momentum_buffer["w"].sharding
    assert (momentum.memory_kind, momentum.spec) == ("pinned_host", jax.P("data"))
    expected, found = (np.asarray(each.params["w"]) - params["w"] for each in (alone, state))
    limit = tol.REDUCED_IN_FLOAT16_OF_MAX * np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=limit)


@pytest.mark.quick
def test_strategies_of_both_versions():
    for number, name in enumerate(ja.interop._fsdp_config.STRATEGIES, 1):
        for word in (number, str(number), name, name.lower()):
            found = arguments({"fsdp_sharding_strategy": word})
            assert found["strategy"] == name
            assert found == arguments({"fsdp_reshard_after_forward": name})
    assert arguments({"fsdp_sharding_strategy": "HYBRID_SHARD_ZERO2"})["replica_axis"] == "replica"
    for reshard, name in ((None, "FULL_SHARD"), (True, "FULL_SHARD"), (False, "SHARD_GRAD_OP")):
        section = {"fsdp_version": 2, "fsdp_reshard_after_forward": reshard}
        assert arguments(section) == {"strategy": name}
    sizes = {"dp_replicate_size": 2, "dp_shard_size": 4}
    sizes = {f"parallelism_config_{name}": size for name, size in sizes.items()}
    known = {"fsdp_config": {"fsdp_version": 2}, "parallelism_config": sizes}
    parts = ja.interop.from_fsdp_config(known)
    assert parts.arguments == {"strategy": "HYBRID_SHARD", "replica_axis": "replica"}
    assert parts.mesh_shape == {"replica": 2, "data": 4}
    assert ja.interop.from_fsdp_config({}).mesh_shape == {"data": -1}
    section = {"fsdp_activation_checkpointing": True}
    assert ja.interop.from_fsdp_config({"fsdp_config": section}).checkpoint is ja.memory.checkpoint
    tx = ja.optimizers.adamw()
    assert ja.interop.from_fsdp_config({"fsdp_config": section}).offload(tx) is tx


REFUSED = {
    "a strategy": ({"fsdp_config": {"fsdp_sharding_strategy": "FULL_SHRD"}}, "'FULL_SHARD'"),
    "a version": ({"fsdp_config": {"fsdp_version": 3}}, "fsdp_version must be 1 or 2, got 3"),
    "words of version 1": (
        {"fsdp_config": {"fsdp_version": 2, "fsdp_reshard_after_forward": "FULL_SHARD"}},
        "This is not supported with FSDP2",
    ),
    "words of version 2": (
        {"fsdp_config": {"fsdp_reshard_after_forward": True}},
        "This is not supported with FSDP1",
    ),
    "another kind": ({"distributed_type": "DEEPSPEED"}, "from_deepspeed_config"),
    "a dtype": ({"mixed_precision": "fp8"}, "mixed_precision must be"),
    "machines": (
        {
            "num_machines": 3,
            "num_processes": 8,
            "fsdp_config": {"fsdp_sharding_strategy": "HYBRID_SHARD"},
        },
        "num_machines must divide num_processes",
    ),
    "a switch": ({"fsdp_config": {"fsdp_activation_checkpointing": "some"}}, "must be true or"),
    "modules apart": ({"fsdp_config": {"fsdp_ignored_modules": "lm_head"}}, "rules="),
}


@pytest.mark.quick
@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_name(name):
    config, text = REFUSED[name]
    with pytest.raises(ValueError, match=text):
        ja.interop.from_fsdp_config(config)


@pytest.mark.quick
def test_without_pyyaml_the_extra_is_named(tmp_path, monkeypatch):
    path = tmp_path / "config.yaml"
    path.write_text(FSDP1)
    own = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "yaml":
            raise ModuleNotFoundError("No module named 'yaml'", name="yaml")
        return own(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ModuleNotFoundError, match=r"jaxaccel\[interop\]"):
        ja.interop.from_fsdp_config(path)

"""DeepSpeed's configuration against DeepSpeed's own numbers, and what it refuses."""

import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.extend.core import jaxprs_in_params
from jax.sharding import PartitionSpec as P

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_same_tree
from parity_tests.interop import deepspeed_values

VALUES = json.loads(deepspeed_values.VALUES.read_text(encoding="utf-8"))

SLIDE = """{
    "train_batch_size": 32,
    "gradient_accumulation_steps": 1,
    "optimizer": {
        "type": "Adam",
        "params": {
            "lr": 3e-5
        }
    },
    "fp16": {
        "enabled": true
    },
    "zero_optimization": {
        "stage": 2,
        "allgather_partitions": true,
        "reduce_scatter": true,
        "allgather_bucket_size": 5e8,
        "reduce_bucket_size": 5e8,
        "overlap_comm": true
    }
}
"""
"""The configuration that lectures on ZeRO show."""


def parts_of(config, world_size=8, **given):
    return ja.interop.from_deepspeed_config(config, world_size=world_size, **given)


def moved(tx, steps=3):
    """Return where an optimizer takes two numbers under fixed gradients."""
    params = {"w": jnp.array([1.0, -2.0])}
    state = tx.init(params)
    for step in range(steps):
        grads = {"w": jnp.array([0.5, -1.0]) * (step + 1)}
        updates, state = tx.update(grads, state, params)
        params = optax.apply_updates(params, updates)
    return np.asarray(params["w"])


@pytest.mark.quick
def test_the_lectures_file_verbatim(tmp_path):
    path = tmp_path / "ds_config.json"
    path.write_text(SLIDE)
    for given in (path, str(path), json.loads(SLIDE)):
        parts = parts_of(given)
        assert (parts.train_batch_size, parts.train_micro_batch_size_per_gpu) == (32, 4)
        assert (parts.gradient_accumulation_steps, parts.zero_stage) == (1, 2)
        assert (parts.scheduler, parts.max_grad_norm, parts.checkpoint) == (None, None, None)
        assert parts.dtype == jnp.float16
        scaler = parts.scaler.init()
        assert (float(scaler.scale), int(scaler.growth_interval)) == (65536.0, 1000)
        assert int(scaler.hysteresis) == 2
        # DeepSpeed's Adam is AdamW, without decay unless it is told.
        adamw = ja.optimizers.adamw(lr=3e-5, weight_decay=0.0)
        np.testing.assert_array_equal(moved(parts.tx), moved(adamw))
        noted = [note.partition(":")[0] for note in parts.notes]
        assert noted == [
            f"zero_optimization.{name}"
            for name in json.loads(SLIDE)["zero_optimization"]
            if name != "stage"
        ]


OPTIMIZERS = {
    "Adam decays as AdamW": (
        ("Adam", {"lr": 0.1, "weight_decay": 0.1}),
        lambda o: o.adamw(0.1, weight_decay=0.1),
    ),
    "AdamW has no decay of its own": (
        ("AdamW", {"lr": 0.1}),
        lambda o: o.adamw(0.1, weight_decay=0),
    ),
    "AdamW of torch has": (("AdamW", {"lr": 0.1, "torch_adam": True}), lambda o: o.adamw(0.1)),
    "Adam of torch is AdamW": (
        ("Adam", {"lr": 0.1, "torch_adam": True, "foreach": True}),
        lambda o: o.adamw(0.1),
    ),
    "Adam with decay in the gradient": (
        ("adam", {"lr": 0.1, "weight_decay": 0.1, "adam_w_mode": False, "betas": [0.8, 0.9]}),
        lambda o: o.adam(0.1, (0.8, 0.9), weight_decay=0.1),
    ),
    "AdamW stays it": (
        ("AdamW", {"lr": 0.1, "weight_decay": 0.1, "adam_w_mode": False}),
        lambda o: o.adamw(0.1, weight_decay=0.1),
    ),
    "Adagrad": (("Adagrad", {}), lambda o: o.adagrad()),
    "SGD": (("SGD", {"lr": 0.1, "momentum": 0.9}), lambda o: o.sgd(0.1, momentum=0.9)),
    "RMSprop": (("RMSprop", {"lr": 0.1}), lambda o: o.rmsprop(0.1)),
    "Lion": (
        ("Lion", {"lr": 0.1, "weight_decay": 0.1}),
        lambda o: optax.lion(0.1, b1=0.9, b2=0.999, weight_decay=0.1),
    ),
}


@pytest.mark.quick
def test_optimizers_have_deepspeeds_defaults():
    for name, ((kind, params), expected) in OPTIMIZERS.items():
        config = {"train_batch_size": 8, "optimizer": {"type": kind, "params": params}}
        found = moved(parts_of(config).tx)
        np.testing.assert_array_equal(found, moved(expected(ja.optimizers)), err_msg=name)
    assert parts_of({"train_batch_size": 8}).tx is None


def lion_of_deepspeed(p, g, m, lr=0.1, first=0.9, second=0.999, decay=0.1):
    """Return a step of its kernel, which moves up where a gradient has always been 0."""
    c = first * m + (1 - first) * g
    return p * (1 - lr * decay) + np.where(c > 0, -lr, lr), second * m + (1 - second) * g


@pytest.mark.parity
def test_lion_is_deepspeeds_but_where_nothing_ever_came():
    params = {"lr": 0.1, "weight_decay": 0.1}
    config = {"train_batch_size": 8, "optimizer": {"type": "Lion", "params": params}}
    tx = parts_of(config).tx
    p, m = np.array([1.0, -2.0, 3.0]), np.zeros(3)
    ours, state = jnp.asarray(p), tx.init(jnp.asarray(p))
    for g in (np.array([0.5, -1.0, 0.0]), np.array([-4.0, 0.1, 0.0])):
        p, m = lion_of_deepspeed(p, g, m)
        updates, state = tx.update(jnp.asarray(g), state, ours)
        ours = optax.apply_updates(ours, updates)
    np.testing.assert_allclose(ours[:2], p[:2], rtol=tol.FLOAT64_OF_PATH)
    np.testing.assert_allclose(ours[2], 3.0 * 0.99**2, rtol=tol.FLOAT64_OF_PATH)
    assert p[2] > 3.0


@pytest.mark.parity
@pytest.mark.quick
def test_schedules_are_deepspeeds_at_every_step():
    """Known steps in double, traced ones in float32, momenta beside learning rates."""
    assert VALUES["deepspeed"] == "0.19.8"
    kinds = set()
    for name, params, expected in VALUES["schedulers"]:
        kinds.add(name)
        expected = np.array(expected)
        parts = parts_of(
            {
                "train_batch_size": 8,
                "optimizer": {"type": "Adam", "params": {"lr": deepspeed_values.LR}},
                "scheduler": {"type": name, "params": params},
            }
        )
        steps = np.arange(len(expected))
        why = f"{name} {params}"
        peak = expected[:, 0].max()
        exact = {"rtol": 0, "atol": tol.SCHEDULE_FLOAT64_OF_PEAK * peak, "err_msg": why}
        np.testing.assert_allclose(parts.scheduler(steps), expected[:, 0], **exact)
        one_by_one = [parts.scheduler(int(step)) for step in steps]
        np.testing.assert_array_equal(one_by_one, parts.scheduler(steps))
        with jax.enable_x64(False):
            traced = jax.jit(parts.scheduler)(jnp.asarray(steps, jnp.int32))
        assert traced.dtype == jnp.float32
        close = exact | {"atol": tol.SCHEDULE_FLOAT32_OF_PEAK * peak}
        np.testing.assert_allclose(traced, expected[:, 0], **close)
        if params.get("cycle_momentum", name == "OneCycle"):
            _check_momenta(parts.tx, expected, why)
    assert kinds == {"WarmupLR", "WarmupDecayLR", "WarmupCosineLR", "OneCycle", "LRRangeTest"}


def _check_momenta(tx, expected, why):
    """Hold the first of ``betas`` against DeepSpeed's, by what a gradient leaves of a moment."""
    w = jnp.ones(())
    state = tx.init(w)._replace(exp_avg=w, exp_avg_sq=w)
    for step, (_, first, second) in enumerate(expected):
        _, after = tx.update(jnp.zeros(()), state._replace(step=jnp.int32(step)), w)
        found = [float(after.exp_avg), float(after.exp_avg_sq)]
        np.testing.assert_allclose(
            found, [first, second], rtol=tol.FLOAT64_OF_FIELD, err_msg=f"{why} {step}"
        )


@pytest.mark.quick
def test_pytorchs_schedules_by_their_names():
    for name, params, expected in (
        ("StepLR", {"step_size": 3}, ja.schedules.step_lr(0.1, 3)),
        ("CosineAnnealingLR", {"T_max": 10}, ja.schedules.cosine_annealing_lr(0.1, 10)),
        ("MultiStepLR", {"milestones": [2, 4]}, ja.schedules.multi_step_lr(0.1, [2, 4])),
    ):
        config = {
            "train_batch_size": 8,
            "optimizer": {"type": "SGD", "params": {"lr": 0.1}},
            "scheduler": {"type": name, "params": params},
        }
        found = parts_of(config).scheduler
        assert [found(k) for k in range(12)] == [expected(k) for k in range(12)]


@pytest.mark.parity
@pytest.mark.quick
def test_batch_sizes_are_deepspeeds():
    names = ("train_batch_size", "train_micro_batch_size_per_gpu", "gradient_accumulation_steps")
    kinds = set()
    for (*given, devices), expected in VALUES["batches"]:
        config = {
            name: value for name, value in zip(names, given, strict=True) if value is not None
        }
        kinds.add(type(expected))
        if isinstance(expected, str):
            with pytest.raises(ValueError) as caught:
                parts_of(config, devices)
            assert str(caught.value).startswith(expected)
            continue
        parts = parts_of(config, devices)
        assert [getattr(parts, name) for name in names] == expected, (config, devices)
    assert kinds == {str, list}


AUTO = {
    "train_batch_size": "auto",
    "train_micro_batch_size_per_gpu": "auto",
    "gradient_accumulation_steps": "auto",
    "gradient_clipping": "auto",
    "fp16": {"enabled": "auto"},
    "bf16": {"enabled": "auto"},
    "optimizer": {
        "type": "AdamW",
        "params": {"lr": "auto", "betas": "auto", "eps": "auto", "weight_decay": "auto"},
    },
    "scheduler": {
        "type": "WarmupDecayLR",
        "params": {
            "warmup_min_lr": "auto",
            "warmup_max_lr": "auto",
            "warmup_num_steps": "auto",
            "total_num_steps": "auto",
        },
    },
    "zero_optimization": {
        "stage": 3,
        "reduce_bucket_size": "auto",
        "stage3_prefetch_bucket_size": "auto",
        "stage3_param_persistence_threshold": "auto",
    },
}
"""The file that Transformers' pages show."""
FILLING = {
    "per_device_train_batch_size": 2,
    "gradient_accumulation_steps": 3,
    "max_grad_norm": 0.5,
    "bf16": True,
    "learning_rate": 0.1,
    "adam_beta1": 0.8,
    "adam_beta2": 0.9,
    "adam_epsilon": 1e-6,
    "weight_decay": 0.2,
    "warmup_steps": 4,
    "num_training_steps": 20,
}


@pytest.mark.quick
def test_auto_is_filled_in_as_by_transformers():
    parts = parts_of(AUTO, **FILLING)
    assert (parts.train_batch_size, parts.gradient_accumulation_steps) == (48, 3)
    assert (parts.max_grad_norm, parts.dtype) == (0.5, jnp.bfloat16)
    written = {"warmup_max_lr": 0.1, "warmup_num_steps": 4, "total_num_steps": 20}
    config = {"train_batch_size": 8, "scheduler": {"type": "WarmupDecayLR", "params": written}}
    schedule = parts_of(config).scheduler
    assert [parts.scheduler(k) for k in range(9)] == [schedule(k) for k in range(9)]
    expected = ja.optimizers.adamw(schedule, (0.8, 0.9), 1e-6, 0.2)
    np.testing.assert_array_equal(moved(parts.tx, 6), moved(expected, 6))
    (note,) = parts.notes[-1:]  # the other keys have nothing to do
    assert "threshold: 'auto' is DeepSpeed's default of 100,000" in note
    assert "10 times the model's hidden_size" in note


@pytest.mark.quick
def test_what_is_auto_and_not_given_is_named():
    for name in FILLING:
        given = {key: value for key, value in FILLING.items() if key != name}
        with pytest.raises(ValueError, match=rf"'auto'.*pass .*{name}="):
            parts_of(AUTO, **given)
    written = {**AUTO, "steps_per_print": 10, "zero_optimization": {"stage": "auto"}}
    with pytest.raises(ValueError, match=r"zero_optimization.stage \(write a value\)"):
        parts_of(written, **FILLING)
    written = {**AUTO, "optimizer": {"type": "AdamW", "params": {"lr": 0.2}}}
    with pytest.raises(ValueError, match=r"- ds optimizer.params.lr=0.2 vs hf learning_rate=0.1"):
        parts_of(written, **FILLING)
    written = {"optimizer": {"type": "AdamW", "params": {"betas": [0.9, 0.95]}}}
    alone = {"train_batch_size": 8, **written}
    for given, line in (
        ({"adam_beta1": 0.8}, r"betas=\[0.9, 0.95\] vs hf adam_beta1=0.8"),
        ({"adam_beta1": 0.9, "adam_beta2": 0.99}, "vs hf adam_beta2=0.99"),
    ):
        with pytest.raises(ValueError, match=line):
            parts_of(alone, **given)
    parts_of(alone, adam_beta2=0.95)


@pytest.mark.quick
def test_dtypes_and_their_scalers():
    base = {"train_batch_size": 8}
    zero = {"zero_optimization": {"stage": 1}}
    assert parts_of(base).dtype == jnp.float32
    for config, dtype, scale in (
        ({"bf16": {"enabled": True}}, jnp.bfloat16, None),
        ({"bfloat16": {"enabled": True}, **zero}, jnp.bfloat16, 1.0),
        ({"bf16": {"enabled": True, "check_grad_overflow": False}, **zero}, jnp.bfloat16, None),
        ({"fp16": {"enabled": True, "loss_scale": 128.0}, **zero}, jnp.float16, 128.0),
        ({"fp16": {"enabled": True, "initial_scale_power": 4}}, jnp.float16, 16.0),
        ({"torch_autocast": {"enabled": True, "dtype": "torch.float16"}}, jnp.float16, 65536.0),
        ({"torch_autocast": {"enabled": True}}, jnp.bfloat16, None),
        ({"fp16": {"enabled": False}}, jnp.float32, None),
    ):
        parts = parts_of(base | config)
        assert parts.dtype == dtype, config
        found = None if parts.scaler is None else float(parts.scaler.init().scale)
        assert found == scale, config
        apply = parts.cast(lambda params, state, x: (params["w"] @ x, state))
        arrays = {"w": jnp.ones((2, 2), jnp.float32)}, jnp.ones((2, 2), jnp.float32)
        text = str(jax.make_jaxpr(lambda w, x, apply=apply: apply(w, (), x)[0])(*arrays))
        word = {jnp.float16: "f16", jnp.bfloat16: "bf16", jnp.float32: "f32"}[dtype]
        assert f"{word}[2,2] = dot_general" in text, (config, text)


@pytest.mark.parity
@pytest.mark.quick
def test_the_scale_is_deepspeeds_after_every_step():
    cases = itertools.groupby(VALUES["scalers"], key=lambda pair: pair[0][:2])
    for (hysteresis, consecutive), group in cases:
        scaler, states, given, expected = None, [], [], []
        for (*_, window, every), scales in group:
            section = {
                "enabled": True,
                "initial_scale_power": deepspeed_values.FIRST_POWER,
                "loss_scale_window": window,
                "hysteresis": hysteresis,
                "consecutive_hysteresis": consecutive,
                "min_loss_scale": int(deepspeed_values.FLOOR),
            }
            config = {"fp16": section, "zero_optimization": {"stage": 1}}
            scaler = parts_of({"train_batch_size": 8} | config).scaler
            states.append(scaler.init())  # which holds the window
            given.append(deepspeed_values.overflows(every))
            expected.append(scales)

        def one(state, overflow, scaler=scaler):
            state = jax.vmap(scaler.update)(state, overflow)
            return state, state.scale

        stacked = jax.tree.map(lambda *each: jnp.stack(each), *states)
        _, found = jax.lax.scan(one, stacked, np.array(given).T)
        np.testing.assert_array_equal(found, np.array(expected).T)
        assert 3 < np.sum(given, 1).min() < np.sum(given, 1).max() < 50


def test_without_zero_there_is_no_hysteresis():
    """DeepSpeed's optimizers for float16 without ZeRO do not read it."""
    for stage, after in ((0, 32768.0), (1, 65536.0)):
        config = {"fp16": {"enabled": True}, "zero_optimization": {"stage": stage}}
        scaler = parts_of({"train_batch_size": 8} | config).scaler
        assert float(scaler.update(scaler.init(), True).scale) == after


REFUSED = {
    "an unknown section": ({"zero_optimisation": {}}, "did you mean 'zero_optimization'"),
    "an unknown key": ({"zero_optimization": {"overlap_com": True}}, "did you mean 'overlap_comm'"),
    "a key elsewhere": ({"stage": 2}, "did you mean 'zero_optimization.stage'"),
    "a key like none": ({"nothing_like_it": 2}, "unknown in a configuration of DeepSpeed"),
    "two names": ({"bf16": {}, "bfloat16": {}}, "written|twice"),
    "a stage": ({"zero_optimization": {"stage": 4}}, "stage must be 0, 1, 2 or 3, got 4"),
    "two dtypes": (
        {"fp16": {"enabled": True}, "bf16": {"enabled": True}},
        "bfloat16 and fp16 modes cannot be simultaneously enabled",
    ),
    "compressed weights": (
        {"zero_optimization": {"stage": 3, "zero_quantized_weights": True}},
        "zero_quantized_weights = True",
    ),
    "a curriculum": ({"curriculum_learning": {"enabled": True}}, "curriculum_learning"),
    "1-bit Adam": ({"optimizer": {"type": "OneBitAdam"}}, "compressed gradients"),
    "Muon": ({"optimizer": {"type": "Muon"}}, "optimizers.muon"),
    "LAMB": ({"optimizer": {"type": "Lamb"}}, "no LAMB"),
    "an optimizer": ({"optimizer": {"type": "Sgd"}}, "did you mean 'SGD'"),
    "an argument": (
        {"optimizer": {"type": "Adam", "params": {"weight_deccay": 0.1}}},
        "did you mean 'weight_decay'",
    ),
    "a norm among them": (
        {"optimizer": {"type": "Adam", "params": {"max_grad_norm": 1.0}}},
        "'max_grad_norm' is not supported as an optimizer parameter",
    ),
    "AMSGrad": (
        {"optimizer": {"type": "Adam", "params": {"amsgrad": True}}},
        "FusedAdam does not support the AMSGrad variant",
    ),
    "a scheduler": ({"scheduler": {"type": "WarmupLr"}}, "did you mean 'WarmupLR'"),
    "one that moves momenta": ({"scheduler": {"type": "OneCycleLR"}}, "leave the section out"),
    "a length": (
        {"scheduler": {"type": "WarmupDecayLR", "params": {}}},
        "WarmupDecayLR needs total_num_steps; pass num_training_steps=",
    ),
    "a rate": ({"scheduler": {"type": "WarmupLR", "params": {}}}, "pass learning_rate="),
    "a way up": (
        {"scheduler": {"type": "WarmupLR", "params": {"warmup_max_lr": 1, "warmup_type": "lin"}}},
        "warmup_type must be 'log' or 'linear'",
    ),
    "a list for groups": (
        {"scheduler": {"type": "WarmupLR", "params": {"warmup_max_lr": [0.1, 0.2]}}},
        "must be one number",
    ),
    "no steps up": (
        {"scheduler": {"type": "WarmupLR", "params": {"warmup_max_lr": 1, "warmup_num_steps": 0}}},
        "warmup_num_steps must be a positive integer, got 0",
    ),
    "a dtype on the way": ({"communication_data_type": "fp8"}, "Got: fp8"),
    "sums for means": ({"gradient_allreduce_op": "sum"}, "gradient_allreduce_op = 'sum'"),
}


@pytest.mark.quick
@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_name(name):
    config, text = REFUSED[name]
    with pytest.raises(ValueError, match=text):
        parts_of({"train_batch_size": 8, **config})


@pytest.mark.quick
def test_files_that_are_not_read(tmp_path):
    path = tmp_path / "ds.json"
    with pytest.raises(FileNotFoundError, match="existing configuration"):
        parts_of(path)
    for text, why in (
        ('{"a": 1, "a": 2}', r"Duplicate keys in DeepSpeed config: \['a'\]"),
        ('{"a": 1,}', "not JSON"),
        ("[]", "must hold a mapping"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=why):
            parts_of(path)


def two_layers(params, model_state, rows):
    """Return the loss of the network that DeepSpeed's engine trained, weights as in PyTorch."""
    hidden = jnp.tanh(rows[:, :5] @ params["w1"].T)
    return jnp.mean((hidden @ params["w2"].T - rows[:, 5:]) ** 2), (model_state, {})


@pytest.mark.parity
def test_training_ends_where_deepspeeds_engine_ended():
    """Its 20 steps in two processes, with a schedule, clipping and accumulation, at every stage."""
    w1, w2, rows = (jnp.array(each) for each in deepspeed_values.first_weights())
    mesh = ja.parallel.make_mesh(devices=jax.devices()[:2])
    for stage in range(4):
        zero = {"stage": stage, "stage3_param_persistence_threshold": 0}
        config = {**deepspeed_values.TRAINING, "zero_optimization": zero}
        parts = parts_of(config, deepspeed_values.WORLD)
        params = {"w1": w1, "w2": w2}
        rules = lambda path, shape: P("data") if "w2" in path else None  # noqa: E731
        state, step = parts.initialize(two_layers, params, mesh=mesh, rules=rules)
        batch = ja.parallel.shard_batch(rows, mesh)
        for _ in range(deepspeed_values.TRAINED_STEPS):
            state, _ = step(state, batch)
        moments = state.opt_state.exp_avg["w2"]
        assert moments.sharding.is_fully_replicated == (stage == 0)
        assert state.params["w2"].sharding.is_fully_replicated == (stage < 3)
        for name, expected in zip(("w1", "w2"), VALUES["trained"][str(stage)], strict=True):
            found = np.asarray(state.params[name])
            distance = np.linalg.norm(found - expected) / np.linalg.norm(expected)
            assert distance <= tol.DEEPSPEED_FLOAT32_OF_NORM, (stage, name, distance)


def test_an_offloaded_optimizers_state_waits_in_the_hosts_memory():
    """The configuration's and a client's; three steps with clipping, accumulation and a scale."""
    w1, w2, rows = (jnp.array(each) for each in deepspeed_values.first_weights())
    mesh, found = ja.parallel.make_mesh(devices=jax.devices()[:2]), []
    for zero, given in (
        ({}, None),
        ({"offload_optimizer": {"device": "cpu", "pin_memory": True}}, None),
        ({"cpu_offload": True}, ja.optimizers.adamw(1e-3)),
    ):
        half = {"fp16": {"enabled": True, "initial_scale_power": 4}}
        zero = {"stage": 3, "stage3_param_persistence_threshold": 0, **zero}
        config = {**deepspeed_values.TRAINING, **half, "zero_optimization": zero}
        parts = parts_of(config, deepspeed_values.WORLD)
        params = {"w1": w1, "w2": w2}
        rules = lambda path, shape: P("data") if "w2" in path else None  # noqa: E731
        state, step = parts.initialize(two_layers, params, mesh=mesh, rules=rules, tx=given)
        batch = ja.parallel.shard_batch(rows, mesh)
        for _ in range(3):
            state, metrics = step(state, batch)
        assert float(metrics["skipped"]) == 0
        for moments in (state.opt_state.exp_avg, state.opt_state.exp_avg_sq):
            kinds = {name: moment.sharding.memory_kind for name, moment in moments.items()}
            assert kinds == dict.fromkeys(params, "pinned_host" if len(zero) > 2 else "device")
            assert moments["w2"].sharding.spec == P("data")
        found.append(state._replace(opt_state=()))
    assert_same_tree(found[1], found[0], tol.DEVICES_FLOAT64_OF_MAX)


@pytest.mark.quick
def test_what_is_offloaded_otherwise_than_asked_is_said_or_refused():
    def of(**zero):
        config = {"train_batch_size": 8, "zero_optimization": {"stage": 3, **zero}}
        return parts_of({**config, "optimizer": {"type": "Adam"}})

    assert of(offload_optimizer={"device": "none"}).notes == of().notes == ()
    parts = of(offload_optimizer={"device": "nvme"}, offload_param={"device": "cpu"})
    (on_disk,) = (note for note in parts.notes if "offload_optimizer.device: " in note)
    assert "waits in the host's memory" in on_disk
    (of_params,) = (note for note in parts.notes if "offload_param.device: " in note)
    assert "parameters stay on the devices" in of_params
    moments = parts.tx.init({"w": jnp.ones(2)}).exp_avg
    assert moments["w"].sharding.memory_kind == "pinned_host"
    with pytest.raises(ValueError, match=r"offload_optimizer.device must be .* got 'gpu'"):
        of(offload_optimizer={"device": "gpu"})
    with pytest.raises(TypeError, match=r'must be a section, got True; write \{"device": "cpu"\}'):
        of(offload_optimizer=True)


def reductions(jaxpr, in_loop=False):
    """Yield the dtype of each array that is reduced over devices, and whether in a loop."""
    for eqn in jaxpr.eqns:
        if eqn.primitive.name in ("psum_invariant", "psum", "reduce_scatter") and any(
            len(var.aval.shape) for var in eqn.invars
        ):
            yield str(eqn.invars[0].aval.dtype), in_loop
        for inner in jaxprs_in_params(eqn.params):
            yield from reductions(inner, in_loop or eqn.primitive.name == "scan")


def test_gradients_are_reduced_when_and_in_what_deepspeed_reduces_them():
    """In half precision, and from stage 2 on in every micro-batch."""
    mesh = ja.parallel.make_mesh(devices=jax.devices()[:2])
    for stage in range(4):
        zero = {"stage": stage, "stage3_param_persistence_threshold": 0}
        sizes = {"train_micro_batch_size_per_gpu": 2, "gradient_accumulation_steps": 2}
        config = {**sizes, "fp16": {"enabled": True}, "zero_optimization": zero}
        for word, dtype in ((None, "float16"), ("fp32", "float32")):
            parts = parts_of({**config, "communication_data_type": word}, 2)
            rules = lambda path, shape: P("data")  # noqa: E731
            gradient_fn, _ = parts.shard(ja.training.gradients(two_layers), mesh, rules=rules)
            params = {"w1": jnp.ones((4, 5), jnp.float32), "w2": jnp.ones((2, 4), jnp.float32)}
            rows = jnp.ones((8, 7), jnp.float32)
            program = jax.make_jaxpr(lambda p, b, g=gradient_fn: g(p, (), b).grads)(params, rows)
            found = set(reductions(program.jaxpr))
            # A CPU's program has the parts one after the other, the others' a loop over them.
            assert found == {(dtype, False)} | ({(dtype, True)} if stage >= 2 else set()), stage


@pytest.mark.quick
def test_stage_3_leaves_what_is_small_where_deepspeed_does():
    mesh = ja.parallel.make_mesh(devices=jax.devices()[:2])
    shape = jax.ShapeDtypeStruct((300, 300), jnp.float32)
    key = "stage3_param_persistence_threshold"
    for zero, place in (
        ({}, P()),
        ({key: 90_001}, P()),
        ({key: "auto"}, P()),
        ({key: 9}, P("data")),
    ):
        config = {"train_batch_size": 8, "zero_optimization": {"stage": 3, **zero}}
        parts = parts_of(config, 2)
        _, placement = parts.shard(ja.training.gradients(two_layers), mesh)
        assert placement("params.w1", shape) == place, zero


@pytest.mark.quick
def test_what_does_not_fit_the_parts_is_refused():
    mesh = ja.parallel.make_mesh(devices=jax.devices()[:2])
    parts = parts_of({"train_batch_size": 8}, 4)
    with pytest.raises(ValueError, match=r"read for world_size=4, and the mesh .* over 2 devices"):
        parts.shard(ja.training.gradients(two_layers), mesh)
    parts = parts_of({"train_batch_size": 8}, 2)
    with pytest.raises(ValueError, match=r"has no optimizer; pass one"):
        parts.initialize(two_layers, {"w1": jnp.ones((4, 5))}, mesh=mesh)
    tx = ja.optimizers.sgd(0.1)
    state, _ = parts.initialize(two_layers, {"w1": jnp.ones((4, 5))}, mesh=mesh, tx=tx)
    assert type(state.opt_state) is ja.optimizers.SGDState

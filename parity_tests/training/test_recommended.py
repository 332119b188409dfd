"""The recommended configuration beside PyTorch's, and a checklist that sees what is there."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_close

T = ja.training
STEPS, FEATURES = 40, 5
NAMES = [
    *("learning rate", "warm-up", "mixed precision", "clipping", "early stopping", "seed"),
    *("logging", "compiled step", "all devices"),
]


def loss_fn(params, model_state, batch, key=None):
    x, y = batch
    return jnp.mean((x @ params - y) ** 2), (model_state, {})


def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(STEPS, 8, FEATURES))
    return x, 3 * x.sum(-1), rng.normal(size=FEATURES)


def in_pytorch(lr):
    """Run the course's configuration in double precision, with a learning rate of the optimizer."""
    x, y, start = data()
    w = torch.nn.Parameter(torch.tensor(start))
    optimizer = torch.optim.AdamW([w], lr=lr, weight_decay=0.01)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-3, total_steps=STEPS + 1)
    path = []
    for batch, target in zip(torch.tensor(x), torch.tensor(y), strict=True):
        optimizer.zero_grad()
        loss = torch.mean((batch @ w - target) ** 2)
        loss.backward()
        torch.nn.utils.clip_grad_norm_([w], 1.0)
        optimizer.step()
        path.append([*w.tolist(), scheduler.get_last_lr()[0], loss.item()])
        scheduler.step()
    return np.array(path)


def test_the_configuration_is_pytorchs_whose_own_rate_has_no_effect():
    """Parameters, rates and losses of every step; the cycle moves AdamW's first beta, too."""
    x, y, start = data()
    parts = T.recommended(STEPS + 1)
    step = T.train_step(T.gradients(loss_fn), parts.tx, max_grad_norm=parts.max_grad_norm)
    state, path = T.train_state(start, parts.tx), []
    for number, batch in enumerate(zip(x, y, strict=True)):
        state, metrics = step(state, batch)
        path.append([*state.params, parts.schedule(number), metrics["loss"]])
        assert float(metrics["lr"]) == pytest.approx(parts.schedule(number), rel=1e-12)
    theirs = in_pytorch(1e-4)
    assert_close(np.array(path), theirs, tol.TRANSFORM_FLOAT64_OF_MAX)
    assert np.array_equal(in_pytorch(0.5), theirs)


def test_the_parts_make_a_step_whose_checklist_is_complete():
    """On all devices, in each device type's mixed precision."""
    mesh = ja.parallel.make_mesh()
    batch = np.ones((8, FEATURES), np.float32), np.ones(8, np.float32)
    for device_type in ("cuda", "tpu"):
        parts = T.recommended(100, device_type=device_type)
        assert (parts.scaler is not None) == (device_type == "cuda")
        gradient_fn = T.gradients(parts.autocast(loss_fn))
        step = T.train_step(
            ja.parallel.data_parallel(gradient_fn, mesh),
            parts.tx,
            max_grad_norm=parts.max_grad_norm,
            scaler=parts.scaler,
        )
        seeds = T.set_seed(0)
        params = np.zeros(FEATURES, np.float32)
        state = T.train_state(params, parts.tx, key=seeds.key, mesh=mesh, scaler=parts.scaler)
        callbacks = [*parts.callbacks, T.log_every(print)]
        batch = ja.parallel.shard_batch(batch, mesh)
        found = T.checklist(step, state, batch, tx=parts.tx, callbacks=callbacks)
        assert [each.name for each in found.points] == NAMES
        assert found.missing == found.unknown == (), str(found)
        assert str(found).splitlines()[0] == "9 of 9 are there"
    told = {each.name: each.found for each in found.points}
    assert told["warm-up"] == "from 4e-05 to 0.001 at step 29"
    assert told["mixed precision"] == "2 products of bf16"
    assert told["clipping"] == "to norm 1.0"
    assert told["all devices"] == "8, the state whole on each"


def plain(state, batch):
    return state, {"loss": jnp.sum(batch @ state)}


def test_a_bare_setup_is_told_what_it_lacks_and_what_cannot_be_seen():
    found = T.checklist(plain, jnp.ones(3))
    assert found.unknown == ("learning rate", "warm-up", "mixed precision", "clipping", "seed")
    assert found.missing == ("early stopping", "logging", "compiled step", "all devices")
    first, *lines = str(found).splitlines()
    assert first.startswith("0 of 9 are there; missing: early stopping, logging")
    assert "- seed: seeds = training.set_seed(42)" in "\n".join(lines)
    assert len(json.loads(found.to_json())) == 9


def point(name, *arguments, **options):
    """Return one point of a checklist."""
    found = T.checklist(*arguments, **options)
    return next(each for each in found.points if each.name == name)


def test_each_point_is_read_off_what_is_given():
    state, batch = jnp.ones(3), jnp.ones((4, 3))
    groups = ja.optimizers.param_groups
    for lr, is_there in [(1e-4, True), (1e-2, True), (0.1, False), (1e-6, False)]:
        tx = groups(ja.optimizers.sgd, [], lr=lr)
        injected = optax.inject_hyperparams(optax.sgd)(learning_rate=lr)
        assert point("learning rate", plain, state, lr=lr).is_there is is_there
        assert point("learning rate", plain, state, tx=tx).is_there is is_there
        assert point("learning rate", plain, state, tx=injected).is_there is is_there
        now = point("learning rate", plain, tx.init(state))
        assert (now.is_there, f"{lr:.3g} now" in now.found) == (is_there, True)
        assert point("warm-up", plain, tx.init(state)).is_there is None
        assert point("warm-up", plain, state, tx=tx).is_there is False
    adam = ja.optimizers.adam(ja.schedules.step_lr(1e-3, 3))
    assert point("learning rate", plain, state, tx=adam).is_there is None
    for schedule, is_there in [
        (ja.schedules.constant_schedule_with_warmup(1e-3, 5), True),
        (ja.schedules.step_lr(1e-3, 5), False),
    ]:
        assert point("warm-up", plain, state, lr=schedule, total_steps=20).is_there is is_there
    compiled = jax.jit(plain)
    half = jax.jit(lambda state, batch: plain(*map(jnp.bfloat16, (state, batch))))
    for step, is_there, found in [
        (plain, False, "1 products of f64"),
        (compiled, False, "1 products of f64"),
        (half, True, "1 products of bf16"),
        (lambda state, batch: plain(*map(jnp.float16, (state, batch))), False, "without a scaler"),
        (lambda state, batch: (state, {"loss": batch}), False, "no products"),
    ]:
        told = point("mixed precision", step, state, batch)
        assert told.is_there is is_there
        assert found in told.found
    assert point("compiled step", compiled, state).is_there is True
    sgd = ja.optimizers.sgd(0.1)
    unclipped = T.train_step(T.gradients(loss_fn), sgd)
    assert point("clipping", unclipped, state).is_there is False
    assert point("clipping", ja.aot.count_recompiles(unclipped), state).is_there is None
    for key, is_there in [({}, None), ({"key": jax.random.key(0)}, True)]:
        assert point("seed", plain, T.train_state(state, sgd, **key)).is_there is is_there
        assert point("seed", plain, T.train_state(state, sgd, key)).is_there is is_there
    own = T.Callback("mine", on_step=lambda run, memory: None)
    told = point("early stopping", plain, state, callbacks=[own])
    assert (told.is_there, told.found) == (False, "not among the callbacks mine")
    stopping = T.early_stopping("accuracy", mode="max")
    told = point("early stopping", plain, state, callbacks=[own, stopping])
    assert (told.is_there, told.found) == (True, "early_stopping accuracy")
    mesh = ja.parallel.make_mesh()
    split = jax.NamedSharding(mesh, jax.P("data"))
    told = point("all devices", plain, jax.device_put(jnp.ones(8), split))
    assert (told.is_there, told.found) == (True, "8, the state split")
    with pytest.raises(ValueError, match="total_steps must be at least 1, got 0"):
        T.checklist(plain, state, total_steps=0)
    for options, text in [
        ({"max_grad_norm": 0.0}, "max_grad_norm must be more than 0"),
        ({"device_type": "gpu"}, "device_type must be 'cuda', 'cpu' or 'tpu', got 'gpu'"),
        ({"patience": 0}, "patience must be at least 1"),
    ]:
        with pytest.raises(ValueError, match=text):
            T.recommended(10, **options)


@pytest.mark.quick
def test_clipping_is_seen_through_wrappers():
    """A step in a wrapper says what the inner one says; one that says nothing is not known."""
    tx = ja.optimizers.sgd(0.1)
    gradient_fn = T.gradients(lambda w, m, batch: (jnp.sum(batch @ w), (m, {})))
    state = T.train_state(jnp.ones(3), tx)
    for norm, is_there in [(1.0, True), (None, False)]:
        step = T.train_step(gradient_fn, tx, max_grad_norm=norm)
        shows_none = functools.partial(step, value=None)
        for each in (step, shows_none, T.skip_nonfinite(step), T.skip_nonfinite(shows_none)):
            assert point("clipping", each, state).is_there is is_there
            assert point("compiled step", each, state).is_there is True
    assert point("clipping", T.skip_nonfinite(plain), state).is_there is None


@pytest.mark.quick
def test_a_callback_says_itself_what_it_is_for():
    stop, log = T.early_stopping("loss"), T.log_every(print)
    own = T.Callback("tracker", on_epoch=lambda run, _: None, purpose="logging")
    for callbacks, found in [
        ([stop, log], (True, True)),
        ([stop._replace(name="patience"), own], (True, True)),
        ([own._replace(name="early_stopping of mine", purpose="")], (False, False)),
    ]:
        points = [
            point(name, plain, jnp.ones(3), callbacks=callbacks)
            for name in ("early stopping", "logging")
        ]
        assert tuple(each.is_there for each in points) == found

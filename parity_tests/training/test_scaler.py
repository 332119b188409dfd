"""A step with a scaler: PyTorch's recipe step for step, skipped steps, compositions."""

import functools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from flax import nnx

import jaxaccel as ja
import torch_ref
from parity_tests import tolerances as tol
from parity_tests.harness import compare
from parity_tests.harness.compilations import count_compilations
from parity_tests.harness.compiled import FAST_COMPILE
from parity_tests.harness.network import load_into_torch

# --- the recipe: AMP, accumulation, clipping, a scheduler ---------------------------------------

STEPS, PARTS, ROWS, FEATURES = 200, 4, 32, 6
RECIPE = {"init_scale": 2.0**16, "growth_interval": 9}
ONE_CYCLE = {"max_lr": 3e-2, "total_steps": STEPS}


@functools.cache
def recipe_batches():
    """Return the batches of all steps, infinities in random parts of random ones, and which."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(STEPS, ROWS, FEATURES)).astype(np.float32)
    y = np.sin(2 * x.sum(-1, keepdims=True)).astype(np.float32)
    bad = rng.random(STEPS) < 0.08
    x[bad, rng.integers(0, ROWS, STEPS)[bad], 2] = np.inf
    return x, y, bad


def recipe_models():
    """Return a perceptron and its twin, in single precision."""
    model = ja.models.mlp(FEATURES, [16], 1, dtype=jnp.float32, rngs=nnx.Rngs(0))
    twin = torch_ref.models.mlp(FEATURES, [16], 1)
    load_into_torch(model, twin)
    return model, twin


def one_ulp_away(twin, seed):
    """Move every weight of a twin by up to one unit in float16's last place.

    The start moved by one of float32's, as elsewhere, is lost in the first cast to float16, in
    which all products are computed: what two libraries round differently is units of float16.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in twin.parameters():
            units = torch.rand(parameter.shape, generator=generator) * 2 - 1
            parameter.mul_(1 + 2.0**-10 * units)
    return twin


def run_recipe_in_pytorch(twin):
    """Run the loop as it is written everywhere; return its log and the weights of every step."""
    x, y, _ = (torch.tensor(array) for array in recipe_batches())
    optimizer = torch.optim.AdamW(twin.parameters(), lr=1.0)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, **ONE_CYCLE)
    scaler = torch.amp.GradScaler("cpu", **RECIPE)
    log, weights = [], []
    for k in range(STEPS):
        optimizer.zero_grad()
        scale, lr = scaler.get_scale(), scheduler.get_last_lr()[0]
        for part in range(PARTS):
            with torch.autocast("cpu", torch.float16):
                outputs = twin(x[k, part::PARTS])
                loss = torch.nn.functional.mse_loss(outputs, y[k, part::PARTS]) / PARTS
            scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(twin.parameters(), 1.0)
        found = sum(v.item() for v in scaler._found_inf_per_device(optimizer).values())
        scaler.step(optimizer)
        scaler.update()
        scheduler.step()
        log.append((scale, found, lr))
        weights.append(np.concatenate([p.detach().numpy().ravel() for p in twin.parameters()]))
    assert scaler.state_dict()["scale"] != log[0][0]
    return np.array(log), np.array(weights)


def recipe_loss(apply):
    """Return the loss function under autocast."""

    def loss_fn(params, model_state, batch):
        x, y = batch
        outputs, model_state = apply(params, model_state, x, training=True)
        return ja.functional.mse_loss(outputs, y), (model_state, {})

    return ja.precision.autocast(loss_fn, "cpu", jnp.float16)


def run_recipe(model):
    """Run the same with a train step, whose steps are scanned in one program."""
    x, y, _ = recipe_batches()
    apply, params, model_state = ja.training.split_model(model)
    tx = ja.optimizers.param_groups(
        ja.optimizers.adamw,
        [],
        lr=ja.schedules.one_cycle_lr(**ONE_CYCLE),
        betas=(ja.schedules.one_cycle_momentum(STEPS), 0.999),
    )
    scaler = ja.precision.grad_scaler(**RECIPE)
    gradient_fn = ja.training.accumulate(ja.training.gradients(recipe_loss(apply)), PARTS)
    step = ja.training.train_step(gradient_fn, tx, max_grad_norm=1.0, scaler=scaler)
    state = ja.training.train_state(params, tx, model_state, scaler=scaler)

    def one(state, batch):
        state, metrics = step(state, batch)
        loaded = nnx.clone(model)
        nnx.update(loaded, state.params, state.model_state)
        log = [metrics[name].astype(float) for name in ("loss_scale", "skipped", "lr")]
        return state, (jnp.stack(log), state.params)

    run = jax.jit(lambda s, b: jax.lax.scan(one, s, b), compiler_options=FAST_COMPILE)
    state, (log, params) = run(state, (x, y))
    return state, np.asarray(log), params


def in_pytorchs_order(model, params):
    """Return the weights of every step as one row each, in PyTorch's order and layouts."""
    rows = []
    for k in range(STEPS):
        loaded = nnx.clone(model)
        nnx.update(loaded, jax.tree.map(lambda leaf, k=k: leaf[k], params))
        rows.append(np.concatenate([np.ravel(v) for v in ja.nn.state_dict(loaded).values()]))
    return np.array(rows)


@functools.cache
def recipe_in_pytorch():
    """Return log and weights of PyTorch's run, and its largest distance from three neighbours."""
    log, weights = run_recipe_in_pytorch(recipe_models()[1])
    neighbours = [
        run_recipe_in_pytorch(one_ulp_away(recipe_models()[1], seed))[1] for seed in range(3)
    ]
    distances = [np.linalg.norm(each - weights, axis=1) for each in neighbours]
    return log, weights, np.max(distances, axis=0)


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step:UserWarning")
def test_the_recipe_of_two_hundred_steps_is_pytorchs():
    """Same scale, same skips, same learning rate; weights as near as PyTorch's neighbours."""
    model, _ = recipe_models()
    log, weights, band = recipe_in_pytorch()
    state, found, params = run_recipe(model)
    np.testing.assert_array_equal(found[:, :2], log[:, :2])
    compare.assert_close(found[:, 2], log[:, 2], tol.SCHEDULE_FLOAT32_OF_PEAK)
    skipped, bad = log[:, 1] > 0, recipe_batches()[2]
    assert skipped[bad].all()
    assert 5 < bad.sum() < skipped.sum() < 60  # of its own it overflows too
    assert len(set(log[:, 0])) > 4
    assert int(state.scaler.skipped) == skipped.sum()
    assert int(state.step) == STEPS
    assert int(state.opt_state.inner_states[0].step) == STEPS - skipped.sum()
    distance = np.linalg.norm(in_pytorchs_order(model, params) - weights, axis=1)
    for k in (19, 49, 99, 199):
        limit = tol.NETWORK_FLOAT32_OF_PYTORCHS_OWN * band[: k + 1].max()
        assert distance[k] <= limit, f"{k}: {distance[k]:.2e} > {limit:.2e}"


# --- a problem in double precision, with infinities ---------------------------------------------


def problem(count=12, seed=0):
    """Return parameters and batches of a regression; every fourth batch has an infinity."""
    rng = np.random.default_rng(seed)
    batches = [(rng.normal(size=(16, 3)), rng.normal(size=16)) for _ in range(count)]
    for x, _ in batches[2::4]:
        x[5, 1] = np.inf
    return rng.normal(size=3), batches


def loss_fn(params, model_state, batch):
    x, y = batch
    outputs = x @ params["w"]
    seen = model_state["seen"] + 1
    return jnp.mean((outputs - y) ** 2), ({"seen": seen}, {})


MODEL_STATE = {"seen": np.zeros(())}
SCALER = {"init_scale": 64.0, "growth_interval": 2}


def run_in_pytorch(start, batches, make, schedule=None, accelerate=False):
    """Run PyTorch's loop; return (scale, skipped, lr) and weights after every step."""
    w = torch.nn.Parameter(torch.tensor(start))
    optimizer = make([w])
    scheduler = schedule and schedule(optimizer)
    scaler = torch.amp.GradScaler("cpu", **SCALER)
    found = []
    for x, y in batches:
        scale, lr = scaler.get_scale(), optimizer.param_groups[0]["lr"]
        optimizer.zero_grad()
        loss = ((torch.tensor(x) @ w - torch.tensor(y)) ** 2).mean()
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_([w], 1.0)
        scaler.step(optimizer)
        scaler.update()
        skipped = scaler.get_scale() < scale
        if scheduler and not (accelerate and skipped):
            scheduler.step()
        found.append((scale, float(skipped), lr, w.detach().numpy().copy()))
    return found


def run(tx, start, batches, wrap=lambda fn: fn, mesh=None, pack=lambda params: params, **of_scaler):
    """Run a train step; return (scale, skipped, lr) and weights after every step, and the state."""
    scaler = ja.precision.grad_scaler(**SCALER, **of_scaler)
    step = ja.training.train_step(
        wrap(ja.training.gradients(loss_fn)), tx, max_grad_norm=1.0, scaler=scaler
    )
    params = pack({"w": jnp.asarray(start), "unused": jnp.ones(2)})
    state = ja.training.train_state(params, tx, MODEL_STATE, mesh=mesh, scaler=scaler)
    found = []
    for batch in batches:
        state, metrics = step(state, jax.tree.map(jnp.asarray, batch))
        log = [float(metrics[n]) if n in metrics else 0.0 for n in ("loss_scale", "skipped", "lr")]
        found.append((*log, np.asarray(ja.training.unpacked(state.params)["w"])))
    return found, state


def assert_same(found, expected, lr=False):
    for k, (own, theirs) in enumerate(zip(found, expected, strict=True)):
        assert own[:2] == theirs[:2], k
        if lr:
            assert own[2] == pytest.approx(theirs[2], rel=1e-12), k
        compare.assert_close(own[3], theirs[3], tol.NETWORK_FLOAT64_OF_NORM, what=f"step {k}")


SCHEDULED = functools.partial(
    ja.optimizers.param_groups, ja.optimizers.adamw, [], lr=ja.schedules.exponential_lr(0.1, 0.8)
)


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step:UserWarning")
@pytest.mark.parametrize("accelerate", [False, True], ids=["plain loop", "accelerate"])
def test_schedules_go_on_at_skipped_steps_or_not(accelerate):
    """In groups, whose state holds the rate, and in an optimizer that reads its schedule."""
    start, batches = problem()
    expected = run_in_pytorch(
        start,
        batches,
        lambda params: torch.optim.AdamW(params, lr=0.1),
        lambda optimizer: torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.8),
        accelerate,
    )
    plain = ja.optimizers.adamw(lr=ja.schedules.exponential_lr(0.1, 0.8))
    for tx in (SCHEDULED(), plain):
        found, _ = run(tx, start, batches, schedule_skipped_steps=not accelerate)
        assert_same(found, expected, lr=tx is not plain)
    assert sum(row[1] for row in expected) == 3


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step:UserWarning")
def test_a_run_of_pytorchs_goes_on_at_its_learning_rate():
    """Seven steps there, of which two are skipped; the rest here, and there once more."""
    start, batches = problem()
    made = []

    def make(params):
        made.append(torch.optim.AdamW(params, lr=0.1))
        return made[-1]

    def decay(optimizer):
        return torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.8)

    expected = run_in_pytorch(start, batches, make, decay)
    stopped = run_in_pytorch(start, batches[:7], make, decay)[-1][3]
    tx = ja.optimizers.adamw(lr=ja.schedules.exponential_lr(0.1, 0.8))
    scaler = ja.precision.grad_scaler(**SCALER)
    of_torch = {k: v.numpy() for k, v in made[-1].state_dict()["state"][0].items()}
    params = {"w": jnp.asarray(stopped)}
    state = ja.training.train_state(params, tx, MODEL_STATE, scaler=scaler)
    # The scale that PyTorch's has after seven steps, and the scheduler's calls that were skipped.
    loaded = scaler.load_state_dict(
        {**scaler.state_dict(state.scaler), "scale": expected[7][0], "_growth_tracker": 0}
    )
    assert int(loaded.skipped) == 0
    state = state._replace(
        opt_state=ja.optimizers.load_state_dict(state.opt_state, params, {0: of_torch}),
        scaler=loaded._replace(skipped=jnp.int32(7 - int(of_torch["step"]))),
    )
    step = ja.training.train_step(
        ja.training.gradients(loss_fn), tx, max_grad_norm=1.0, scaler=scaler
    )
    for k in range(7, len(batches)):
        state, metrics = step(state, jax.tree.map(jnp.asarray, batches[k]))
        assert float(metrics["loss_scale"]) == expected[k][0], k
        compare.assert_close(state.params["w"], expected[k][3], tol.NETWORK_FLOAT64_OF_NORM)


def test_a_skipped_step_leaves_every_bit_but_the_models_own_state():
    start, batches = problem(3)
    scaler = ja.precision.grad_scaler(**SCALER)
    clip, plateau = ja.transforms.clip_grad_norm(1.0), ja.schedules.reduce_lr_on_plateau(1e-3)
    tx = optax.chain(clip, ja.optimizers.adamw(amsgrad=True), plateau.transformation)
    tx = ja.precision.stochastic_rounding(tx)
    step = ja.training.train_step(ja.training.gradients(loss_fn), tx, scaler=scaler)
    state = ja.training.train_state({"w": jnp.asarray(start)}, tx, MODEL_STATE, scaler=scaler)
    state, _ = step(state, batches[0])
    before = jax.tree.map(np.asarray, state)
    state, metrics = step(state, batches[2])
    assert float(metrics["skipped"]) == 1.0
    assert not np.isfinite(metrics["grad_norm"])
    for name in ("params", "opt_state"):
        own, old = jax.tree.leaves(getattr(state, name)), jax.tree.leaves(getattr(before, name))
        assert [np.asarray(a).tobytes() for a in own] == [b.tobytes() for b in old]
    assert int(state.opt_state.inner_state[2].last_epoch) == 1  # a plateau stays too
    assert float(state.model_state["seen"]) == 2.0
    assert (int(state.step), int(state.scaler.skipped)) == (2, 1)
    assert float(state.scaler.scale) == 32.0


def test_gradients_are_unscaled_before_they_are_clipped_and_handed_on():
    """The norm is that of the unscaled ones, and so is ``grad``, which an optimizer may ask for."""
    start, batches = problem(1)
    seen = {}

    def update(updates, state, params=None, *, grad, value_fn, **extra):
        return updates, {"grad": grad["w"], "of value_fn": jax.grad(value_fn)(params)["w"]}

    empty = {"grad": jnp.zeros(3), "of value_fn": jnp.zeros(3)}
    tx = optax.GradientTransformationExtraArgs(lambda params: empty, update)
    (x, y), w = batches[0], start
    right = 2 * x.T @ (x @ w - y) / len(y)
    _, state = run(tx, start, batches)
    for name, grad in state.opt_state.items():
        compare.assert_close(grad, right, tol.DEVICES_FLOAT64_OF_MAX, what=name)
        seen[name] = grad
    moved = state.params["w"] - start
    compare.assert_close(moved, right / (np.linalg.norm(right) + 1e-6), 1e-12)


def in_parts(fn):
    return ja.training.accumulate(fn, 2)


def on_devices(mode, inner=lambda fn: fn):
    def wrap(fn):
        return ja.parallel.data_parallel(inner(fn), ja.parallel.make_mesh(), mode=mode)

    return wrap


COMPOSED = {
    "in parts": in_parts,
    "jit": on_devices("jit"),
    "shard_map, in parts": on_devices("shard_map", in_parts),
    "pmap": on_devices("pmap"),
}


@pytest.mark.parity
@pytest.mark.parametrize("name", COMPOSED)
def test_parts_and_devices_have_pytorchs_scale_and_weights(name):
    start, batches = problem()
    expected = run_in_pytorch(start, batches, lambda params: torch.optim.AdamW(params, lr=0.1))
    mesh = None if name == "in parts" else ja.parallel.make_mesh()
    if mesh is not None:
        batches = [ja.parallel.shard_batch(batch, mesh) for batch in batches]
    found, _ = run(ja.optimizers.adamw(lr=0.1), start, batches, COMPOSED[name], mesh)
    assert_same(found, expected)


def test_packed_parameters_and_groups():
    start, batches = problem(6)
    tx = ja.optimizers.param_groups(ja.optimizers.adamw, [{"params": "unused"}], lr=0.1)
    groups = [{"params": "unused"}]
    plain, _ = run(tx, start, batches)
    packed, state = run(
        tx, start, batches, pack=functools.partial(ja.training.packed, groups=groups)
    )
    assert_same(packed, plain)
    assert ja.training.unpacked(state).scaler == state.scaler


def test_steps_are_compiled_once_and_donate_their_scaler():
    start, batches = problem(5)
    scaler, tx = ja.precision.grad_scaler(**SCALER), ja.optimizers.adamw()
    step = ja.training.train_step(ja.training.gradients(loss_fn), tx, scaler=scaler)
    state = ja.training.train_state({"w": jnp.asarray(start)}, tx, MODEL_STATE, scaler=scaler)
    first = state

    def five():
        nonlocal state
        for batch in batches:
            state, _ = step(state, batch)

    assert count_compilations(five) == 1
    assert first.scaler.scale.is_deleted()
    leaves, treedef = jax.tree.flatten(state)
    again = treedef.unflatten([jnp.asarray(np.asarray(leaf)) for leaf in leaves])  # saved, restored
    assert again.scaler == state.scaler


def test_a_micro_batch_with_an_infinity_is_left_out_of_accumulated_gradients():
    """Another one takes its place; schedules follow the optimizer's steps alone."""
    start, batches = problem(7)  # bad: 2 and 6
    lr = ja.schedules.exponential_lr(0.1, 0.5)
    inner = ja.optimizers.param_groups(ja.optimizers.sgd, [], lr=lr)
    found, state = run(ja.transforms.accumulate_gradients(inner, 2), start, batches)
    good = [batches[k] for k in (0, 1, 3, 4, 5)]
    expected, _ = run(ja.transforms.accumulate_gradients(inner, 2), start, good)
    compare.assert_close(found[-1][3], expected[-1][3], tol.NETWORK_FLOAT64_OF_NORM)
    assert int(state.opt_state.inner_state.step) == 2
    assert int(state.scaler.skipped) == 2


# --- without a train step -----------------------------------------------------------------------


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step:UserWarning")
def test_an_optimizer_of_scaled_gradients_runs_pytorchs_loop():
    start, batches = problem()
    expected = run_in_pytorch(
        start,
        batches,
        lambda params: torch.optim.AdamW(params, lr=0.1),
        lambda optimizer: torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.8),
    )
    scaler = ja.precision.grad_scaler(**SCALER)
    inner = optax.chain(
        ja.transforms.clip_grad_norm(1.0),
        ja.optimizers.adamw(lr=ja.schedules.exponential_lr(0.1, 0.8)),
    )
    tx = ja.precision.scaled_gradients(inner, scaler)

    @jax.jit
    def step(w, state, batch):
        def scaled_loss(w):
            x, y = batch
            return scaler.scale(jnp.mean((x @ w - y) ** 2), state.scaler)

        updates, new_state = tx.update(jax.grad(scaled_loss)(w), state, w)
        skipped = (new_state.scaler.skipped - state.scaler.skipped).astype(float)
        return w + updates, new_state, (state.scaler.scale, skipped)

    w = jnp.asarray(start)
    state, found = tx.init(w), []
    for batch in batches:
        w, state, log = step(w, state, batch)
        found.append((*map(float, log), 0.0, np.asarray(w)))
    assert_same(found, expected)


@pytest.mark.parity
def test_each_of_several_optimizers_is_skipped_by_its_own_infinities():
    """PyTorch's way with two optimizers: one scale, one update, steps by themselves."""
    scaler, theirs = ja.precision.grad_scaler(**SCALER), torch.amp.GradScaler("cpu", **SCALER)
    state, steps = scaler.init(), []
    params = [torch.nn.Parameter(torch.ones(2)) for _ in range(2)]
    optimizers = [torch.optim.SGD([p], lr=0.5) for p in params]
    tx, own = ja.optimizers.sgd(lr=0.5), [jnp.ones(2, jnp.float32)] * 2
    for bad in (None, 0, None, 1, None, None):
        theirs.scale(torch.ones(()))
        answers = []
        for index in range(2):
            grad = np.full(2, 3.0 + index, np.float32)
            grad[1] = np.inf if bad == index else 1.0
            params[index].grad = torch.tensor(grad)
            theirs.step(optimizers[index])
            grads, found_inf = scaler.unscale(jnp.asarray(grad), state)
            moved = own[index] + tx.update(grads, tx.init(own[index]), own[index])[0]
            own[index] = scaler.step(moved, own[index], found_inf)
            answers.append(found_inf)
            np.testing.assert_array_equal(own[index], params[index].detach().numpy())
        theirs.update()
        state = scaler.update(state, *answers)
        steps.append(float(state.scale))
        assert scaler.state_dict(state) == theirs.state_dict()
    assert int(state.skipped) == 2


# --- float16 without a scaler, and states that do not fit ---------------------------------------


def half_loss(params, model_state, batch):
    return jnp.mean((params["w"].astype(jnp.float16) * batch).astype(jnp.float32)), (
        model_state,
        {},
    )


def test_float16_without_a_scaler_warns_once():
    tx, params = ja.optimizers.sgd(), {"w": jnp.ones(3, jnp.float32)}
    batch = jnp.ones(3, jnp.float16)
    step = ja.training.train_step(ja.training.gradients(half_loss), tx)
    state = ja.training.train_state(params, tx)
    with pytest.warns(UserWarning, match=r"float16 without a scaler.*grad_scaler\(\)") as caught:
        state, _ = step(state, batch)
    assert [each.filename for each in caught] == [__file__]
    step(state, batch)  # any further one is an error


def test_no_warning_where_there_is_a_scaler_or_nothing_computes_in_float16():
    scaler, params = ja.precision.grad_scaler(), {"w": jnp.ones(3, jnp.float32)}
    batch = jnp.ones(3, jnp.float16)

    def bytes_alone(params, model_state, batch):
        return jnp.mean(params["w"] * batch.astype(jnp.float32)), (model_state, {})

    sgd = ja.optimizers.sgd()
    wrapped = ja.precision.scaled_gradients(sgd, scaler)
    for loss, tx, given in (
        (half_loss, sgd, {"scaler": scaler}),
        (half_loss, wrapped, {}),
        (bytes_alone, sgd, {}),
    ):
        step = ja.training.train_step(ja.training.gradients(loss), tx, **given)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            step(ja.training.train_state(params, tx, **given), batch)


def test_a_tiny_loss_keeps_its_gradient_with_a_scaler():
    """The reason for all of it: 1e-8 is 0 in float16."""
    params, batch = {"w": jnp.ones(3, jnp.float32)}, jnp.ones(3, jnp.float16)

    def tiny(params, model_state, batch):
        loss, aux = half_loss(params, model_state, batch)
        return 1e-8 * loss, aux

    gradient_fn = ja.training.gradients(tiny)
    assert float(gradient_fn(params, (), batch).grads["w"][0]) == 0.0
    scaler = ja.precision.grad_scaler()
    found = gradient_fn(params, (), batch, loss_scale=scaler.init().scale)
    grads, _ = scaler.unscale(found.grads, scaler.init())
    assert float(grads["w"][0]) == pytest.approx(1e-8 / 3, rel=1e-3)


def test_a_state_without_a_scaler_is_refused_and_the_reverse():
    scaler, tx = ja.precision.grad_scaler(), ja.optimizers.sgd()
    params = {"w": jnp.ones(3)}
    gradient_fn = ja.training.gradients(lambda p, s, b: (jnp.sum(p["w"] * b), (s, {})))
    with pytest.raises(TypeError, match=r"with a scaler, and its state has none.*train_state\("):
        ja.training.train_step(gradient_fn, tx, scaler=scaler)(
            ja.training.train_state(params, tx), jnp.ones(3)
        )
    with pytest.raises(TypeError, match=r"without a scaler, and its state has one.*train_step\("):
        ja.training.train_step(gradient_fn, tx)(
            ja.training.train_state(params, tx, scaler=scaler), jnp.ones(3)
        )
    off = ja.precision.grad_scaler(enabled=False)
    step = ja.training.train_step(gradient_fn, tx, scaler=off)
    _, metrics = step(ja.training.train_state(params, tx, scaler=off), jnp.ones(3))
    assert set(metrics) == {"loss", "grad_norm"}

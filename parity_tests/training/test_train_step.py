"""One compiled step: what it hands to the optimizer, what it keeps, and what it refuses."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness import compare

FEATURES, ROWS, STEPS = 4, 32, 5
assert_close = functools.partial(compare.assert_close, of_max=tol.DEVICES_FLOAT64_OF_MAX)
compiled = []
jax.monitoring.register_event_duration_secs_listener(
    lambda name, *_, **__: compiled.append(name) if "backend_compile" in name else None
)


def regression(seed=0):
    """Return parameters and a batch, in double precision."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(ROWS, FEATURES)), rng.normal(size=ROWS)
    return rng.normal(size=FEATURES), {"x": x, "y": y, "mask": rng.random(ROWS) < 0.7}


def loss_fn(params, model_state, batch, package=jnp):
    residual = package.tanh(batch["x"] @ params) - batch["y"]
    return (residual**2).mean(), (model_state, {})


def token_loss(params, model_state, batch):
    residual = jnp.where(batch["mask"], batch["x"] @ params - batch["y"], 0.0)
    return jnp.sum(residual**2) / jnp.sum(batch["mask"], dtype=float), (model_state, {})


def tokens(batch):
    return jnp.sum(batch["mask"], dtype=int)


def step_of(tx, **kwargs):
    return ja.training.train_step(ja.training.gradients(loss_fn), tx, **kwargs)


# --- what the optimizer is given ----------------------------------------------------------------


def run_lbfgs_in_pytorch(start, batches):
    """Run PyTorch's own, on the mean over tokens of the whole batch."""
    w = torch.nn.Parameter(torch.tensor(start))
    optimizer = torch.optim.LBFGS([w], max_iter=4, line_search_fn="strong_wolfe")
    for batch in batches:
        x, y, mask = (torch.tensor(batch[name]) for name in ("x", "y", "mask"))

        def closure(x=x, y=y, mask=mask):
            optimizer.zero_grad()
            loss = ((x @ w - y)[mask] ** 2).mean()
            loss.backward()
            return loss

        optimizer.step(closure)
    return w.detach().numpy()


@pytest.mark.parametrize("mode", [None, "jit", "shard_map", "pmap"])
def test_a_line_search_sees_the_loss_of_the_whole_batch(mode):
    """By the composition's own gradients: a device without a token makes no NaN of them."""
    start, _ = regression()
    batches = [regression(seed)[1] for seed in range(2)]
    for batch in batches:
        batch["mask"][:4] = False  # the first of eight devices
    tx = ja.optimizers.lbfgs(max_iter=4, line_search_fn="strong_wolfe")
    gradient_fn = ja.training.gradients(token_loss)
    mesh = None if mode is None else ja.parallel.make_mesh()
    if mode is not None:
        gradient_fn = ja.training.accumulate(gradient_fn, 2, weight=tokens)
        gradient_fn = ja.parallel.data_parallel(gradient_fn, mesh, mode=mode, weight=tokens)
    step = ja.training.train_step(gradient_fn, tx)
    state = ja.training.train_state(jnp.asarray(start), tx, mesh=mesh)
    for batch in batches:
        batch = ja.parallel.shard_batch(batch, mesh) if mesh else batch
        state, _ = step(state, jax.tree.map(jnp.asarray, batch))
    expected = run_lbfgs_in_pytorch(start, batches)
    compare.assert_close(state.params, expected, tol.NETWORK_FLOAT64_OF_NORM)


def test_value_fn_can_be_differentiated_twice():
    """What a method with Hessian products asks of it."""

    def update(updates, state, params=None, *, value_fn, grad, **extra):
        product = jax.jvp(jax.grad(value_fn), (params,), (jnp.ones_like(params),))[1]
        return product, {"grad": grad, "of value_fn": jax.grad(value_fn)(params)}

    def init(params):
        return {"grad": jnp.zeros_like(params), "of value_fn": jnp.zeros_like(params)}

    start, batch = jax.tree.map(jnp.asarray, regression())
    tx = optax.GradientTransformationExtraArgs(init, update)
    state, _ = step_of(tx, donate=False)(ja.training.train_state(start, tx), batch)
    hessian = jax.hessian(lambda w: loss_fn(w, (), batch)[0])(start)
    assert_close(state.params - start, hessian @ np.ones(FEATURES))
    assert_close(state.opt_state["of value_fn"], state.opt_state["grad"])


def test_plateau_follows_the_metric_that_the_step_is_given():
    start, batch = regression()
    metrics = [3.0, 2.0, 2.5, 2.6, 2.7, 2.8, 1.0]
    plateau = ja.schedules.reduce_lr_on_plateau(0.1, factor=0.5, patience=1)
    tx = optax.chain(ja.optimizers.sgd(lr=0.1), plateau.transformation)
    step, state = step_of(tx), ja.training.train_state(jnp.asarray(start), tx)
    w = torch.nn.Parameter(torch.tensor(start))
    optimizer = torch.optim.SGD([w], lr=0.1)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    theirs = {name: torch.tensor(array) for name, array in batch.items()}
    for metric in metrics:
        state, _ = step(state, batch, value=metric)
        optimizer.zero_grad()
        loss_fn(w, (), theirs, torch)[0].backward()
        optimizer.step()
        scheduler.step(metric)
        assert float(state.opt_state[1].lr) == scheduler.get_last_lr()[0]
        assert_close(state.params, w.detach().numpy())
    assert float(state.opt_state[1].lr) < 0.1
    unmoved, _ = step(state, batch, value=None)
    assert int(unmoved.opt_state[1].last_epoch) == len(metrics)


def test_a_leftover_batch_is_flushed_inside_the_step():
    start, batch = jax.tree.map(jnp.asarray, regression())
    tx = ja.transforms.accumulate_gradients(ja.optimizers.sgd(lr=0.1), 3)
    step, state = step_of(tx), ja.training.train_state(start, tx)
    steps, before = [], len(compiled)
    for flush in (False, False, False, False, True):
        state, _ = step(state, batch, flush=flush, weight=2.0)
        steps.append(int(state.opt_state.inner_state.step))
    assert steps == [0, 0, 1, 1, 2]
    assert len(compiled) - before == 1
    assert int(state.step) == STEPS


def test_extra_arguments_are_arrays():
    start, batch = regression()
    tx = ja.optimizers.sgd()
    for bad in (len, "text"):
        with pytest.raises(TypeError, match=r"extra argument 'value_fn' .* made of arrays"):
            step_of(tx)(ja.training.train_state(jnp.asarray(start), tx), batch, value_fn=bad)


def test_the_learning_rate_is_a_metric_where_the_state_holds_it():
    """The one that the step used: of one group, of several, of optax's; none of a plain one."""
    lr = ja.schedules.exponential_lr(0.5, 0.5)
    groups, params = ja.optimizers.param_groups, {"a": jnp.ones(2), "b": jnp.ones(2)}
    optax_sgd = optax.inject_hyperparams(optax.sgd)(
        learning_rate=lambda k: 0.5 * jnp.exp2(-k.astype(float))
    )
    two = groups(ja.optimizers.sgd, [{"params": "a", "lr": 0.25}], lr=lr)
    expected = {
        "plain": (ja.optimizers.sgd(lr=lr), {}),
        "one": (groups(ja.optimizers.sgd, [], lr=lr), {"lr": [0.5, 0.25, 0.125]}),
        "two": (two, {"lr/0": [0.25] * 3, "lr/default": [0.5, 0.25, 0.125]}),
        "optax": (optax_sgd, {"lr": [0.5, 0.25, 0.125]}),
        "in a chain": (
            optax.chain(ja.transforms.clip_grad_norm(1.0), groups(ja.optimizers.sgd, [], lr=0.5)),
            {"lr": [0.5] * 3},
        ),
    }

    def squares(params, model_state, batch):
        return jnp.sum(params["a"] ** 2) + jnp.sum(params["b"] ** 2) * batch, (model_state, {})

    for name, (tx, rates) in expected.items():
        state = ja.training.train_state(params, tx)
        step = ja.training.train_step(ja.training.gradients(squares), tx)
        state, history = ja.training.fit(
            step, state, lambda epoch: [jnp.ones(())] * 3, progress=False
        )
        found = {n: v.tolist() for n, v in history.steps.items() if n.startswith("lr")}
        assert found == rates, name


# --- what is compiled, kept and given away ------------------------------------------------------


def model_sharded(mesh):
    return NamedSharding(mesh, P(None, "model"))


@pytest.mark.parametrize("mode", ["jit", "shard_map", "pmap"])
def test_five_steps_are_compiled_once_and_the_state_stays_where_it_is(mode):
    """With a key, a model that holds one, and (but for pmap) weights sharded over another axis."""

    def loss_fn(params, model_state, batch, key):
        noise = jax.random.normal(jax.random.split(model_state["key"])[0], (4,))
        noise = noise + jax.random.normal(key, (4,))
        outputs = batch["x"] @ params["w"] + noise[None]
        state = {"key": model_state["key"], "mean": 0.9 * model_state["mean"] + jnp.mean(outputs)}
        return jnp.mean(outputs**2), (state, {})

    mesh = ja.parallel.make_mesh(None if mode == "pmap" else {"data": 4, "model": 2})
    tx = ja.optimizers.adamw()
    params = {"w": jnp.ones((FEATURES, 4)), "b": jnp.ones(3)}
    if mode != "pmap":
        params["w"] = jax.device_put(params["w"], model_sharded(mesh))
    model_state = {"key": jax.random.key(1), "mean": jnp.zeros(())}
    state = ja.training.train_state(params, tx, model_state, key=jax.random.key(0), mesh=mesh)
    if mode != "pmap":  # train_state has replicated everything
        opt_state = state.opt_state._replace(
            exp_avg=state.opt_state.exp_avg | {"w": place(state.opt_state.exp_avg["w"], mesh)}
        )
        params = state.params | {"w": place(state.params["w"], mesh)}
        state = state._replace(params=params, opt_state=opt_state)
    places = jax.tree.map(lambda x: (x.sharding, x.dtype), state)
    gradient_fn = ja.parallel.data_parallel(ja.training.gradients(loss_fn), mesh, mode=mode)
    step = ja.training.train_step(gradient_fn, tx, max_grad_norm=1.0)
    batch = ja.parallel.shard_batch({"x": regression()[1]["x"]}, mesh)
    before, losses = len(compiled), []
    for _ in range(STEPS):
        given = state
        state, metrics = step(given, batch)
        losses.append(metrics["loss"])
        for leaf, (sharding, dtype) in zip(
            jax.tree.leaves(state), jax.tree.leaves(places, is_leaf=is_place), strict=True
        ):
            assert leaf.dtype == dtype
            assert leaf.sharding.is_equivalent_to(sharding, leaf.ndim)
        assert all(leaf.is_deleted() for leaf in jax.tree.leaves(given.params))
    assert len(compiled) - before == 1
    assert len({float(loss) for loss in losses}) == STEPS
    program = jax.jit(step).lower(state, batch).compile().as_text()
    assert "all-gather" not in program


def place(leaf, mesh):
    return jax.device_put(leaf, model_sharded(mesh))


def is_place(node):
    return isinstance(node, tuple) and len(node) == 2 and hasattr(node[0], "device_set")


@pytest.mark.parametrize("mode", [None, "jit", "shard_map", "pmap"])
def test_a_state_that_moves_to_the_mesh_is_a_warning(mode):
    """And one that is there from the start is not: its step is compiled once."""
    start, batch = jax.tree.map(jnp.asarray, regression())
    tx, mesh = ja.optimizers.adamw(), ja.parallel.make_mesh()
    gradient_fn = ja.training.gradients(loss_fn)
    if mode is None:  # the batch alone is on the mesh
        batch = ja.parallel.shard_batch(batch, mesh)
    else:
        gradient_fn = ja.parallel.data_parallel(gradient_fn, mesh, mode=mode)
    step = ja.training.train_step(gradient_fn, tx)
    with pytest.warns(UserWarning, match=r"on no mesh .*train_state\(\.\.\., mesh=mesh\)"):
        step(ja.training.train_state(start, tx), batch)
    state = ja.training.train_state(start, tx, mesh=mesh)
    before = len(compiled)
    for _ in range(3):
        state, _ = step(state, batch)
    assert len(compiled) - before == 1


def test_the_state_is_donated_and_what_it_was_made_of_survives():
    params, batch = jnp.ones(FEATURES), regression()[1]
    tx = ja.optimizers.adamw()
    for donate in (True, False):
        state = ja.training.train_state(params, tx)
        step_of(tx, donate=donate)(state, batch)
        deleted = [leaf.is_deleted() for leaf in jax.tree.leaves((state.params, state.opt_state))]
        assert deleted == [donate] * len(deleted)
    assert not params.is_deleted()


@jax.tree_util.register_pytree_node_class
class Counting:
    """A part of a state that counts how often Python takes it apart and puts it together."""

    calls = 0

    def __init__(self, value):
        self.value = value

    def tree_flatten(self):
        Counting.calls += 1
        return (self.value,), None

    @classmethod
    def tree_unflatten(cls, _, children):
        Counting.calls += 1
        return cls(*children)


def test_a_step_walks_its_state_as_often_as_a_compiled_function():
    """Python's part of a call: a model's variables take as long to walk as a small step."""
    tx = ja.optimizers.sgd()
    step = ja.training.train_step(
        ja.training.gradients(lambda params, state, batch: (jnp.sum(params * batch), (state, {}))),
        tx,
        donate=False,
    )
    state = ja.training.train_state(jnp.ones(2), tx, Counting(jnp.ones(3)))
    calls = []
    for run in (step, jax.jit(step)):
        run(state, jnp.ones(2))
        before = Counting.calls
        run(state, jnp.ones(2))
        calls.append(Counting.calls - before)
    assert calls == [2, 2]


def test_a_state_that_comes_back_in_another_structure_is_refused():
    def update(updates, state, params=None, **extra):
        return updates, (state, state)

    tx = optax.GradientTransformationExtraArgs(lambda params: jnp.zeros(()), update)
    start, batch = jax.tree.map(jnp.asarray, regression())
    with pytest.raises(TypeError, match=r"in another structure .*return what init returns"):
        step_of(tx)(ja.training.train_state(start, tx), batch)


def test_one_step_serves_states_of_other_structures_and_places():
    """One after the other, and back again: each has its own program."""
    tx, mesh = ja.optimizers.sgd(), ja.parallel.make_mesh()

    def squares(params, model_state, batch):
        return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(params)) * batch, (model_state, {})

    step = ja.training.train_step(ja.training.gradients(squares), tx, donate=False)
    one, two = jnp.ones(2), {"a": jnp.ones(2), "b": jnp.ones(2)}
    states = [ja.training.train_state(params, tx) for params in (one, two)]
    states.append(ja.training.train_state(two, tx, mesh=mesh))
    before = len(compiled)
    for state in states * 2:
        found, _ = step(state, jnp.ones(()))
        assert jax.tree.structure(found) == jax.tree.structure(state)
        for leaf, old in zip(jax.tree.leaves(found), jax.tree.leaves(state), strict=True):
            assert leaf.sharding.is_equivalent_to(old.sharding, leaf.ndim)
    assert len(compiled) - before == len(states)


def test_a_state_prints_in_brief_and_counts_its_steps():
    tx = ja.optimizers.adamw()
    state = ja.training.train_state({f"w{i}": jnp.ones((100, 100)) for i in range(40)}, tx)
    assert "400,000" in repr(state)
    assert len(repr(state)) < 1000


def test_a_key_must_be_a_typed_one():
    with pytest.raises(TypeError, match=r"typed key.*jax.random.key\(seed\)"):
        ja.training.train_state(jnp.ones(2), ja.optimizers.sgd(), key=jax.random.PRNGKey(0))


def test_a_step_inside_a_scan_equals_steps_by_themselves():
    start, batch = jax.tree.map(jnp.asarray, regression())
    tx = ja.optimizers.adamw()
    step, state = step_of(tx, donate=False), ja.training.train_state(start, tx)
    together, _ = jax.lax.scan(lambda s, _: step(s, batch), state, length=3)
    for _ in range(3):
        state, _ = step(state, batch)
    assert int(together.step) == int(state.step) == 3
    assert_close(together.params, state.params)


def test_of_several_processes_each_must_hand_in_its_part(monkeypatch):
    start, batch = regression()
    tx = ja.optimizers.sgd()
    state = ja.training.train_state(jnp.asarray(start), tx)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(ValueError, match=r"state.params is an array of process 0 alone.*mesh=mesh"):
        step_of(tx)(state, batch)
    state = state._replace(params=())
    with pytest.raises(ValueError, match=r"batch\['mask'\] is an array of process 0 .*shard_batch"):
        step_of(tx)(state, batch)


# --- what a loss function returns ---------------------------------------------------------------


def complex_loss(params, batch):
    """Return a loss of complex weights without a mix of real and complex types."""
    outputs = batch["x"].astype(complex) @ params
    return (outputs.real**2).mean() + ((outputs.imag - batch["y"]) ** 2).mean()


def test_complex_parameters_descend_as_in_pytorch():
    _, batch = regression()
    rng = np.random.default_rng(1)
    start = rng.normal(size=FEATURES) + 1j * rng.normal(size=FEATURES)
    tx = ja.optimizers.sgd(lr=0.1)
    gradient_fn = ja.training.gradients(lambda p, s, b: (complex_loss(p, b), (s, {})))
    step = ja.training.train_step(gradient_fn, tx)
    state = ja.training.train_state(jnp.asarray(start), tx)
    w = torch.nn.Parameter(torch.tensor(start))
    optimizer = torch.optim.SGD([w], lr=0.1)
    x, y = torch.tensor(batch["x"]), torch.tensor(batch["y"])
    for _ in range(STEPS):
        state, _ = step(state, jax.tree.map(jnp.asarray, batch))
        outputs = x.to(torch.complex128) @ w
        optimizer.zero_grad()
        ((outputs.real**2).mean() + ((outputs.imag - y) ** 2).mean()).backward()
        optimizer.step()
        assert_close(state.params, w.detach().numpy())


RETURNS = {
    "loss": (ValueError, lambda x: (x, ((), {"loss": x})), r"metric 'loss', which is the step's"),
    "lr": (ValueError, lambda x: (x, ((), {"lr/body": x})), r"metric 'lr/body'"),
    "skipped": (ValueError, lambda x: (x, ((), {"skipped": x})), r"metric 'skipped'"),
    "count": (TypeError, lambda x: (x, ((), {"count": 3})), r"'count' must be a floating.*int"),
    "form": (TypeError, lambda x: (x, ()), r"must return \(loss, \(model_state, metrics\)\)"),
    "shape": (TypeError, lambda x: (x[None], ((), {})), r"one real floating-point.*\(1,\).*mean"),
}


@pytest.mark.parametrize("case", RETURNS)
def test_a_wrong_return_is_named(case):
    error, returned, text = RETURNS[case]
    gradient_fn = ja.training.gradients(lambda params, model_state, batch: returned(params * batch))
    with pytest.raises(error, match=text):
        gradient_fn(jnp.ones(()), (), jnp.ones(()))


def test_a_loss_function_is_not_a_gradient_function():
    takers = {
        "train_step": lambda f: ja.training.train_step(f, ja.optimizers.sgd()),
        "accumulate": lambda f: ja.training.accumulate(f, 2),
        "data_parallel": lambda f: ja.parallel.data_parallel(f, ja.parallel.make_mesh()),
    }
    for name, take in takers.items():
        with pytest.raises(TypeError, match=rf"{name} takes a gradient.*training.gradients\(loss_"):
            take(loss_fn)
        take(ja.training.gradients(loss_fn))
        take(functools.partial(ja.training.gradients(loss_fn)))

"""Parameter groups against one ``torch.optim`` object with the same groups."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from flax import nnx

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_same_path
from parity_tests.harness.compiled import FAST_COMPILE
from parity_tests.harness.optimizer import (
    SEEDS,
    STEPS,
    in_full_precision,
    lookup,
    oracle_of,
    to_jax,
    to_numpy,
    to_torch,
    torch_state,
    values_at,
)
from parity_tests.optimizers.rows_hyperparameters import decaying
from parity_tests.optimizers.rows_param_groups import CASES, SHAPES

rows = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
param_groups = ja.optimizers.param_groups


def problem(case, seed, dtype="float64"):
    """Return parameters and gradients (a leading axis of steps), as ``dtype`` rounds them."""
    rng = np.random.default_rng(seed)
    shapes = case.options.get("shapes", SHAPES)
    params = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    grads = {name: 0.5 * rng.normal(size=(STEPS, *shape)) for name, shape in shapes.items()}
    return [
        {name: to_numpy(to_torch(leaf, dtype)) for name, leaf in part.items()}
        for part in (params, grads)
    ]


def transform_of(case):
    groups, *defaults = case.kwargs.items()
    own = {"layout": case.options["layout"]} if "layout" in case.options else {}
    return param_groups(lookup("jaxaccel", case.function), groups[1], **dict(defaults), **own)


def torch_groups(case, tensors, step):
    """Return PyTorch's list of groups, schedules read at ``step``, and the defaults."""
    defaults = {name: value for name, value in case.kwargs.items() if name != "groups"}
    groups = [
        values_at({name: v for name, v in group.items() if name != "params"}, step)
        for group in [*case.kwargs["groups"], {}]
    ]
    for group, leaves in zip(groups, case.options["leaves"], strict=True):
        group["params"] = [tensors[name] for name in leaves]
    return groups, values_at(defaults, step)


def run_torch(case, params, grads, dtype):
    """Return the parameters after each step, and the last state."""
    tensors = {name: torch.nn.Parameter(to_torch(leaf, dtype)) for name, leaf in params.items()}
    groups, defaults = torch_groups(case, tensors, 0)
    optimizer = oracle_of(case)(groups, **defaults)
    moved = [{name: to_numpy(p) for name, p in tensors.items()}]
    for step in range(STEPS):
        groups, defaults = torch_groups(case, tensors, step)
        for live, group in zip(optimizer.param_groups, groups, strict=True):
            live.update({**defaults, **group})
        for name, p in tensors.items():
            p.grad = to_torch(grads[name][step], dtype)
        with in_full_precision(case, dtype):
            optimizer.step()
        moved.append({name: to_numpy(p) for name, p in tensors.items()})
    return {name: np.stack([m[name] for m in moved]) for name in moved[0]}, torch_state(
        optimizer, tensors
    )


def run_jax(case, params, grads, dtype):
    """Return the parameters after each step, and the last state."""
    tx = transform_of(case)
    params, grads = (
        {name: to_jax(leaf, dtype) for name, leaf in part.items()} for part in (params, grads)
    )

    def body(carry, step_grads):
        params, state = carry
        updates, state = tx.update(step_grads, state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), params

    @jax.jit
    def scan(params, grads):
        (_, state), moved = jax.lax.scan(body, (params, tx.init(params)), grads)
        return moved, state

    with in_full_precision(case, dtype):
        moved, state = jax.jit(scan, compiler_options=FAST_COMPILE)(params, grads)
    return {
        name: np.concatenate([params[name][None], moved[name]]).astype(np.float64)
        for name in params
    }, state


@pytest.mark.parity
@rows
def test_float64_run_equals_pytorch_at_every_step(case):
    params, grads = problem(case, seed=0)
    judge, judge_state = run_torch(case, params, grads, "float64")
    run, state = run_jax(case, params, grads, "float64")
    for name, expected in judge.items():
        assert_same_path(run[name], expected, what=name)
    for field, leaves in judge_state.items():
        for name, expected in leaves.items():
            found = field_of(case, state, field, name)
            error = np.max(np.abs(found - expected))
            assert error <= tol.FLOAT64_OF_FIELD * np.max(np.abs(expected)), f"{field}/{name}"


def field_of(case, state, field, name):
    """Return a leaf of a field from the state of the group that owns it."""
    owner = next(i for i, leaves in enumerate(case.options["leaves"]) if name in leaves)
    value = getattr(state.inner_states[owner], field)
    return np.asarray(value[name] if isinstance(value, dict) else value)


@rows
def test_float32_run_is_no_worse_than_pytorch(case):
    """With x64 off the hyperparameters in the state are float32: decay factors must not suffer."""
    ours, theirs = [], []
    for seed in range(SEEDS):
        params, grads = problem(case, seed, "float32")
        judge, _ = run_torch(case, params, grads, "float64")
        pytorch, _ = run_torch(case, params, grads, "float32")
        with jax.enable_x64(False):
            run, _ = run_jax(case, params, grads, "float32")
        ours.append(np.concatenate([(run[n] - judge[n]).reshape(STEPS + 1, -1) for n in judge], 1))
        theirs.append(
            np.concatenate([(pytorch[n] - judge[n]).reshape(STEPS + 1, -1) for n in judge], 1)
        )
    for t in (1, 10, STEPS):
        own, allowed = (np.sqrt(np.mean(np.stack(e)[:, t] ** 2)) for e in (ours, theirs))
        assert own <= tol.OWN_ERROR_RATIO * allowed, f"step {t}: {own / allowed:.2f}"


# --- setting and reading ------------------------------------------------------------------------

PARAMS = {
    "a": {"kernel": np.full((3, 4), 0.5), "bias": np.full(4, -0.5)},
    "b": {"kernel": np.full((4, 2), 2.0), "scale": np.full(2, 1.5)},
}


def params_of():
    return jax.tree.map(jnp.asarray, PARAMS)


def adamw_groups(**defaults):
    return param_groups(
        ja.optimizers.adamw,
        [
            {"params": ja.optimizers.no_decay, "weight_decay": 0.0},
            {"params": r"^a\.", "lr": decaying, "betas": (decaying, 0.95)},
        ],
        **{"lr": 0.01, **defaults},
    )


def test_changes_between_steps_are_pytorchs_and_compile_nothing():
    """``set_hyperparams`` beside writing into ``optimizer.param_groups``."""
    tx, params = adamw_groups(), params_of()
    state, traces = tx.init(params), []

    @jax.jit
    def step(params, state, grads):
        traces.append(1)
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    leaves = {"a.bias": 0, "b.scale": 0, "a.kernel": 1, "b.kernel": 2}
    tensors = {name: torch.nn.Parameter(torch.tensor(PARAMS[name[0]][name[2:]])) for name in leaves}
    optimizer = torch.optim.AdamW(
        [
            {"params": [tensors[name] for name in leaves if leaves[name] == group], **own}
            for group, own in enumerate([{"weight_decay": 0.0}, {}, {}])
        ],
        lr=0.01,
    )
    changes = {
        2: (0, {"lr": 0.5, "betas": (0.7, 0.99999)}),
        4: (None, {"weight_decay": 0.3, "eps": 1e-4}),
        5: (-1, {"betas": (None, 0.9), "lr": 0.25}),
    }
    for k in range(8):
        if k in changes:
            group, values = changes[k]
            state = ja.optimizers.set_hyperparams(state, group, **values)
            for live in (
                optimizer.param_groups if group is None else [optimizer.param_groups[group]]
            ):
                old = live["betas"]
                live.update(values)
                live["betas"] = tuple(
                    o if new is None else new for o, new in zip(old, live["betas"], strict=True)
                )
        optimizer.param_groups[1].update(lr=decaying(k), betas=(decaying(k), 0.95))
        assert_reads(state, optimizer.param_groups)
        grads = {
            name: np.cos(k + np.arange(p.numel()).reshape(p.shape)) for name, p in tensors.items()
        }
        for name, p in tensors.items():
            p.grad = torch.tensor(grads[name])
        optimizer.step()
        tree = {
            part: {n: jnp.asarray(grads[f"{part}.{n}"]) for n in PARAMS[part]} for part in PARAMS
        }
        params, state = step(params, state, tree)
        for name, p in tensors.items():
            expected = to_numpy(p)
            error = np.max(np.abs(params[name[0]][name[2:]] - expected))
            assert error <= tol.CONTRACT_FLOAT64_OF_MAX * np.max(np.abs(expected)), f"{name}, {k}"
    assert len(traces) == step._cache_size() == 1


def assert_reads(state, groups):
    """Assert that the values in force are PyTorch's."""
    for found, group in zip(ja.optimizers.get_hyperparams(state), groups, strict=True):
        del found["name"]
        for name, value in found.items():
            assert type(value) in (float, tuple)
            assert value == pytest.approx(group[name], rel=tol.CONTRACT_FLOAT64_OF_MAX)


def test_state_is_found_inside_a_chain_and_a_train_state():
    tx = optax.chain(ja.transforms.clip_grad_norm(1.0), adamw_groups())
    train_state = ja.training.train_state(params_of(), tx)
    changed = ja.optimizers.set_hyperparams(train_state, group=2, lr=0.125)
    assert jax.tree.structure(changed) == jax.tree.structure(train_state)
    assert ja.optimizers.get_hyperparams(changed)[2]["lr"] == 0.125
    assert (
        ja.optimizers.get_hyperparams(changed)[0] == ja.optimizers.get_hyperparams(train_state)[0]
    )


def test_get_and_set_under_a_trace():
    tx, params = adamw_groups(), params_of()

    @jax.jit
    def halve(state):
        lr = ja.optimizers.get_hyperparams(state)[0]["lr"]
        return ja.optimizers.set_hyperparams(state, 0, lr=lr / 2)

    state = halve(tx.init(params))
    assert ja.optimizers.get_hyperparams(state)[0]["lr"] == pytest.approx(0.005)


@pytest.mark.parametrize("under_jit", [False, True])
def test_state_structure_is_the_same_after_init_update_and_set(under_jit):
    tx, params = adamw_groups(), params_of()
    wrap = jax.jit if under_jit else lambda function: function
    state = wrap(tx.init)(params)
    _, updated = wrap(tx.update)(params, state, params)
    changed = ja.optimizers.set_hyperparams(updated, 0, lr=0.1)
    for other in (updated, changed):
        assert jax.tree.map(lambda leaf: leaf.aval, state) == jax.tree.map(
            lambda leaf: leaf.aval, other
        )


def test_decay_factor_keeps_its_digits_in_float32():
    """0.99999 as a float32 would leave 1 - beta2 with an error of 1.4e-3."""
    with jax.enable_x64(False):
        tx = param_groups(ja.optimizers.adam, [], betas=(0.9, 0.99999))
        state = tx.init(jnp.ones(3))
        assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(state.hyperparams))
        _, state = tx.update(jnp.full(3, 2.0), state, jnp.ones(3))
        found = np.float64(state.inner_states[0].exp_avg_sq[0])
    assert abs(found / (4 * (1 - 0.99999)) - 1) <= tol.FLOAT32_ONE_STEP


# --- one's own optimizer ------------------------------------------------------------------------


def lion(
    lr: ja.optimizers.Hyperparameter = 1e-4,
    betas: tuple[ja.optimizers.DecayFactor, ja.optimizers.DecayFactor] = (0.9, 0.99),
    momentum: ja.optimizers.BufferDecay = 0.0,
    *,
    nesterov: bool = False,
):
    """A user's own factory, which computes with what it is given as with numbers.

    Not the published algorithm: a step along the average, to see every digit of the factors.
    """
    del nesterov

    def at(value, step):
        return value(step) if callable(value) else value

    def init(params):
        none = isinstance(momentum, float) and momentum == 0.0
        zeros = jax.tree.map(jnp.zeros_like, params)
        return {"step": jnp.int32(0), "average": zeros, "buffer": None if none else zeros}

    def update(grads, state, params=None):
        del params
        beta1, beta2 = (at(beta, state["step"]) for beta in betas)

        def average(beta, old, new):
            return old * beta + (1 - beta) * new

        moved = jax.tree.map(lambda m, g: average(beta2, m, g), state["average"], grads)
        rate = at(lr, state["step"])
        updates = jax.tree.map(lambda m, g: -rate * average(beta1, m, g), state["average"], grads)
        return updates, {**state, "step": state["step"] + 1, "average": moved}

    return optax.GradientTransformation(init, update)


def test_ones_own_optimizer_takes_part():
    """Numbers to read, set and schedule, the digits of its factors, and its buffer."""
    groups = [{"params": "bias|scale", "lr": decaying, "betas": (0.5, 0.99999), "momentum": 0.5}]
    with jax.enable_x64(False):
        tx, params = param_groups(lion, groups, lr=0.5), jax.tree.map(jnp.float32, PARAMS)
        state = tx.init(params)
        for k in range(2):
            first, default = ja.optimizers.get_hyperparams(state)
            assert first["lr"] == pytest.approx(decaying(k))
            assert (first["betas"][0], default["lr"]) == (0.5, 0.5)
            assert ("momentum" in first, "momentum" in default) == (True, False)
            state = ja.optimizers.set_hyperparams(state, "default", betas=(None, 0.9999))
            updates, state = tx.update(params, state, params)
        assert state.inner_states[1]["buffer"] is None
        assert state.inner_states[0]["buffer"] is not None
    for index, beta, leaf in ((0, 0.99999, ("b", "scale")), (1, 0.9999, ("b", "kernel"))):
        part, name = leaf
        found = np.float64(state.inner_states[index]["average"][part][name])
        expected = (1 - beta) * (1 + beta) * PARAMS[part][name]
        error = np.max(np.abs(found - expected))
        assert error <= tol.FLOAT32_ONE_STEP * np.max(np.abs(expected))
        assert np.all(updates[part][name] < 0)


def test_ones_own_optimizer_computes_the_same_alone():
    params = params_of()
    alone, grouped = lion(0.25, (0.75, 0.5)), param_groups(lion, [], lr=0.25, betas=(0.75, 0.5))
    states = alone.init(params), grouped.init(params)
    for _ in range(3):
        steps = [tx.update(params, s) for tx, s in zip((alone, grouped), states, strict=True)]
        states = [state for _, state in steps]
        jax.tree.map(np.testing.assert_array_equal, steps[0][0], steps[1][0])


def test_a_partial_call_of_an_optimizer():
    tx = param_groups(functools.partial(ja.optimizers.adam, amsgrad=True), [], lr=0.5)
    state = tx.init(params_of())
    assert ja.optimizers.get_hyperparams(state)[0]["lr"] == 0.5
    assert state.inner_states[0].max_exp_avg_sq is not None


def silent(lr=0.1, betas: tuple[float, float] = (0.9, 0.99)):
    return ja.optimizers.adam(lr, betas)


def unreadable(lr: "ja.optimizers.Hyperparameter" = 0.1, other: "Nowhere" = 0):  # noqa: F821
    return ja.optimizers.sgd(lr)


# --- choosing -----------------------------------------------------------------------------------


def owners(groups, params=None):
    """Return the group of every leaf, seen by the learning rate that moved it."""
    params = params_of() if params is None else params
    numbered = [{"lr": float(index + 1), **group} for index, group in enumerate(groups)]
    tx = param_groups(ja.optimizers.sgd, numbered, lr=float(len(groups) + 1))
    ones = jax.tree.map(jnp.ones_like, params)
    updates, _ = tx.update(ones, tx.init(params), params)
    return jax.tree.map(lambda leaf: -int(leaf.reshape(-1)[0]) - 1, updates)


MASK = {"a": {"kernel": False, "bias": True}, "b": {"kernel": True, "scale": False}}
CHOICES = {
    "regular expression": ("kernel", [[0, 1], [0, 1]]),
    "compiled": (re.compile("KERNEL", re.I), [[0, 1], [0, 1]]),
    "anchored": (r"^a\.bias$", [[1, 0], [1, 1]]),
    "predicate": (lambda path, leaf: leaf.ndim == 2 and path.startswith("b"), [[1, 1], [0, 1]]),
    "no decay": (ja.optimizers.no_decay, [[1, 0], [1, 0]]),
    "mask": (MASK, [[1, 0], [0, 1]]),
    "prefix of a mask": ({"a": True, "b": False}, [[0, 0], [1, 1]]),
    "everything": ("", [[0, 0], [0, 0]]),
}


@pytest.mark.parametrize("choice", CHOICES)
def test_params_are_chosen(choice):
    selector, expected = CHOICES[choice]
    found = owners([{"params": selector}])
    assert [[found[part][n] for n in PARAMS[part]] for part in PARAMS] == expected


def test_first_match_wins():
    found = owners([{"params": "bias|scale"}, {"params": "^a"}, {"params": "kernel"}])
    assert found == {"a": {"kernel": 1, "bias": 0}, "b": {"kernel": 2, "scale": 0}}


def test_paths_of_nnx_have_no_trailing_value():
    model = nnx.Sequential(nnx.Linear(2, 3, rngs=nnx.Rngs(0)), nnx.Linear(3, 1, rngs=nnx.Rngs(0)))
    params = nnx.state(model, nnx.Param)
    found = owners([{"params": r"^layers\.1\.(kernel|bias)$"}], params)
    assert jax.tree.leaves(found) == [1, 1, 0, 0]


def test_stacked_biases_and_scales_do_not_decay():
    for path, shape, expected in [
        ("bias", (12, 64), True),
        ("blocks.scale", (12, 64), True),
        ("blocks.unbias", (12, 64), False),
        ("kernel", (3, 4), False),
        ("temperature", (), True),
        ("anything", (7,), True),
    ]:
        assert ja.optimizers.no_decay(path, jnp.zeros(shape)) is expected


def test_frozen_leaf_in_a_group():
    tx, params = adamw_groups(), params_of()
    grads = {**params, "a": {"kernel": params["a"]["kernel"], "bias": None}}
    state = tx.init(params)
    updates, state = tx.update(grads, state, params)
    assert np.array_equal(params["a"]["bias"] + updates["a"]["bias"], params["a"]["bias"])
    assert not np.any(state.inner_states[0].exp_avg["a"]["bias"])
    assert np.any(state.inner_states[0].exp_avg["b"]["scale"])


def test_sparse_gradients_in_a_group():
    """Two tables with learning rates of their own; one row of each moves."""
    tx = param_groups(ja.optimizers.sparse_adam, [{"params": "small", "lr": 0.1}], lr=0.2)
    params = {"small": jnp.ones((4, 2)), "large": jnp.ones((6, 2))}
    rows_of = ja.optimizers.SparseRows(jnp.array([1]), jnp.ones((1, 2)))
    updates, _ = tx.update({"small": rows_of, "large": rows_of}, tx.init(params), params)
    moved = ja.optimizers.apply_sparse_updates(params, updates)
    assert np.allclose(moved["small"][1], 0.9)
    assert np.allclose(moved["large"][1], 0.8)
    assert np.array_equal(moved["large"][0], params["large"][0])


# --- errors -------------------------------------------------------------------------------------


def state_of():
    return adamw_groups().init(params_of())


WRONG = {
    "matches nothing": (
        lambda: param_groups(ja.optimizers.sgd, [{"params": "gamma"}]).init(params_of()),
        ["'gamma'", "a.bias, a.kernel, b.kernel, b.scale"],
    ),
    "nothing is left": (
        lambda: owners([{"params": ""}, {"params": "bias"}]),
        ["'bias'", "earlier"],
    ),
    "no params": (lambda: param_groups(ja.optimizers.sgd, [{"lr": 1.0}]), ["group 0", '"params"']),
    "unknown argument": (
        lambda: param_groups(ja.optimizers.sgd, [{"params": "", "beta": 1.0}]),
        ["sgd()", "'beta'"],
    ),
    "hyperparameter of a group": (
        lambda: param_groups(ja.optimizers.adam, [{"params": "", "betas": (0.9, 1.0)}]),
        ["Invalid beta parameter at index 1: 1.0"],
    ),
    "default": (lambda: param_groups(ja.optimizers.adam, [], lr=-1.0), ["learning rate: -1.0"]),
    "lbfgs": (
        lambda: param_groups(ja.optimizers.lbfgs, []),
        ["LBFGS doesn't support per-parameter options (parameter groups)"],
    ),
    "a partial call of lbfgs": (
        lambda: param_groups(functools.partial(ja.optimizers.lbfgs, max_iter=5), []),
        ["LBFGS doesn't support per-parameter options (parameter groups)"],
    ),
    "an optimizer that says nothing": (
        lambda: param_groups(silent, [], lr=0.1),
        ["silent does not say", "def silent(lr: ja.optimizers.Hyperparameter"],
    ),
    "an optimizer of another library": (
        lambda: param_groups(optax.adam, [], learning_rate=0.1),
        ["adam does not say", "another library"],
    ),
    "annotations that cannot be read": (
        lambda: param_groups(unreadable, []),
        ["unreadable", "Nowhere", "TYPE_CHECKING"],
    ),
    "scheduled": (
        lambda: ja.optimizers.set_hyperparams(state_of(), 1, lr=0.1),
        ["lr", "driven by a schedule", "0.1"],
    ),
    "scheduled in all groups": (
        lambda: ja.optimizers.set_hyperparams(state_of(), lr=0.1),
        ["lr", "driven by a schedule"],
    ),
    "scheduled in a tuple": (
        lambda: ja.optimizers.set_hyperparams(state_of(), 1, betas=(0.9, 0.9)),
        ["betas[0]", "driven by a schedule"],
    ),
    "to a schedule": (
        lambda: ja.optimizers.set_hyperparams(state_of(), 0, lr=decaying),
        ["lr", "not a schedule"],
    ),
    "to a text": (lambda: ja.optimizers.set_hyperparams(state_of(), 0, lr="x"), ["lr", "'x'"]),
    "one for a pair": (
        lambda: ja.optimizers.set_hyperparams(state_of(), 0, betas=0.9),
        ["betas", "tuple of 2", "0.9"],
    ),
    "unknown name": (
        lambda: ja.optimizers.set_hyperparams(state_of(), 0, rho=0.9),
        ["'rho'", "weight_decay"],
    ),
    "momentum that was zero": (
        lambda: ja.optimizers.set_hyperparams(
            param_groups(ja.optimizers.sgd, []).init(params_of()), momentum=0.9
        ),
        ["'momentum'", "number 0"],
    ),
    "a number for a pattern": (
        lambda: param_groups(ja.optimizers.sgd, [{"params": 3}]),
        ["group 0", "params", "got 3", "regular expression"],
    ),
    "a pattern that does not compile": (
        lambda: param_groups(ja.optimizers.sgd, [{"params": "("}]),
        ["group 0", "params", "'('", "re.escape"],
    ),
    "the parameters themselves": (
        lambda: param_groups(ja.optimizers.sgd, [{"params": params_of()}]),
        ["group 0", "params", "regular expression"],
    ),
    "a mask of another structure": (
        lambda: param_groups(ja.optimizers.sgd, [{"params": {"x": True}}]).init(params_of()),
        ["mask", "does not fit", "paths are"],
    ),
    "one group without a list": (
        lambda: param_groups(ja.optimizers.sgd, {"params": "bias"}),
        ["groups", "tuple of mappings", "{'params': 'bias'}"],
    ),
    "arrays for groups": (
        lambda: param_groups(ja.optimizers.sgd, list(jax.tree.leaves(params_of()))),
        ["groups", "tuple of mappings"],
    ),
    "group too far": (
        lambda: ja.optimizers.set_hyperparams(state_of(), 3, lr=0.1),
        ["between -3 and 2", "3", "'default'"],
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_error_names_the_value_and_the_remedy(wrong):
    call, fragments = WRONG[wrong]
    with pytest.raises((ValueError, TypeError)) as raised:
        call()
    for fragment in fragments:
        assert fragment in str(raised.value), str(raised.value)

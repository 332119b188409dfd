"""Diagonal Newton against its formula and against SGD; the Hessian's diagonal against PyTorch's."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

import jaxaccel as ja
import torch_ref
from parity_tests import tolerances as tol
from parity_tests.harness.compare import (
    assert_no_shared_buffers,
    assert_rounded_once,
    assert_same_tree,
    largest,
)
from parity_tests.harness.compiled import FAST_COMPILE, shared
from parity_tests.harness.errors import raised_by
from parity_tests.harness.optimizer import (
    COMPLEX,
    FROZEN,
    LOW_LEAF,
    STEPS,
    Run,
    assert_same_run_in_float64,
    fields_of,
    lookup,
    problem,
    to_jax,
    to_numpy,
    to_torch,
    torch_state,
    values_at,
)
from parity_tests.optimizers.rows_diagonal_newton import CASES
from parity_tests.optimizers.rows_errors import CLOTHES, NO_NUMBERS

FIELD = "hessian_diagonal"
REAL = {"real_only": "a complex parameter has no Hessian diagonal here"}
DEFAULTS = {"lr": 1.0, "damping": 1e-4, "beta": 0.0}

rows = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)


# --- the update: parity with the formula --------------------------------------------------------


def curved_problem(case, seed):
    """Return parameters, gradients and diagonals by step, some of them negative."""
    case = case._replace(options=REAL)
    params, grads = problem(case, seed)
    _, diagonals = problem(case, 100 + seed)
    assert COMPLEX not in params
    return params, grads, diagonals


def run_formula(case, params, grads, diagonals):
    """Return the run that the documented formula makes in float64."""
    moved, averages = [params], []
    average = {name: np.zeros_like(p) for name, p in params.items() if name != FROZEN}
    for t in range(STEPS):
        values = DEFAULTS | values_at(case.kwargs, t)
        lr, damping, beta = (float(values[name]) for name in DEFAULTS)
        next_params = {FROZEN: params[FROZEN]}
        for name in average:
            average[name] = beta * average[name] + (1 - beta) * diagonals[name][t]
            curvature = np.abs(average[name]) / -math.expm1((t + 1) * log(beta))
            next_params[name] = params[name] - lr * grads[name][t] / (curvature + damping)
        params = next_params
        moved.append(params)
        averages.append(dict(average))
    state = {FIELD: {name: np.stack([a[name] for a in averages]) for name in average}}
    return Run(
        {name: np.stack([m[name] for m in moved]) for name in params},
        state if case.kwargs.get("beta", 0) else {},
        {},
    )


def log(beta):
    return math.log(beta) if beta else -math.inf


def numbers(tree):
    """Return named JAX arrays in float64."""
    return {name: np.asarray(x).astype(np.float64) for name, x in tree.items()}


def scan(tx, frozen):
    """Return a function of parameters and {leaf: (gradients, diagonals)} that scans a run."""

    def body(carry, step):
        params, state = carry
        grads, diagonals = step
        none = dict.fromkeys(frozen)
        updates, state = tx.update(grads | none, state, params, hessian_diagonal=diagonals | none)
        params = {name: p + updates[name] for name, p in params.items()}
        return (params, state), (params, state, updates)

    return lambda params, steps: jax.lax.scan(body, (params, tx.init(params)), steps)[1]


def run_jax(case, parts, dtype):
    params, grads, diagonals = parts
    tx = lookup("jaxaccel", case.function)(**case.kwargs)
    start = {name: to_jax(p, dtype) for name, p in params.items()}
    steps = [
        {name: to_jax(x, dtype) for name, x in part.items() if x is not None}
        for part in (grads, diagonals)
    ]
    moved, states, updates = shared(scan(tx, [FROZEN]))(start, steps)
    assert np.array_equal(states.step, 1 + np.arange(STEPS))
    assert all(moved[name].dtype == dtype and updates[name].dtype == dtype for name in params)
    params = {
        name: np.concatenate([numbers(start)[name][None], x]) for name, x in numbers(moved).items()
    }
    fields = {field: numbers(x) for field, x in fields_of(states, steps[0]).items()}
    return Run(params, fields, numbers(updates))


@pytest.mark.parity
@rows
def test_float64_run_equals_the_formula_at_every_step(case):
    parts = curved_problem(case, seed=0)
    run = run_jax(case, parts, "float64")
    assert_same_run_in_float64(case, run, run_formula(case, *parts), state_offset=0)
    assert np.array_equal(run.params[FROZEN][-1], parts[0][FROZEN])


@rows
def test_torch_ref_equals_the_formula_at_every_step(case):
    """A real optimizer of PyTorch, whose groups' numbers are set before each step."""
    params, grads, diagonals = parts = curved_problem(case, seed=0)
    tensors = {name: torch.nn.Parameter(torch.tensor(p)) for name, p in params.items()}
    optimizer = torch_ref.optimizers.DiagonalNewton(tensors.values(), **values_at(case.kwargs, 0))
    moved, states = [{name: to_numpy(p) for name, p in tensors.items()}], []
    for t in range(STEPS):
        optimizer.param_groups[0].update(values_at(case.kwargs, t))
        for name, p in tensors.items():
            p.grad = None if grads[name] is None else torch.tensor(grads[name][t])
        curvature = [None if x is None else torch.tensor(x[t]) for x in diagonals.values()]
        optimizer.step(hessian_diagonal=curvature)
        moved.append({name: to_numpy(p) for name, p in tensors.items()})
        states.append(torch_state(optimizer, tensors))
    run = Run(
        {name: np.stack([m[name] for m in moved]) for name in params},
        {
            field: {name: np.stack([s[field][name] for s in states]) for name in leaves}
            for field, leaves in states[-1].items()
        },
        {},
    )
    assert_same_run_in_float64(case, run, run_formula(case, *parts), state_offset=0)
    assert np.array_equal(run.params[FROZEN][-1], params[FROZEN])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@rows
def test_low_precision_steps_are_the_formula_rounded_once(case, dtype):
    """Each from the state that the run has reached, with 64-bit mode off.

    One leaf of many elements: in a single number the terms of an average can cancel.
    """
    parts = [
        {
            LOW_LEAF: to_numpy(to_torch(part[LOW_LEAF], dtype)),
            FROZEN: None if part[FROZEN] is None else to_numpy(to_torch(part[FROZEN], dtype)),
        }
        for part in curved_problem(case, seed=1)
    ]
    params, grads, diagonals = parts
    with jax.enable_x64(False):
        run = run_jax(case, parts, dtype)
    average = np.zeros_like(params[LOW_LEAF])
    for t in range(STEPS):
        values = DEFAULTS | values_at(case.kwargs, t)
        lr, damping, beta = (float(values[name]) for name in DEFAULTS)
        expected = beta * average + (1 - beta) * diagonals[LOW_LEAF][t]
        curvature = np.abs(expected) / -math.expm1((t + 1) * log(beta))
        update = -lr * grads[LOW_LEAF][t] / (curvature + damping)
        assert_rounded_once(run.updates[LOW_LEAF][t], update, dtype, tol.FLOAT32_ONE_STEP)
        if run.state:
            average = run.state[FIELD][LOW_LEAF][t]
            assert_rounded_once(average, expected, dtype, tol.FLOAT32_ONE_STEP)


def test_with_unit_curvature_it_is_sgd():
    case = CASES[0]._replace(kwargs={"lr": 0.1, "damping": 0.0, "beta": 0.9})
    params, grads, _ = curved_problem(case, seed=2)
    ones = {name: None if g is None else np.ones_like(g) for name, g in grads.items()}
    run = run_jax(case, (params, grads, ones), "float64")
    tensors = {name: torch.nn.Parameter(torch.tensor(p)) for name, p in params.items()}
    optimizer = torch.optim.SGD(tensors.values(), lr=0.1)
    moved = [{name: to_numpy(p) for name, p in tensors.items()}]
    for t in range(STEPS):
        for name, p in tensors.items():
            p.grad = None if grads[name] is None else torch.tensor(grads[name][t])
        optimizer.step()
        moved.append({name: to_numpy(p) for name, p in tensors.items()})
    judge = Run({name: np.stack([m[name] for m in moved]) for name in params}, {}, {})
    assert_same_run_in_float64(case, run._replace(state={}), judge, state_offset=1)


# --- what it is for -----------------------------------------------------------------------------


def quadratic(condition, size=7):
    """Return a diagonal quadratic with its minimum at 1, and its curvatures."""
    curvatures = jnp.asarray(np.geomspace(1.0, condition, size))
    return lambda w: jnp.sum(curvatures * (w - 1) ** 2) / 2, curvatures


def test_one_step_solves_a_diagonal_quadratic_of_condition_number_1e6():
    """From one random sample; with damping all but ``damping / (h + damping)`` of the way."""
    loss, curvatures = quadratic(1e6)
    w = jnp.linspace(-3.0, 5.0, 7)
    diagonal = ja.optimizers.hessian_diagonal(loss, w, jax.random.key(0))
    for damping in (0.0, 1e-4):
        tx = ja.optimizers.diagonal_newton(damping=damping)
        updates, _ = tx.update(jax.grad(loss)(w), tx.init(w), w, hessian_diagonal=diagonal)
        rest = (w - 1) * damping / (curvatures + damping)
        assert np.max(np.abs(w + updates - 1 - rest)) <= tol.CONTRACT_FLOAT64_OF_MAX * 5.0


def sgd_error_after(condition, steps):
    """Return the share of the initial distance that SGD at lr = 1 / (largest curvature) leaves."""
    loss, _ = quadratic(condition)
    tx = ja.optimizers.sgd(lr=1 / condition)
    start = jnp.zeros(7)

    @jax.jit
    def run(w):
        def body(_, carry):
            w, state = carry
            updates, state = tx.update(jax.grad(loss)(w), state, w)
            return w + updates, state

        return jax.lax.fori_loop(0, steps, body, (w, tx.init(w)))[0]

    return float(jnp.max(jnp.abs(run(start) - 1)))


@pytest.mark.parametrize("condition", [1e3, 1e6])
def test_sgd_needs_as_many_steps_as_the_condition_number(condition):
    """After kappa steps 1/e of the distance is left: ``(1 - 1 / kappa) ** kappa``."""
    closed_form = math.exp(condition * math.log1p(-1 / condition))
    left = sgd_error_after(condition, int(condition))
    assert abs(left - closed_form) <= condition * tol.FLOAT64_ROUNDING


def test_negative_curvature_is_descended():
    """At the top of a saddle Newton's own step climbs back to it; this one leaves."""

    def saddle(w):
        return w[0] ** 2 - w[1] ** 2

    w = jnp.array([1.0, 0.5])
    diagonal = ja.optimizers.hessian_diagonal(saddle, w)
    tx = ja.optimizers.diagonal_newton(damping=0.0)
    updates, _ = tx.update(jax.grad(saddle)(w), tx.init(w), w, hessian_diagonal=diagonal)
    assert np.array_equal(w + updates, [0.0, 1.0])


# --- the contract -------------------------------------------------------------------------------


def bowl(w):
    return jnp.sum(jnp.cosh(w["a"])) + jnp.sum(w["a"]) * jnp.sum(w["b"] ** 4) + jnp.sum(w["b"] ** 2)


slopes = jax.jit(jax.grad(bowl))
curvatures_of = jax.jit(functools.partial(ja.optimizers.hessian_diagonal, bowl))


def train_step(tx):
    def step(w, state):
        updates, state = tx.update(slopes(w), state, w, hessian_diagonal=curvatures_of(w))
        return optax.apply_updates(w, updates), state

    return step


def start():
    return {"a": jnp.array([0.3, -0.2]), "b": jnp.array([[0.5, 0.1, -0.4]])}


def plain_run(tx):
    w = start()
    state = tx.init(w)
    for _ in range(3):
        w, state = train_step(tx)(w, state)
    return w


same = functools.partial(assert_same_tree, of_max=tol.CONTRACT_FLOAT64_OF_MAX)


@pytest.mark.parametrize("beta", [0.0, 0.9])
def test_compiled_step_is_traced_once_and_donates(beta):
    tx = ja.optimizers.diagonal_newton(beta=beta)
    step = jax.jit(train_step(tx), donate_argnums=(0, 1), compiler_options=FAST_COMPILE)
    w = start()
    state = tx.init(w)
    for _ in range(3):
        assert_no_shared_buffers((w, state))
        old = (w, state)
        w, state = step(w, state)
        assert jax.tree.all(jax.tree.map(lambda leaf: leaf.is_deleted(), old))
    assert step._cache_size() == 1
    same(w, plain_run(tx))


WRAPPERS = {
    "chain": lambda **kwargs: optax.chain(
        optax.identity(), ja.optimizers.diagonal_newton(**kwargs), optax.scale(1.0)
    ),
    "inject_hyperparams": lambda **kwargs: optax.inject_hyperparams(
        ja.optimizers.diagonal_newton, hyperparam_dtype=jnp.float64
    )(**kwargs),
    "masked": lambda **kwargs: optax.masked(
        ja.optimizers.diagonal_newton(**kwargs),
        {"a": True, "b": True},
        mask_compatible_extra_args=True,
    ),
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_wrapped_equals_plain(wrapper):
    kwargs = {"lr": 0.5, "damping": 0.1, "beta": 0.5}
    expected = plain_run(ja.optimizers.diagonal_newton(**kwargs))
    same(plain_run(WRAPPERS[wrapper](**kwargs)), expected)


def test_under_vmap():
    tx = ja.optimizers.diagonal_newton(beta=0.5)
    stacked = jax.tree.map(lambda leaf: jnp.stack([leaf, 2 * leaf]), start())
    found, _ = jax.vmap(train_step(tx))(stacked, jax.vmap(tx.init)(stacked))
    single = jax.tree.map(lambda leaf: 2 * leaf, start())
    expected, _ = train_step(tx)(single, tx.init(single))
    same(jax.tree.map(lambda leaf: leaf[1], found), expected)


def test_update_without_a_diagonal_says_what_to_pass():
    leaf, tx = jnp.ones(2), ja.optimizers.diagonal_newton()
    with pytest.raises(ValueError, match=r"hessian_diagonal=\.\.\.\), for example from"):
        tx.update(leaf, tx.init(leaf), leaf)


NUMBERS = pytest.mark.parametrize("name", ["lr", "damping", "beta"])


@NUMBERS
def test_what_is_not_a_number_is_named(name):
    for value, shown in NO_NUMBERS.values():
        _, text = raised_by(functools.partial(ja.optimizers.diagonal_newton, **{name: value}))
        assert name in text
        assert shown in text


@NUMBERS
def test_numbers_in_other_clothes_give_the_same(name):
    def run(value):
        kwargs = {"lr": 0.5, "damping": 0.5, "beta": 0.5, name: value}
        return plain_run(ja.optimizers.diagonal_newton(**kwargs))

    expected = run(0.375)
    for clothe in CLOTHES.values():
        same(run(clothe(0.375)), expected)


# --- the diagonal -------------------------------------------------------------------------------

NETWORK = {
    "conv": (2, 1, 2, 2),
    "kernel": (3, 4),
    "bias": (4,),
    "scale": (),
    "empty": (0, 3),
}


def network_problem():
    rng = np.random.default_rng(0)
    params = {name: rng.normal(size=shape) for name, shape in NETWORK.items()}
    return params, rng.normal(size=(5, 3))


def network_loss(params, batch, xp):
    """A loss whose Hessian has entries everywhere, on JAX arrays or PyTorch tensors."""
    hidden = xp.tanh(batch @ params["kernel"] + params["bias"].reshape(1, -1))
    weights = params["conv"].reshape(2, 4)
    output = xp.sin(hidden @ weights.T) * params["scale"]
    return (output**2).sum() + (xp.exp(params["bias"]) * params["scale"]).sum()


def jax_problem(dtype=float):
    params, batch = network_problem()
    batch = jnp.asarray(batch, dtype)
    loss = functools.partial(network_loss, batch=batch, xp=jnp)
    return loss, {name: jnp.asarray(p, dtype) for name, p in params.items()}


@functools.cache
def pytorchs_hessian():
    """Return the whole Hessian from PyTorch, and where each leaf starts."""
    params, batch = network_problem()
    flat = torch.cat([torch.tensor(p).reshape(-1) for p in params.values()])
    sizes = [p.size for p in params.values()]

    def loss(flat):
        leaves = {
            name: part.reshape(p.shape)
            for (name, p), part in zip(params.items(), torch.split(flat, sizes), strict=True)
        }
        return network_loss(leaves, torch.tensor(batch), torch)

    return to_numpy(torch.autograd.functional.hessian(loss, flat))


def flat(tree):
    return np.concatenate([np.asarray(tree[name]).reshape(-1) for name in NETWORK])


@pytest.mark.parametrize("batch_size", [1, 3, 8, 1000])
def test_exact_diagonal_equals_pytorchs(batch_size):
    loss, params = jax_problem()
    expected = np.diag(pytorchs_hessian())
    found = jax.jit(
        functools.partial(ja.optimizers.hessian_diagonal, loss, batch_size=batch_size),
        compiler_options=FAST_COMPILE,
    )(params)
    assert jax.tree.map(jnp.shape, found) == jax.tree.map(jnp.shape, params)
    assert largest(flat(found) - expected) <= tol.LAYER_FLOAT64_OF_MAX * largest(expected)


def test_torch_ref_is_exact_too():
    params, batch = network_problem()
    loss = functools.partial(network_loss, batch=torch.tensor(batch), xp=torch)
    tensors = {name: torch.tensor(p) for name, p in params.items()}
    found = torch_ref.optimizers.hessian_diagonal(loss, tensors)
    expected = np.diag(pytorchs_hessian())
    assert largest(flat(found) - expected) <= tol.LAYER_FLOAT64_OF_MAX * largest(expected)


@pytest.mark.parametrize("samples", [1, 5])
def test_an_estimate_of_a_diagonal_hessian_is_exact(samples):
    loss, curvatures = quadratic(1e6)
    w = jnp.zeros(7)
    found = ja.optimizers.hessian_diagonal(loss, w, jax.random.key(1), samples)
    exact = ja.optimizers.hessian_diagonal(loss, w)
    assert np.array_equal(exact, curvatures)
    if samples == 1:
        assert np.array_equal(found, exact)
    assert largest((found - exact) / exact) <= tol.CONTRACT_FLOAT64_OF_MAX
    weights = torch.tensor(np.asarray(curvatures))
    mirrored = torch_ref.optimizers.hessian_diagonal(
        lambda w: (weights * (w - 1) ** 2).sum() / 2,
        torch.zeros(7, dtype=torch.float64),
        torch.Generator().manual_seed(0),
    )
    assert np.array_equal(mirrored, curvatures)


def test_an_estimate_has_the_mean_and_the_variance_that_it_claims():
    """Per entry, in standard errors: the root of the rest of its row's squares, over samples."""
    samples = 4096
    loss, params = jax_problem()
    hessian = pytorchs_hessian()
    estimate = jax.jit(
        lambda key: ja.optimizers.hessian_diagonal(loss, params, key, samples, batch_size=64)
    )(jax.random.key(0))
    rest = hessian - np.diag(np.diag(hessian))
    deviations = (flat(estimate) - np.diag(hessian)) / np.sqrt(np.sum(rest**2, axis=1) / samples)
    assert largest(deviations) <= tol.HUTCHINSON_STANDARD_ERRORS
    mean_square = np.mean(deviations**2)
    assert 1 / tol.HUTCHINSON_VARIANCE_RATIO <= mean_square <= tol.HUTCHINSON_VARIANCE_RATIO


def test_an_estimate_depends_on_the_key_and_not_on_the_batch_size():
    estimates = {
        size: jax.jit(
            lambda key, size=size: ja.optimizers.hessian_diagonal(
                bowl, start(), key, 5, batch_size=size
            )
        )
        for size in (1, 4)
    }
    one, four = (estimate(jax.random.key(3))["b"] for estimate in estimates.values())
    assert largest(one - four) <= tol.LAYER_FLOAT64_OF_MAX * largest(one)
    assert np.array_equal(four, estimates[4](jax.random.PRNGKey(3))["b"])
    assert largest(four - estimates[4](jax.random.key(4))["b"]) > tol.INIT_STD_RELATIVE


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_the_diagonal_has_the_parameters_dtypes(dtype):
    params = {"low": jnp.ones(3, dtype), "wide": jnp.ones(2)}

    def loss(params):
        return jnp.sum(params["low"].astype(float) ** 3) + jnp.sum(params["wide"] ** 2)

    for key in (None, jax.random.key(0)):
        found = ja.optimizers.hessian_diagonal(loss, params, key)
        assert found["low"].dtype == dtype
        assert found["low"].tolist() == [6.0] * 3
        assert found["wide"].tolist() == [2.0] * 2


def test_an_empty_tree_has_an_empty_diagonal():
    for key in (None, jax.random.key(0)):
        assert ja.optimizers.hessian_diagonal(lambda params: 0.0, {}, key) == {}


WRONG = {
    "samples zero": ({"samples": 0}, 1.0, ["samples", "0"]),
    "samples fractional": ({"samples": 1.0}, 1.0, ["samples", "1.0"]),
    "batch size zero": ({"batch_size": 0}, 1.0, ["batch_size", "0"]),
    "integer parameter": ({}, 1, ["real floating-point", "int"]),
    "complex parameter": ({}, 1j, ["real floating-point", "complex"]),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_arguments_are_named(wrong):
    kwargs, value, fragments = WRONG[wrong]
    leaf, function = jnp.asarray(value), ja.optimizers.hessian_diagonal
    _, text = raised_by(lambda: function(lambda w: w * w, leaf, **kwargs))
    assert all(fragment in text for fragment in fragments), text

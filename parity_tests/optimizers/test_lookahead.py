"""Lookahead against the paper's formula around ``torch.optim``, and where it is something known."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

import jaxaccel as ja
import torch_ref
from parity_tests import tolerances as tol
from parity_tests.harness.compiled import FAST_COMPILE, QUICK_COMPILE
from parity_tests.harness.mirror import torch_ref_inside
from parity_tests.harness.optimizer import (
    FROZEN,
    LOW_LEAF,
    SEEDS,
    STEPS,
    Run,
    assert_same_run_in_float64,
    fields_of,
    lookup,
    low_precision_problem,
    oracle_of,
    problem,
    to_jax,
    to_numpy,
    to_torch,
    torch_state,
    values_at,
)
from parity_tests.optimizers.rows_lookahead import ADAMW, CASES, MOMENTUM, SGD

rows = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)


def run_paper(case, params, grads, dtype):
    """Run the inner optimizer in PyTorch; after every k-th step, apply the formula."""
    inner = case.options["inner"]
    tensors = {n: torch.nn.Parameter(to_torch(leaf, dtype)) for n, leaf in params.items()}
    slow = {name: p.detach().clone() for name, p in tensors.items()}
    optimizer = oracle_of(inner)(tensors.values(), **values_at(inner.kwargs, 0))
    moved, states = [{name: to_numpy(p) for name, p in tensors.items()}], []
    for step in range(STEPS):
        optimizer.param_groups[0].update(values_at(inner.kwargs, step))
        settings = {"k": 5, "alpha": 0.5} | values_at(case.kwargs, step)
        for name, p in tensors.items():
            p.grad = None if grads[name] is None else to_torch(grads[name][step], dtype)
        optimizer.step()
        since = step + 1 - settings.get("start", 0)
        if since <= 0:
            slow = {name: p.detach().clone() for name, p in tensors.items()}
        elif since % settings["k"] == 0:
            for name, p in tensors.items():
                slow[name] = slow[name] + settings["alpha"] * (p.detach() - slow[name])
                p.data.copy_(slow[name])
        moved.append({name: to_numpy(p) for name, p in tensors.items()})
        fields = torch_state(optimizer, tensors)
        states.append({**fields, "slow": {name: to_numpy(slow[name]) for name in tensors}})
    return stacked(moved, states, grads)


def inner_tx(case):
    return lookup("jaxaccel", case.function)(**case.kwargs)


def run_jax(case, params, grads, dtype):
    """Run the row step by step; the step is compiled once."""
    inner = case.options["inner"]
    tx = ja.optimizers.lookahead(inner_tx(inner), **case.kwargs)
    params = {name: to_jax(leaf, dtype) for name, leaf in params.items()}
    moving = [name for name, g in grads.items() if g is not None]
    update, state = jax.jit(tx.update, compiler_options=FAST_COMPILE), tx.init(params)
    moved, states = [widened(params)], []
    for step in range(STEPS):
        step_grads = {n: None if g is None else to_jax(g[step], dtype) for n, g in grads.items()}
        updates, state = update(step_grads, state, params)
        params = {name: p + updates[name] for name, p in params.items()}
        moved.append(widened(params))
        fields = fields_of(state.inner_state, moving) | {"slow": state.slow}
        states.append({field: widened(leaves) for field, leaves in fields.items()})
    assert int(state.step) == int(state.inner_state.step) == STEPS
    return stacked(moved, states, grads)


def run_torch_ref(case, params, grads, dtype):
    """Run the row as an optimizer of PyTorch around the inner one."""
    inner = case.options["inner"]
    tensors = {n: torch.nn.Parameter(to_torch(leaf, dtype)) for n, leaf in params.items()}
    around = oracle_of(inner)(tensors.values(), **values_at(inner.kwargs, 0))
    optimizer = torch_ref.optimizers.Lookahead(around, **values_at(case.kwargs, 0))
    moved, states = [{name: to_numpy(p) for name, p in tensors.items()}], []
    for step in range(STEPS):
        optimizer.param_groups[0].update(values_at(inner.kwargs, step))
        optimizer.alpha = values_at(case.kwargs, step).get("alpha", optimizer.alpha)
        for name, p in tensors.items():
            p.grad = None if grads[name] is None else to_torch(grads[name][step], dtype)
        optimizer.step()
        moved.append({name: to_numpy(p) for name, p in tensors.items()})
        states.append(torch_state(around, tensors) | torch_state(optimizer, tensors))
    return stacked(moved, states, grads)


def widened(leaves):
    """Return named leaves as double-precision arrays."""
    return {
        name: np.asarray(leaf.astype(complex if jnp.iscomplexobj(leaf) else float))
        for name, leaf in leaves.items()
    }


def stacked(moved, states, grads):
    """Return a :class:`Run` from a list of parameters and a list of states."""
    params = {name: np.stack([m[name] for m in moved]) for name in moved[0]}
    state = {
        field: {
            name: np.stack([s[field][name] for s in states])
            for name in leaves
            if grads[name] is not None
        }
        for field, leaves in states[-1].items()
    }
    return Run(params, state, {})


def run_leaf(case, params, grads, dtype):
    """Run the row in jaxaccel, with torch_ref's algorithms on each tensor."""
    with torch_ref_inside("optimizers") as ran:
        run = run_jax(case, params, grads, dtype)
    assert "optimizers._lookahead._update_leaf" in ran
    return run


@pytest.mark.parity
@pytest.mark.parametrize("run_row", [run_jax, run_torch_ref, run_leaf])
@rows
def test_run_equals_the_paper_at_every_step(case, run_row):
    params, grads = problem(case, seed=0)
    judge = run_paper(case, params, grads, "float64")
    run = run_row(case, params, grads, "float64")
    assert_same_run_in_float64(case, run, judge, state_offset=0)
    assert np.array_equal(run.params[FROZEN][-1], params[FROZEN])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("why", ["defaults-with-adamw", "k-seven", "alpha-small"])
def test_low_precision_is_no_worse_than_the_formula_in_pytorch(why, dtype):
    case = next(case for case in CASES if case.id.endswith(why))
    problems = [low_precision_problem(case, seed, dtype) for seed in range(SEEDS)]
    runs = {
        "truth": [run_paper(case, *each, "float64") for each in problems],
        "theirs": [run_paper(case, *each, dtype) for each in problems],
        "ours": [run_jax(case, *each, dtype) for each in problems],
    }
    moved = {who: np.stack([r.params[LOW_LEAF] for r in of]) for who, of in runs.items()}
    for t in (10, STEPS):
        ours, theirs = (
            np.sqrt(np.mean((moved[who] - moved["truth"])[:, t] ** 2)) for who in ("ours", "theirs")
        )
        assert ours <= tol.OWN_ERROR_RATIO * theirs


# --- where it is something known ----------------------------------------------------------------


def tree_problem(dtype):
    rng = np.random.default_rng(3)
    params = {name: jnp.asarray(rng.normal(size=(40,)), dtype) for name in ("w", "b")}
    # Tiny parameters and large steps: p + (fast - p) is not fast there.
    params["b"] = params["b"] * jnp.asarray(1e-6, dtype)
    grads = [{n: jnp.asarray(rng.normal(size=(40,)), dtype) for n in params} for _ in range(6)]
    return params, grads


def run_plain(tx, params, grads):
    update, state, moved = jax.jit(tx.update, compiler_options=QUICK_COMPILE), tx.init(params), []
    for step_grads in grads:
        updates, state = update(step_grads, state, params)
        params = optax.apply_updates(params, updates)
        moved.append(params)
    return moved, state


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
@pytest.mark.parametrize(
    "settings",
    [{"k": 2, "alpha": 1.0}, {"k": 2, "alpha": lambda step: jnp.ones(())}, {"k": 100}],
    ids=["alpha one", "alpha schedule of one", "no jump"],
)
@pytest.mark.parametrize("inner", [MOMENTUM, ADAMW], ids=lambda case: case.id)
def test_equals_the_inner_optimizer_bit_for_bit(inner, settings, dtype):
    params, grads = tree_problem(dtype)
    found, state = run_plain(ja.optimizers.lookahead(inner_tx(inner), **settings), params, grads)
    expected, expected_state = run_plain(inner_tx(inner), params, grads)
    for a, b in zip(
        jax.tree.leaves((found, state.inner_state)),
        jax.tree.leaves((expected, expected_state)),
        strict=True,
    ):
        assert np.array_equal(np.asarray(a), np.asarray(b))


def test_every_step_of_sgd_is_sgd_with_a_smaller_rate():
    params, grads = tree_problem("float64")
    found, _ = run_plain(ja.optimizers.lookahead(inner_tx(SGD), k=1, alpha=0.3), params, grads)
    expected, _ = run_plain(ja.optimizers.sgd(lr=0.1 * 0.3), params, grads)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tol.TRANSFORM_FLOAT64_OF_MAX)


def test_parameters_and_slow_weights_meet():
    params, grads = tree_problem("float64")
    tx = ja.optimizers.lookahead(inner_tx(ADAMW), k=3)
    moved, state = run_plain(tx, params, grads)
    for a, b in zip(jax.tree.leaves(moved[-1]), jax.tree.leaves(state.slow), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tol.FLOAT64_ROUNDING)


def test_extra_arguments_reach_the_inner_transform():
    seen = []

    def update(updates, state, params=None, *, value, **extra):
        seen.append(value)
        return updates, state

    inner = optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)
    tx, w = ja.optimizers.lookahead(inner), jnp.ones(2)
    tx.update(w, tx.init(w), w, value=3.0, other=4.0)
    assert seen == [3.0]


# --- what is wrong ------------------------------------------------------------------------------


def test_errors_name_the_argument_and_its_value():
    make, inner = ja.optimizers.lookahead, ja.optimizers.sgd()
    for error, kwargs, text in [
        (ValueError, {"k": 0}, "k must be at least 1, got 0"),
        (TypeError, {"k": 2.0}, "k must be an integer, got 2.0"),
        (TypeError, {"k": True}, "k must be an integer, got True"),
        (TypeError, {"start": 0.5}, "start must be an integer, got 0.5"),
        (ValueError, {"start": -1}, "start must be at least 0, got -1"),
        (TypeError, {"alpha": "half"}, "alpha must be a number.*'half'"),
        (ValueError, {"alpha": np.ones(2)}, "alpha"),
    ]:
        with pytest.raises(error, match=text):
            make(inner, **kwargs)
    tx, w = make(inner), jnp.ones(2)
    with pytest.raises(ValueError, match="of lookahead needs the parameters, got params=None"):
        tx.update(w, tx.init(w))

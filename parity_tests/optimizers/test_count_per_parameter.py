"""Parameters that are thawed one by one against ``torch.optim``: each begins when it is reached."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_close, assert_same_path
from parity_tests.harness.optimizer import (
    in_full_precision,
    lookup,
    oracle_of,
    to_numpy,
    to_own_layout,
    values_at,
)
from parity_tests.optimizers.rows_optimizers import CASES

STEPS = 6
SHAPES = {"body": (4, 3), "neck": (4, 3), "head": (4, 3), "scale": (3,)}
REACHED = {
    "body": [False] * 3 + [True] * 3,
    "neck": [False, True, False, True, True, True],
    "head": [True] * STEPS,
    "scale": [False] * 3 + [True] * 3,
}
"""The steps in which a gradient reaches a parameter: late, now and then, always, late."""

ROWS = [case for case in CASES if case.is_quick and case.kwargs]
rows = pytest.mark.parametrize("case", ROWS, ids=lambda case: case.id)
count = ja.optimizers.count_per_parameter


def problem(case):
    """Return initial parameters and gradients of each step, in PyTorch's layout."""
    rng = np.random.default_rng(0)
    shapes = dict(SHAPES)
    if "matrices_only" in case.options:
        del shapes["scale"]
    params = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    grads = [
        {
            name: rng.normal(size=shape) if REACHED[name][t] else None
            for name, shape in shapes.items()
        }
        for t in range(STEPS)
    ]
    return params, grads


def run_torch(case, params, grads, *, added_late):
    """Return the parameters before and after each step, and each step's states by parameter."""
    tensors = {name: torch.nn.Parameter(torch.tensor(leaf)) for name, leaf in params.items()}
    first = [p for name, p in tensors.items() if REACHED[name][0] or not added_late]
    optimizer = oracle_of(case)(first, **values_at(case.kwargs, 0))
    moved, states = [{name: to_numpy(p) for name, p in tensors.items()}], []
    for step, step_grads in enumerate(grads):
        known = {id(p) for group in optimizer.param_groups for p in group["params"]}
        for name, p in tensors.items():
            p.grad = None if step_grads[name] is None else torch.tensor(step_grads[name])
            if p.grad is not None and id(p) not in known:
                optimizer.add_param_group({"params": [p]})
        for group in optimizer.param_groups:
            group.update(values_at(case.kwargs, step))
        optimizer.step()
        moved.append({name: to_numpy(p) for name, p in tensors.items()})
        states.append(
            {
                name: {
                    k: to_numpy(torch.as_tensor(v))
                    for k, v in optimizer.state.get(p, {}).items()
                    if v is not None
                }
                for name, p in tensors.items()
            }
        )
    return moved, states


def alone(factory, kwargs):
    return count(factory(**kwargs))


def around_everything(factory, kwargs):
    """Around groups, in wrappers that change nothing."""
    groups = ja.optimizers.param_groups(factory, [{"params": "body|scale"}], **kwargs)
    ahead = ja.optimizers.lookahead(groups, k=2, alpha=1.0)
    chain = optax.chain(ja.transforms.clip_grad_norm(1e9), ahead)
    return count(ja.transforms.accumulate_gradients(chain, 1))


def in_everything(factory, kwargs):
    """In wrappers that change nothing, and outside the count."""
    inner = optax.chain(ja.transforms.clip_grad_value(1e9), count(factory(**kwargs)))
    return ja.transforms.accumulate_gradients(ja.optimizers.lookahead(inner, k=2, alpha=1.0), 1)


def run_jax(case, tx, params, grads):
    """Return the parameters before and after each step, and the states.

    Operation by operation, branches too: else JAX compiles both of them at every step.
    """
    params = {n: jnp.asarray(leaf) for n, leaf in to_own_layout(case, params).items()}
    state, moved, states = tx.init(params), [params], []
    for step_grads in grads:
        own = to_own_layout(case, step_grads)
        own = {name: None if g is None else jnp.asarray(g) for name, g in own.items()}
        with jax.disable_jit():
            updates, state = tx.update(own, state, params)
        params = optax.apply_updates(params, updates)
        moved.append(params)
        states.append(state)
    return [to_own_layout(case, jax.device_get(each), back=True) for each in moved], states


def leaf_of(case, state, field, name):
    """Return a parameter's number or array of a field, wherever in a state it is."""

    def is_optimizer(node):
        return hasattr(node, "own_counts")

    for node in jax.tree.leaves(state, is_leaf=is_optimizer):
        value = getattr(node, field, None)
        value = value.of_leaves if isinstance(value, ja.optimizers.Counts) else value
        if isinstance(value, dict) and isinstance(value[name], jax.Array):
            own = np.asarray(value[name])
            return to_own_layout(case, {name: own}, back=True)[name] if own.ndim > 1 else own
    raise AssertionError(f"no {field} of {name}")


@pytest.mark.parity
@rows
def test_every_parameter_begins_when_its_gradient_does(case):
    layout = {"layout": case.options["layout"]} if "layout" in case.options else {}
    factory, kwargs = lookup("jaxaccel", case.function), {**case.kwargs, **layout}
    params, grads = problem(case)
    with in_full_precision(case):
        judges = [run_torch(case, params, grads, added_late=False)]
        if "adagrad" not in case.function:  # PyTorch's raises a KeyError for a group added later
            judges.append(run_torch(case, params, grads, added_late=True))
        for wrapper in (alone, around_everything, in_everything):
            moved, states = run_jax(case, wrapper(factory, kwargs), params, grads)
            for judge in judges:
                assert_same(case, moved, states, judge, wrapper.__name__)


def assert_same(case, moved, states, judge, what):
    """Assert the parameters and the state of every parameter that has begun, at every step."""
    for name in moved[0]:
        path, expected = ([leaves[name] for leaves in run] for run in (moved, judge[0]))
        assert_same_path(path, expected, what=f"{what}: {name}")
    for t, (state, fields) in enumerate(zip(states, judge[1], strict=True)):
        for name, own in fields.items():
            for field, value in own.items():
                found = leaf_of(case, state, field, name)
                at_least = max(1.0, np.abs(value).max())
                assert_close(
                    found,
                    value,
                    tol.FLOAT64_OF_FIELD,
                    at_least,
                    f"{what}: {field} of {name} at {t}",
                )


class Named(NamedTuple):
    """Parameters that are a NamedTuple, which has a method ``count``."""

    body: jax.Array
    head: jax.Array


def first_update(tx, params, reached):
    """Return the update of the head in the step after one that has reached what is named."""
    ones = jax.tree.map(jnp.ones_like, params)
    state = tx.init(params)
    _, state = tx.update(ones._replace(**reached), state, params)
    return tx.update(ones, state, params)[0].head


ACCEPTED = {
    "chain": lambda tx: optax.chain(ja.transforms.clip_grad_norm(1e9), tx),
    "lookahead": lambda tx: ja.optimizers.lookahead(tx, 3),
    "accumulate_gradients": lambda tx: ja.transforms.accumulate_gradients(tx, 1),
    "apply_if_finite": lambda tx: optax.apply_if_finite(tx, 3),
    "MultiSteps": lambda tx: optax.MultiSteps(tx, 1),
    "add_noise": lambda tx: optax.chain(optax.add_noise(0.0, 0.5, jax.random.key(0)), tx),
    "schedule": lambda tx: optax.chain(tx, optax.scale_by_schedule(lambda k: 1.0)),
    "itself": count,
    "itself in a chain": lambda tx: optax.chain(count(tx), optax.identity()),
}


@pytest.mark.quick
@pytest.mark.parametrize("wrapper", ACCEPTED)
def test_the_count_goes_into_every_wrapper(wrapper):
    """``None`` at first, then Adam's first update: the sign, and not a tenth of a sum."""
    params = Named(jnp.ones(2), jnp.ones(2))
    adam = ja.optimizers.adam(0.1, betas=(0.9, 0.99))
    with jax.numpy_dtype_promotion("standard"):
        tx = count(ACCEPTED[wrapper](adam))
        if wrapper in ("apply_if_finite", "MultiSteps"):  # which take no None
            assert jax.tree.leaves(tx.init(params), is_leaf=is_counts)
            return
        assert_close(first_update(tx, params, {"head": None}), -0.1 * np.ones(2), 1e-6)
    late = first_update(adam, params, {"head": None})
    assert np.all(late > -0.08), "what it would be without the count"


def is_counts(node):
    return isinstance(node, ja.optimizers.Counts)


# --- schedules ----------------------------------------------------------------------------------


def rising(k):
    """A learning rate in any float."""
    return 0.1 * (1.0 + (k if isinstance(k, int) else jnp.asarray(k, float)))


SCHEDULED = {
    "optimizer": lambda: count(ja.optimizers.adam(rising)),
    "groups": lambda: count(ja.optimizers.param_groups(ja.optimizers.sgd, [], lr=rising)),
    "groups of what counts": lambda: count(
        ja.optimizers.param_groups(ja.optimizers.adam, [], lr=rising)
    ),
}


@pytest.mark.quick
@pytest.mark.parametrize("name", SCHEDULED)
def test_schedules_of_counted_groups_are_told_as_pytorch_tells_them(name):
    """The step moves by the rate of ``metrics``, and holds the one of the next."""
    tx = SCHEDULED[name]()
    gradient_fn = ja.training.gradients(lambda p, s, b: (jnp.sum(p["w"] * b), (s, {})))
    step = ja.training.train_step(gradient_fn, tx, donate=False)
    state = ja.training.train_state({"w": jnp.ones(())}, tx)
    weight = torch.nn.Parameter(torch.ones((), dtype=torch.float64))
    theirs = torch.optim.SGD([weight], lr=0.1)
    scheduler = torch.optim.lr_scheduler.LambdaLR(theirs, lambda k: k + 1)
    for k in range(3):
        old = state.params["w"]
        state, metrics = step(state, jnp.ones(()))
        weight.grad = torch.ones_like(weight)
        theirs.step()
        scheduler.step()
        assert np.isclose(old - state.params["w"], rising(k), rtol=1e-3)
        found = ja.optimizers.state_dict(state.opt_state, state.params, tx=tx)
        expected = theirs.state_dict()["param_groups"][0]["lr"]
        assert np.isclose(found["param_groups"][0]["lr"], expected, rtol=1e-6)
        if name != "optimizer":
            assert np.isclose(metrics["lr"], rising(k), rtol=1e-6)
            (group,) = ja.optimizers.get_hyperparams(state.opt_state)
            assert np.isclose(group["lr"], expected, rtol=1e-6)


def test_schedules_of_a_counted_optimizer_are_read_at_its_own_updates():
    """Not at micro-batches: a wrapper that skips updates skips those of the schedule."""
    params = {"w": jnp.ones(2)}
    moved = []
    for wrapper in (lambda tx: tx, count):
        inner = ja.optimizers.adam(lr=rising)
        tx = wrapper(ja.transforms.accumulate_gradients(inner, 2))
        state, rows = tx.init(params), []
        for _ in range(4):
            updates, state = tx.update(params, state, params)
            rows.append(updates["w"][0])
        moved.append(rows)
    assert np.allclose(moved[0], [0, -0.1, 0, -0.2], atol=1e-6)
    assert np.array_equal(*moved)


def test_an_earlier_state_brings_its_own_place_in_the_schedule():
    tx = count(ja.optimizers.adam(rising))
    params = {"w": jnp.ones(2), "late": jnp.ones(2)}
    state, found = tx.init(params), []
    for _ in range(4):
        grads = {"w": jnp.ones(2), "late": None}
        updates, state = tx.update(grads, state, params)
        found.append((updates["w"], ja.optimizers.state_dict(state, params, tx=tx)))
    early = ja.optimizers.load_state_dict(state, params, found[1][1], tx=tx)
    assert early.inner_state.step.of_all == 2
    updates, _ = tx.update(grads, early, params)
    np.testing.assert_allclose(updates["w"], found[2][0], rtol=1e-6)

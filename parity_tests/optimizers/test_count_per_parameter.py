"""Parameters that are thawed one by one against ``torch.optim``: each begins when it is reached."""

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
    "neck": [False, True, True, False, True, True],
    "head": [True] * STEPS,
    "scale": [False] * 2 + [True] * 4,
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


def in_groups(factory, kwargs):
    return count(ja.optimizers.param_groups(factory, [{"params": "body|scale"}], **kwargs))


def in_everything(factory, kwargs):
    """In wrappers that change nothing, and outside the count."""
    inner = optax.chain(ja.transforms.clip_grad_value(1e9), count(factory(**kwargs)))
    return ja.transforms.accumulate_gradients(ja.optimizers.lookahead(inner, k=2, alpha=1.0), 1)


def run_jax(case, tx, params, grads):
    """Return the parameters before and after each step, and the states."""
    params = {n: jnp.asarray(leaf) for n, leaf in to_own_layout(case, params).items()}
    state, moved, states = tx.init(params), [params], []
    for step_grads in grads:
        own = to_own_layout(case, step_grads)
        own = {name: None if g is None else jnp.asarray(g) for name, g in own.items()}
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
        for wrapper in (alone, in_groups, in_everything):
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

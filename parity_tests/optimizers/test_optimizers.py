"""Every optimizer row against ``torch.optim``: parameters and state, at every step."""

import jax
import numpy as np
import pytest

from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_no_worse, largest
from parity_tests.harness.optimizer import (
    COMPLEX,
    FEW_STEPS,
    FROZEN,
    LOW_LEAF,
    SEEDS,
    assert_same_run_in_float64,
    in_full_precision,
    low_precision_problem,
    problem,
    run_jax,
    run_jax_low_precision,
    run_torch,
    run_torch_ref,
    steps_torch_from,
)
from parity_tests.optimizers.rows_optimizers import CASES, LOW_PRECISION

rows = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)


@pytest.mark.parity
@rows
def test_float64_run_equals_pytorch_at_every_step(case):
    params, grads = problem(case, seed=0)
    judge = run_torch(case, params, grads, "float64")
    run = run_jax(case, params, grads, "float64")
    assert_same_run_in_float64(case, run, judge, state_offset=1)
    assert np.array_equal(run.params[FROZEN][-1], params[FROZEN])


@rows
def test_torch_ref_equals_pytorch_at_every_step(case):
    """On what its algorithms are given: no complex leaf (pairs of reals), none without gradient."""
    params, grads = (
        {name: leaf for name, leaf in part.items() if name not in (COMPLEX, FROZEN)}
        for part in problem(case, seed=0)
    )
    judge = run_torch(case, params, grads, "float64", steps=FEW_STEPS)
    run = run_torch_ref(case, params, grads, "float64")
    assert_same_run_in_float64(case, run, judge, state_offset=0)


@pytest.mark.parametrize("case", LOW_PRECISION, ids=lambda case: case.id)
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_low_precision_is_no_worse_than_pytorch(case):
    """One float32 step from an equal state, then runs in float32, bfloat16 and float16."""
    problems = {
        dtype: [low_precision_problem(case, seed, dtype) for seed in range(SEEDS)]
        for dtype in ("float32", "bfloat16", "float16")
    }
    runs = run_jax_low_precision(case, problems)
    steps = runs["float32"]
    if "bfloat16_inside" in case.options:
        with in_full_precision(case):
            steps = run_jax_low_precision(case, {"float32": problems["float32"]})["float32"]
    assert_float32_steps(case, seed_of(steps, 1), problems["float32"][1][1])
    for dtype, of_dtype in problems.items():
        assert_no_worse_run(case, dtype, runs[dtype].params[LOW_LEAF], of_dtype)


def seed_of(run, seed):
    """Return one seed of a run of several."""
    return jax.tree.map(lambda leaf: leaf[seed], run)


def assert_float32_steps(case, run, grads):
    """Assert the update and the state of each step against PyTorch-float64 from equal state."""
    for t, (moved, fields) in enumerate(steps_torch_from(case, run, grads)):
        for name, p in moved.items():
            expected = p - run.params[name][t]
            error = largest(run.updates[name][t] - expected)
            share = case.options.get("one_step", tol.FLOAT32_ONE_STEP)
            allowed = share * largest(expected) + tol.FLOAT64_ROUNDING * largest(p)
            assert error <= allowed, f"update of {name} at step {t + 1}: {error:.2e}"
        for field, leaves in fields.items():
            for name, expected in leaves.items():
                error = largest(run.state[field][name][t + 1] - expected)
                allowed = tol.FLOAT32_ONE_STEP * largest(expected)
                assert error <= allowed, f"{field}/{name} at step {t + 1}: {error:.2e}"


def assert_no_worse_run(case, dtype, ours, problems):
    """Assert a run of some seeds against PyTorch's, both judged by PyTorch's in float64."""
    seeds = [[part[LOW_LEAF] for part in parts] for parts in zip(*problems, strict=True)]
    if "real_only" in case.options:  # it looks at matrices: every seed is a leaf of one optimizer
        leaves = [dict(enumerate(arrays)) for arrays in seeds]
    else:  # number by number: all seeds are one leaf
        params, grads = seeds
        leaves = [{"all": np.stack(params)}, {"all": np.stack(grads, axis=1)}]
    judge, theirs = (
        _by_seed(run_torch(case, *leaves, precision, with_state=False).params)
        for precision in ("float64", dtype)
    )
    assert_no_worse(ours, theirs, judge, case.options.get("own_error_ratio"), dtype)


def _by_seed(leaves):
    """Return the parameters of a run with an axis of seeds, then one of steps."""
    return np.moveaxis(leaves["all"], 1, 0) if "all" in leaves else np.stack(list(leaves.values()))

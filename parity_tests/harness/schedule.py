"""A row of the tables of schedules in jaxaccel and in PyTorch, and how the two are compared."""

import functools
import inspect
import json
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_close
from parity_tests.registry import Case, lookup, oracle_of
from parity_tests.schedules.rows_schedules import ORACLES

MILLION = 1_000_000


def build(function, kwargs):
    """Return the row's schedule; the members of a sequence are built first, in order."""
    kwargs = dict(kwargs)
    if "schedulers" in kwargs:
        kwargs["schedulers"] = [build(*member) for member in kwargs["schedulers"]]
    return lookup("jaxaccel", function)(**kwargs)


def find_lr(kwargs):
    """Return the optimizer's learning rate that the row's functions were given."""
    found = [kwargs["lr"]] if "lr" in kwargs else []
    found += [find_lr(member_kwargs) for _, member_kwargs in kwargs.get("schedulers", ())]
    return next((lr for lr in found if lr is not None), None)


def build_torch(optimizer, case):
    """Return PyTorch's scheduler for a row, its members constructed in list order."""
    ours = {"lr", "total_steps"} - set(inspect.signature(oracle_of(case)).parameters)
    kwargs = {name: value for name, value in case.kwargs.items() if name not in ours}
    kwargs |= case.options.get("oracle_kwargs", {})
    if "schedulers" in kwargs:
        members = [Case(name, given, ORACLES[name], "") for name, given in kwargs["schedulers"]]
        kwargs["schedulers"] = [build_torch(optimizer, member) for member in members]
    if case.function.endswith("chained_scheduler"):
        return oracle_of(case)(**kwargs)
    return oracle_of(case)(optimizer, **kwargs)


def run_torch(case, steps):
    """Return PyTorch's values after 0, 1, ... steps, and the error that ended them, if any."""
    lr = find_lr(case.kwargs)
    parameter = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    writes = case.options.get("writes", "lr")
    make = (
        torch.optim.AdamW if writes == "betas" else functools.partial(torch.optim.SGD, momentum=0.9)
    )
    optimizer = make([parameter], lr=0.5 if lr is None else lr)

    def read():
        value = optimizer.param_groups[0][writes]
        return value[0] if writes == "betas" else value

    with warnings.catch_warnings():
        # SequentialLR steps its members before the optimizer has.
        warnings.simplefilter("ignore")
        scheduler = build_torch(optimizer, case)
        values = [read()]
        for _ in range(steps):
            optimizer.step()
            try:
                scheduler.step()
            except (ValueError, ZeroDivisionError) as error:
                return np.array(values), error
            values.append(read())
    return np.array(values), None


def assert_same_as_torch(case, values, error):
    """Assert PyTorch's value at every step, and PyTorch's error at the step after the last."""
    schedule = build(case.function, case.kwargs)
    found = [schedule(k) for k in range(len(values))]
    assert all(type(value) is float for value in found)
    assert_close(found, values, tol.SCHEDULE_FLOAT64_OF_PEAK)
    if error is not None:
        with pytest.raises(type(error)) as raised:
            schedule(len(values))
        if isinstance(error, ValueError):
            assert str(raised.value) == str(error)


# --- far out, in float32 ------------------------------------------------------------------------


def float32_errors(schedule, steps):
    """Return the largest error of the peak, and of values that are not small."""
    expected, found = schedule(np.asarray(steps, np.int64)), jax.jit(schedule)(jnp.asarray(steps))
    assert found.dtype == jnp.float32
    # Short of overflow, with room for the factors of a product.
    representable = np.abs(expected) < np.sqrt(np.finfo(np.float32).max)
    expected, found = expected[representable], np.asarray(found, np.float64)[representable]
    error, size = np.abs(found - expected), np.abs(expected)
    peak = size.max()
    of_value = error / np.where(size > tol.SCHEDULE_SMALL * peak, size, np.inf)
    return error.max() / (peak or 1.0), of_value.max()


def steps_around(length):
    """Return steps up to a million: the first, those around the end, random ones, the last."""
    rng = np.random.default_rng(length)
    end = (length + np.arange(-3000, 100)).clip(0)
    far = MILLION - np.arange(100)
    return np.concatenate([np.arange(3000), end, rng.integers(MILLION, size=4000), far])


def assert_float32_bounds(report, cases):
    """Assert the bounds of a printed report on the rows."""
    report = json.loads(report)
    assert report.keys() >= {case.id for case in cases}
    for name, (of_peak, of_value) in report.items():
        assert of_peak <= tol.SCHEDULE_FLOAT32_OF_PEAK, f"{name}: {of_peak:.2e} of the peak"
        assert of_value <= tol.SCHEDULE_FLOAT32_OF_VALUE, f"{name}: {of_value:.2e} of the value"

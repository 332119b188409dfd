"""Every schedule row against the live ``torch.optim.lr_scheduler`` object, at every step."""

import functools
import json
import math

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import optax
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxaccel import schedules
from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_close
from parity_tests.harness.schedule import (
    MILLION,
    assert_same_as_torch,
    build,
    float32_errors,
    run_torch,
    steps_around,
)
from parity_tests.registry import Case
from parity_tests.schedules.rows_schedules import CASES, LONG, ORACLES, RATES

rows = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
TIMES_LENGTH = 3


@functools.cache
def judged(index):
    """Return PyTorch's values and error for row ``index``, over three times its length."""
    case = CASES[index]
    return run_torch(case, TIMES_LENGTH * case.options["length"])


# --- every row ----------------------------------------------------------------------------------


@pytest.mark.quick
@rows
def test_equals_pytorch_at_every_step(case):
    values, error = judged(CASES.index(case))
    assert_same_as_torch(case, values, error)


@rows
def test_arrays_of_steps_and_traced_steps_give_the_same(case):
    values, _ = judged(CASES.index(case))
    schedule = build(case.function, case.kwargs)
    steps = np.arange(len(values))
    known = schedule(steps)
    assert known.dtype == np.float64
    # NumPy's vector instructions may round a power another way than its scalar ones.
    assert_close(known, np.array([schedule(k) for k in steps]), tol.SCHEDULE_FLOAT64_OF_PEAK)
    square = np.stack([steps[::-1], steps])
    assert schedule(square).shape == square.shape
    assert_close(schedule(square), known[square], tol.SCHEDULE_FLOAT64_OF_PEAK)
    traced = jax.jit(schedule)(jnp.asarray(steps))
    assert traced.dtype == jnp.float64
    assert_close(traced, values, tol.SCHEDULE_FLOAT64_OF_PEAK)


# --- far out ------------------------------------------------------------------------------------


def exact(case, k):
    """Return the textbook formula of a row that is not a sequence, in 40 digits."""
    formula = FORMULAS[case.function.removeprefix("schedules.")]
    numbers = {
        name: mpmath.mpf(value) if isinstance(value, float) else value
        for name, value in case.kwargs.items()
    }
    return formula(k, **numbers)


def swing(x):
    return (1 + mpmath.cos(mpmath.pi * x)) / 2


def over(k, length):
    return mpmath.mpf(k) / length


def exact_linear(k, lr, total_iters, start_factor=1 / 3, end_factor=1):
    return lr * (
        start_factor + (end_factor - start_factor) * over(min(k, total_iters), total_iters)
    )


def exact_cosine(k, lr, T_max, eta_min=0):
    return eta_min + (lr - eta_min) * swing(over(k, T_max))


def exact_polynomial(k, lr, total_iters, power=1):
    return lr * (1 - over(min(k, total_iters), total_iters)) ** power


def exact_restarts(k, lr, T_0, T_mult=1, eta_min=0):
    length = T_0
    while k >= length:
        k, length = k - length, length * T_mult
    return eta_min + (lr - eta_min) * swing(over(k, length))


def exact_cyclic(k, base_lr, max_lr, step_size_up, mode="triangular", gamma=1, step_size_down=None):
    down = step_size_down or step_size_up
    cycle, position = divmod(k, step_size_up + down)
    height = min(over(position, step_size_up), over(step_size_up + down - position, down))
    scale = {"triangular": 1, "triangular2": mpmath.mpf(2) ** -cycle, "exp_range": gamma**k}
    return base_lr + (max_lr - base_lr) * height * scale[mode]


THIRTY_PER_CENT, TEN_PER_CENT = mpmath.mpf(0.3), mpmath.mpf(0.1)


def exact_cycle(k, turns, total_steps, pct_start, three_phase=False, anneal_strategy="cos"):
    ends = [pct_start * total_steps - 1, mpmath.mpf(total_steps - 1)]
    if three_phase:
        ends.insert(1, 2 * pct_start * total_steps - 2)
    phase = sum(k > end for end in ends[:-1])
    begin = ends[phase - 1] if phase else 0
    x = (k - begin) / (ends[phase] - begin)
    weight = 1 - x if anneal_strategy == "linear" else swing(x)
    return turns[phase + 1] + (turns[phase] - turns[phase + 1]) * weight


def exact_one_cycle(k, max_lr, pct_start=THIRTY_PER_CENT, **kwargs):
    first = max_lr / 25
    turns = [first, max_lr, *([first] if kwargs.get("three_phase") else []), first / 10_000]
    return exact_cycle(k, turns, pct_start=pct_start, **kwargs)


def exact_momentum(k, pct_start=THIRTY_PER_CENT, **kwargs):
    turns = [mpmath.mpf(x) for x in (0.95, 0.85, 0.95)]
    return exact_cycle(k, turns, pct_start=pct_start, **kwargs)


FORMULAS = {
    "step_lr": lambda k, lr, step_size, gamma=TEN_PER_CENT: lr * gamma ** int(k // step_size),
    "exponential_lr": lambda k, lr, gamma: lr * gamma**k,
    "linear_lr": exact_linear,
    "polynomial_lr": exact_polynomial,
    "cosine_annealing_lr": exact_cosine,
    "cosine_annealing_warm_restarts": exact_restarts,
    "cyclic_lr": exact_cyclic,
    "one_cycle_lr": exact_one_cycle,
    "one_cycle_momentum": exact_momentum,
}


@pytest.mark.parametrize("case", LONG, ids=lambda case: case.id)
def test_long_schedules_equal_the_formula_in_40_digits(case):
    length, rng = case.options["length"], np.random.default_rng(0)
    last = length - 1 if "total_steps" in case.kwargs else MILLION
    steps = np.unique(np.r_[0:5, last - 20 : last + 1, rng.integers(0, last + 1, size=150)])
    with mpmath.workdps(40):
        expected = [float(exact(case, int(k))) for k in steps]
    schedule = build(case.function, case.kwargs)
    found = np.array([schedule(int(k)) for k in steps])
    assert_close(found, expected, tol.SCHEDULE_FLOAT64_OF_PEAK)


def last_step(schedule, limit):
    """Return the last step up to ``limit`` at which the schedule does not raise."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        try:
            schedule(middle)
            low = middle
        except (ValueError, ZeroDivisionError):
            high = middle - 1
    return low


def table_length(function, kwargs):
    """Return the number of steps for which traced steps have values in a table."""
    without = ("lambda_lr", "multiplicative_lr", "sequential_lr", "chained_scheduler")
    tabled = function.endswith(without)
    own = kwargs.get("total_steps", MILLION) if tabled else MILLION
    return min([own, *(table_length(*member) for member in kwargs.get("schedulers", ()))])


def report_float32():
    """Print the float32 errors of every row, and of steps in a narrow type."""
    report = {}
    for case in [*CASES, *LONG]:
        schedule = build(case.function, case.kwargs)
        end = min(case.options.get("last_step", MILLION), table_length(case.function, case.kwargs))
        steps = steps_around(case.options["length"]).clip(0, last_step(schedule, end))
        report[case.id] = float32_errors(schedule, steps)
        if case in LONG:
            report[f"{case.id}-int8"] = float32_errors(schedule, np.arange(127, dtype=np.int8))
    print(json.dumps(report))


# --- each constructor's space -------------------------------------------------------------------

fuzz = settings(deadline=None, max_examples=60, derandomize=True, database=None)
rates = st.just(0.0) | st.floats(1e-6, 10.0)
shares = st.just(0.0) | st.floats(1e-6, 1.0)
floors = st.just(0.0) | st.floats(1e-6, 0.5)
factors = st.floats(0.01, 1.0)
lengths = st.integers(1, 40)


def linear_kwargs(lr, least=0):
    return st.fixed_dictionaries(
        {"lr": lr, "start_factor": factors},
        optional={"end_factor": shares, "total_iters": st.integers(least, 30)},
    )


def cosine_kwargs(lr):
    return st.fixed_dictionaries({"lr": lr, "T_max": lengths}, optional={"eta_min": floors})


shape_kwargs = {
    "pct_start": st.floats(0.0, 1.0),
    "anneal_strategy": st.sampled_from(["cos", "linear"]),
    "three_phase": st.booleans(),
}
one_cycle_kwargs = st.fixed_dictionaries(
    {"max_lr": st.floats(0.01, 2.0), "total_steps": lengths},
    optional={
        **shape_kwargs,
        "div_factor": st.floats(1.0, 100.0),
        "final_div_factor": st.floats(1.0, 1e6),
    },
)
momentum_kwargs = st.fixed_dictionaries(
    {"total_steps": lengths},
    optional={
        **shape_kwargs,
        "base_momentum": st.floats(0, 0.9),
        "max_momentum": st.floats(0.9, 1),
    },
)


step_kwargs = {"step_size": st.integers(1, 12), "gamma": st.floats(-0.9, 1.1)}
milestone_lists = st.lists(st.integers(0, 40), max_size=5)
triangle_kwargs = {
    "step_size_up": st.integers(1, 15),
    "step_size_down": st.none() | st.integers(0, 15),
    "mode": st.sampled_from(["triangular", "triangular2", "exp_range"]),
    "gamma": st.floats(0.5, 1.02),
    "scale_fn": st.none() | st.sampled_from([lambda x: 0.9**x, lambda x: 1 / (1 + x)]),
    "scale_mode": st.sampled_from(["cycle", "iterations"]),
}
functions = st.sampled_from([lambda k: 0.95**k, lambda k: 1 / (1 + k), lambda k: (k % 5) / 4])
factor_functions = st.sampled_from([lambda k: 0.95, lambda k: 0.9 + 0.03 * (k % 7)])


def kinds_of(lr, least=0):
    """Return {function: its kwargs} for a lr; what restarts has a length of at least ``least``."""
    own = {"lr": lr}
    return {
        "schedules.lambda_lr": st.fixed_dictionaries({**own, "lr_lambda": functions}),
        "schedules.multiplicative_lr": st.fixed_dictionaries(
            {**own, "lr_lambda": factor_functions}
        ),
        "schedules.step_lr": st.fixed_dictionaries({**own, **step_kwargs}),
        "schedules.multi_step_lr": st.fixed_dictionaries(
            {**own, "milestones": milestone_lists, "gamma": st.floats(0.1, 1.1)}
        ),
        "schedules.constant_lr": st.fixed_dictionaries(
            own, optional={"factor": shares, "total_iters": st.integers(0, 30)}
        ),
        "schedules.linear_lr": linear_kwargs(lr, least),
        "schedules.exponential_lr": st.fixed_dictionaries({**own, "gamma": st.floats(-0.99, 1.05)}),
        "schedules.polynomial_lr": st.fixed_dictionaries(
            own,
            optional={"total_iters": st.integers(least, 40), "power": st.floats(-1.0, 3.0)},
        ),
        "schedules.cosine_annealing_lr": cosine_kwargs(lr),
        "schedules.cosine_annealing_warm_restarts": st.fixed_dictionaries(
            {**own, "T_0": st.integers(1, 20)},
            optional={"T_mult": st.integers(1, 4), "eta_min": floors},
        ),
        "schedules.cyclic_lr": st.fixed_dictionaries(
            {"base_lr": st.floats(0.01, 0.5), "max_lr": st.floats(0.01, 2.0), **triangle_kwargs}
        ),
        "schedules.one_cycle_lr": one_cycle_kwargs,
        "schedules.swa_lr": st.fixed_dictionaries(
            {**own, "swa_lr": shares},
            optional={
                "anneal_epochs": st.integers(0, 20),
                "anneal_strategy": st.sampled_from(["cos", "linear"]),
            },
        ),
    }


@st.composite
def joint_kwargs(draw, lr, combinator, nest=2):
    """Draw a sequence or a chain; only a sequence's first member may be one of them again."""
    members = []
    in_sequence = combinator == "schedules.sequential_lr"
    for index in range(draw(st.integers(1, 4))):
        kinds = kinds_of(lr, least=1 if index or nest < 2 else 0)
        if nest and (index == 0 or not in_sequence):
            for inner in ("schedules.sequential_lr", "schedules.chained_scheduler"):
                kinds[inner] = joint_kwargs(lr, inner, nest - 1)
        kind = draw(st.sampled_from(sorted(kinds)))
        members.append((kind, draw(kinds[kind])))
    gaps = st.lists(st.integers(0, 12), min_size=len(members) - 1, max_size=len(members) - 1)
    if not in_sequence:
        return {"schedulers": members}
    milestones = [int(milestone) for milestone in np.cumsum(draw(gaps))]
    return {"schedulers": members, "milestones": milestones}


def assert_constructor_equals_torch(function, kwargs, **options):
    """Assert equality; what PyTorch divides by zero is refused."""
    case = Case(function, kwargs, ORACLES[function], "hypothesis", options)
    try:
        values, error = run_torch(case, 100)
    except ZeroDivisionError:
        with pytest.raises(ValueError, match="divides by zero"):
            build(function, kwargs)
        return
    assert_same_as_torch(case, values, error)


@pytest.mark.parametrize("function", kinds_of(rates))
@fuzz
@given(data=st.data())
def test_any_schedule(function, data):
    assert_constructor_equals_torch(function, data.draw(kinds_of(rates)[function]))


@fuzz
@given(momentum_kwargs)
def test_any_one_cycle_momentum(kwargs):
    options = {"writes": "momentum", "oracle_kwargs": {"max_lr": 1.0}}
    assert_constructor_equals_torch("schedules.one_cycle_momentum", kwargs, **options)


@fuzz
@given(
    st.fixed_dictionaries(
        triangle_kwargs,
        optional={"base_momentum": st.floats(0, 0.9), "max_momentum": st.floats(0.9, 1)},
    )
)
def test_any_cyclic_momentum(kwargs):
    options = {"writes": "betas", "oracle_kwargs": {"base_lr": 0.1, "max_lr": 1.0}}
    assert_constructor_equals_torch("schedules.cyclic_momentum", kwargs, **options)


@settings(fuzz, max_examples=250)
@given(joint_kwargs(st.just(0.1), "schedules.sequential_lr"))
def test_any_sequential_lr(kwargs):
    assert_constructor_equals_torch("schedules.sequential_lr", kwargs)


@settings(fuzz, max_examples=250)
@given(joint_kwargs(st.just(0.1), "schedules.chained_scheduler"))
def test_any_chained_scheduler(kwargs):
    assert_constructor_equals_torch("schedules.chained_scheduler", kwargs)


# --- errors -------------------------------------------------------------------------------------

CYCLE_ERRORS = [
    {},
    {"epochs": 3},
    {"total_steps": 0},
    {"total_steps": -3},
    {"total_steps": 2.5},
    {"epochs": 0, "steps_per_epoch": 5},
    {"epochs": 1.5, "steps_per_epoch": 5},
    {"epochs": 3, "steps_per_epoch": -1},
    {"epochs": 3, "steps_per_epoch": 2.0},
    {"total_steps": 10, "pct_start": 1.5},
    {"total_steps": 10, "pct_start": -0.1},
    {"total_steps": 10, "pct_start": 1},
    {"total_steps": 10, "anneal_strategy": "exp"},
]
ERRORS = [
    *(
        ("schedules.linear_lr", {"lr": 0.1, name: value})
        for name, values in {"start_factor": (0.0, -0.5, 1.1), "end_factor": (-0.1, 1.1)}.items()
        for value in values
    ),
    *(("schedules.constant_lr", {"lr": 0.1, "factor": factor}) for factor in (-0.1, 1.1)),
    *(
        ("schedules.cosine_annealing_warm_restarts", {"lr": 0.1, **kwargs})
        for kwargs in (
            {"T_0": 0},
            {"T_0": -1},
            {"T_0": 2.5},
            {"T_0": 5, "T_mult": 0},
            {"T_0": 5, "T_mult": 1.5},
            {"T_0": 5, "eta_min": "a"},
        )
    ),
    ("schedules.cyclic_lr", {"base_lr": 0.1, "max_lr": 1.0, "mode": "sawtooth"}),
    ("schedules.cyclic_momentum", {"mode": "sawtooth"}),
    ("schedules.swa_lr", {"lr": 0.1, "swa_lr": 0.01, "anneal_strategy": "exp"}),
    ("schedules.swa_lr", {"lr": 0.1, "swa_lr": 0.01, "anneal_epochs": -1}),
    ("schedules.swa_lr", {"lr": 0.1, "swa_lr": 0.01, "anneal_epochs": 2.0}),
    ("schedules.chained_scheduler", {"schedulers": []}),
    ("schedules.multiplicative_lr", {"lr": 0.1, "lr_lambda": 0.9}),
    ("schedules.linear_lr", {"lr": -1.0}),
    ("schedules.cosine_annealing_lr", {"lr": -1.0, "T_max": 5}),
    *(("schedules.one_cycle_lr", {"max_lr": 1.0, **kwargs}) for kwargs in CYCLE_ERRORS),
    *(("schedules.one_cycle_momentum", kwargs) for kwargs in CYCLE_ERRORS),
    ("schedules.sequential_lr", {"schedulers": [], "milestones": []}),
    *(
        ("schedules.sequential_lr", {"schedulers": members, "milestones": milestones})
        for members, milestones in [
            ([("schedules.linear_lr", {"lr": 0.1})], [5]),
            ([("schedules.linear_lr", {"lr": 0.1})] * 2, []),
        ]
    ),
]


@pytest.mark.parametrize(("function", "kwargs"), ERRORS)
def test_pytorchs_errors_have_pytorchs_texts(function, kwargs):
    besides = {"base_lr": 0.1} if function.endswith("cyclic_momentum") else {}
    options = {"oracle_kwargs": {"max_lr": 1.0, **besides}} if "momentum" in function else {}
    case = Case(function, kwargs, ORACLES[function], "", options)
    with pytest.raises((ValueError, TypeError)) as judge:
        run_torch(case, 0)
    with pytest.raises(judge.type) as raised:
        build(function, kwargs)
    assert str(raised.value) == str(judge.value)


LINEAR_SCHEDULE = schedules.linear_lr(0.1)
CYCLE = schedules.one_cycle_lr(1.0, total_steps=10)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda s: s.linear_lr("a"), TypeError, "lr must be a number"),
        (lambda s: s.linear_lr(lambda k: 0.1), TypeError, "lr must be a number that is known now"),
        (lambda s: s.linear_lr(0.1, total_iters=2.5), ValueError, "total_iters must be a whole"),
        (lambda s: s.linear_lr(0.1, total_iters=-1), ValueError, "total_iters must be a whole"),
        (lambda s: s.cosine_annealing_lr(0.1, 0), ValueError, "T_max must be a whole number"),
        (lambda s: s.cosine_annealing_lr(0.1, 2.5), ValueError, "T_max must be a whole number"),
        (lambda s: s.one_cycle_lr([0.1], 10), TypeError, "max_lr must be a number"),
        (lambda s: s.one_cycle_lr(0.1, 10, pct_start=0.1), ValueError, "PyTorch divides by zero"),
        (lambda s: s.one_cycle_momentum(10, base_momentum="a"), TypeError, "base_momentum must"),
        (lambda s: s.sequential_lr([0.1], []), TypeError, "at index 0 should be a schedule"),
        (lambda s: s.chained_scheduler([0.1]), TypeError, "at index 0 should be a schedule"),
        (
            lambda s: s.chained_scheduler([s.linear_lr(0.1), s.step_lr(0.2, 5)]),
            ValueError,
            "lr=0.1 and lr=0.2; give all of them the optimizer's lr",
        ),
        (lambda s: s.chained_scheduler([], total_steps=5), ValueError, "but got no scheduler"),
        (
            lambda s: s.chained_scheduler([s.linear_lr(0.1)], total_steps=-5),
            ValueError,
            "total_steps must be a whole number of at least 0",
        ),
        (lambda s: s.lambda_lr(0.1, [0.9]), TypeError, "lr_lambda should be a function"),
        (lambda s: s.step_lr(0.1, 0), ValueError, "step_size must be a whole number"),
        (lambda s: s.multi_step_lr(0.1, [-1]), ValueError, "a milestone must be a whole number"),
        (lambda s: s.exponential_lr(0.1, "a"), TypeError, "gamma must be a number"),
        (lambda s: s.polynomial_lr(0.1, -1), ValueError, "total_iters must be a whole number"),
        (lambda s: s.constant_lr(0.1, 0.0)(5), ZeroDivisionError, "cannot go on at step 5"),
        (lambda s: s.polynomial_lr(1.0, 3, -1)(4), ZeroDivisionError, "cannot go on at step 4"),
        (lambda s: s.cyclic_lr(0.1, 1.0, 0), ValueError, "step_size_up must be a whole number"),
        (lambda s: s.cyclic_lr(0.1, 1.0, 5, 2.5), ValueError, "step_size_down must be a whole"),
        (
            lambda s: s.cyclic_lr(0.1, 1.0, scale_fn=abs, scale_mode="epochs"),
            ValueError,
            "scale_mode must be 'cycle' or 'iterations', got 'epochs'",
        ),
        (lambda s: s.cyclic_momentum(5, scale_fn=0.9), TypeError, "scale_fn should be a function"),
        (lambda s: s.linear_lr(0.1)(0.5), TypeError, "integer"),
        (
            lambda s: s.sequential_lr([s.linear_lr(0.1), s.linear_lr(0.2)], [5]),
            ValueError,
            "lr=0.1 and lr=0.2; give all of them the optimizer's lr",
        ),
        (
            lambda s: s.sequential_lr([s.linear_lr(0.1)] * 3, [5, 4]),
            ValueError,
            r"milestones must not fall, got \[5, 4\]",
        ),
        (
            lambda s: s.sequential_lr([s.linear_lr(0.1)] * 2, [-1]),
            ValueError,
            "a milestone must be a whole number of at least 0",
        ),
        (
            lambda s: s.sequential_lr([s.linear_lr(0.1)] * 2, [2.5]),
            ValueError,
            "a milestone must be a whole number of at least 0",
        ),
        (lambda s: s.per_epoch(0.1, 5), TypeError, "per_epoch takes a schedule"),
        (lambda s: s.per_epoch(s.linear_lr(0.1), 0), ValueError, "steps_per_epoch must be a whole"),
        (lambda s: s.lambda_lr(0.1, abs, total_steps=-1), ValueError, "total_steps must be a"),
        (lambda s: s.linear_lr(0.1)(2**63), ValueError, "step is too large for int64"),
        (lambda s: s.linear_lr(0.1)(1.5), TypeError, "integer"),
        (lambda s: s.one_cycle_lr(1.0, 10)(12), ValueError, "Tried to step 12 times"),
    ],
)
def test_other_errors_are_clear(call, error, text):
    with pytest.raises(error, match=text):
        call(schedules)


def test_what_pytorch_cannot_start_at_a_milestone_is_refused():
    """Judge: PyTorch builds these and fails when the milestone comes."""
    linear = ("schedules.linear_lr", {"lr": 0.1})
    inner = ("schedules.sequential_lr", {"schedulers": [linear], "milestones": []})
    empty = ("schedules.linear_lr", {"lr": 0.1, "total_iters": 0})
    chain = ("schedules.chained_scheduler", {"schedulers": [linear]})
    straight = ("schedules.polynomial_lr", {"lr": 0.1, "total_iters": 0})
    for member, error in (
        (inner, NotImplementedError),
        (chain, NotImplementedError),
        (empty, ZeroDivisionError),
        (straight, ZeroDivisionError),
    ):
        kwargs = {"schedulers": [linear, member], "milestones": [3]}
        function = "schedules.sequential_lr"
        case = Case(function, kwargs, ORACLES[function], "")
        if error is NotImplementedError:
            with pytest.raises(error):
                run_torch(case, 5)
        else:
            values, raised = run_torch(case, 5)
            assert len(values) == 3
            assert isinstance(raised, error)
        with pytest.raises(ValueError, match="cannot start the schedule at index 1"):
            build(function, kwargs)
        # Passed over, it is never started.
        kwargs = {"schedulers": [linear, member, linear], "milestones": [3, 3]}
        assert build(function, kwargs)(8) == pytest.approx(0.1)


def test_plateau_is_refused_as_a_member():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
    ours = schedules.reduce_lr_on_plateau(0.1)
    with pytest.raises(ValueError) as judge:
        torch.optim.lr_scheduler.SequentialLR(optimizer, [theirs], [])
    with pytest.raises(ValueError) as raised:
        schedules.sequential_lr([ours], [])
    assert str(raised.value) == str(judge.value)
    with pytest.raises(ValueError) as judge:
        torch.optim.lr_scheduler.ChainedScheduler([theirs])
    with pytest.raises(ValueError) as raised:
        schedules.chained_scheduler([ours])
    assert str(raised.value) == str(judge.value)


# --- fractions of an epoch ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "kwargs",
    [{"T_0": 10}, {"T_0": 10, "T_mult": 2, "eta_min": 1e-6}, {"T_0": 1, "T_mult": 3}],
    ids=["equal cycles", "T mult two", "T mult three"],
)
def test_fractions_of_an_epoch_equal_pytorch(kwargs):
    """Judge: ``step(epoch)``, but at the restarts that its logarithm misses."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    live = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, **kwargs)
    epochs, expected = np.arange(0, 400, 0.125), []
    for epoch in epochs:
        live.step(float(epoch))
        expected.append(optimizer.param_groups[0]["lr"])
    whole = schedules.cosine_annealing_warm_restarts(0.1, **kwargs)
    # At a restart PyTorch goes by step(), which is right everywhere.
    missed = (whole(np.floor(epochs).astype(int)) == 0.1) & (epochs % 1 == 0)
    expected = np.where(missed, 0.1, expected)
    found = np.array([whole(float(epoch)) for epoch in epochs])
    assert_close(found, expected, tol.SCHEDULE_FLOAT64_OF_PEAK)
    assert_close(whole(epochs), expected, tol.SCHEDULE_FLOAT64_OF_PEAK)
    traced = jax.jit(whole)(jnp.asarray(epochs))
    assert_close(traced, expected, tol.SCHEDULE_FLOAT64_OF_PEAK)


# --- what JAX adds ------------------------------------------------------------------------------


def test_arrays_of_steps_past_a_cycle_raise_for_the_first_and_jax_arrays_hold_the_end():
    with pytest.raises(ValueError, match="Tried to step 11 times"):
        CYCLE(np.array([3, 14, 11, 12]))
    with pytest.raises(TypeError, match="integer"):
        CYCLE(jnp.asarray([1.0]))
    held = CYCLE(jnp.asarray([9, 11, 50, MILLION]))
    assert np.all(np.asarray(held) == held[0])
    # Where the last phase has no length, total_steps itself is past the end.
    no_way_down = schedules.one_cycle_lr(1.0, total_steps=10, pct_start=1.0)
    assert np.all(np.asarray(no_way_down(jnp.asarray([9, 10, 11]))) == 1.0)


@pytest.mark.parametrize("dtype", [jnp.int8, jnp.int32, jnp.uint32, jnp.int64])
def test_any_integer_dtype_drives_a_schedule(dtype):
    schedule = schedules.cosine_annealing_lr(0.1, T_max=MILLION)
    assert_close(schedule(jnp.asarray(100, dtype)), schedule(100), tol.SCHEDULE_FLOAT64_OF_PEAK)
    assert schedule(np.int8(100)) == schedule(100)


def test_before_its_start_a_schedule_has_its_first_value():
    """``optax.join_schedules`` asks every member at every step, counted from its own start."""
    members = [
        schedules.linear_schedule_with_warmup(0.1, 3, 6),
        schedules.lambda_lr(0.1, RATES.__getitem__, total_steps=5),
        schedules.cosine_annealing_warm_restarts(0.1, 3),
    ]
    for member in members:
        assert member(-3) == member(0)
        assert np.array_equal(member(np.array([-2, -1, 0])), [member(0)] * 3)
        assert_close(member(jnp.asarray(-3)), member(0), tol.SCHEDULE_FLOAT64_OF_PEAK)
    joined = optax.join_schedules(members, [4, 8])
    expected = [members[(k >= 4) + (k >= 8)](k % 4) for k in range(11)]
    assert_close([joined(k) for k in range(11)], expected, tol.SCHEDULE_FLOAT64_OF_PEAK)
    traced = jax.jit(jax.vmap(joined))(jnp.arange(11))
    assert_close(traced, expected, tol.SCHEDULE_FLOAT64_OF_PEAK)
    own = schedules.sequential_lr(members, [4, 8])
    assert_close([own(k) for k in range(11)], expected, tol.SCHEDULE_FLOAT64_OF_PEAK)


def test_plain_callables_are_members():
    members = [
        optax.linear_schedule(0.0, 0.1, 10),
        schedules.cosine_annealing_lr(0.1, 20),
        lambda k: 0.01,
    ]
    schedule = schedules.sequential_lr(members, [10, 30])
    steps = np.arange(40)
    expected = np.where(steps < 10, 0.01 * steps, 0.01)
    expected[10:30] = members[1](np.arange(20))
    with jax.numpy_dtype_promotion("standard"):
        found = (
            [schedule(int(k)) for k in steps],
            schedule(steps),
            jax.jit(schedule)(jnp.asarray(steps)),
        )
    for values in found:
        # optax computes in float32 here: its bound.
        assert_close(np.array(values), expected, tol.SCHEDULE_FLOAT32_OF_PEAK)


@pytest.mark.parametrize(
    "make",
    [
        lambda f: schedules.lambda_lr(0.1, f),
        lambda f: schedules.cyclic_lr(0.1, 1.0, scale_fn=f),
        lambda f: schedules.sequential_lr([f], []),
        lambda f: schedules.chained_scheduler([f]),
    ],
)
@pytest.mark.parametrize("function", [lambda k: math.sin(k), lambda k: 0.1 if k > 3 else 0.2])
def test_functions_that_cannot_be_traced_raise_when_they_are(make, function):
    schedule = make(function)
    schedule(5)
    with pytest.raises(TypeError, match=r"cannot be traced .*: write it with jax\.numpy"):
        jax.jit(schedule)(jnp.asarray(5))


def test_functions_of_the_step_are_traced_one_step_at_a_time():
    schedule = schedules.lambda_lr(
        0.1, lambda k: jax.lax.cond(k < 3, lambda: 1.0, lambda: 0.5) * (k / 2)
    )
    steps = jnp.arange(6).reshape(2, 3)
    expected = 0.1 * np.where(np.arange(6) < 3, 1.0, 0.5) * np.arange(6) / 2
    assert_close(schedule(steps), expected.reshape(2, 3), tol.SCHEDULE_FLOAT64_OF_PEAK)


@pytest.mark.parametrize(
    "schedule",
    [
        schedules.multiplicative_lr(0.1, lambda k: 0.9),
        schedules.chained_scheduler(
            [schedules.linear_lr(0.1), schedules.cosine_annealing_lr(0.1, 9)]
        ),
        schedules.sequential_lr(
            [schedules.sequential_lr([LINEAR_SCHEDULE], []), LINEAR_SCHEDULE], [5]
        ),
    ],
    ids=["multiplicative", "chain", "nested sequence"],
)
def test_what_has_no_closed_form_asks_for_total_steps(schedule):
    assert schedule(7) > 0
    with pytest.raises(ValueError, match="give total_steps"):
        jax.jit(schedule)(jnp.asarray(7))


def test_tables_hold_their_last_value():
    members = [schedules.linear_lr(0.1), schedules.cosine_annealing_lr(0.1, 9, 0.01)]
    for schedule in (
        schedules.multiplicative_lr(0.1, lambda k: 0.9, total_steps=20),
        schedules.chained_scheduler(members, total_steps=20),
    ):
        steps = jnp.asarray([19, 20, 21, MILLION])
        expected = [schedule(19), schedule(20), schedule(20), schedule(20)]
        assert_close(jax.jit(schedule)(steps), expected, tol.SCHEDULE_FLOAT64_OF_PEAK)
        assert schedule(21) != schedule(20)


def test_a_plain_callable_sees_its_own_python_ints_only():
    seen = []

    def member(k):
        seen.append(k)
        return 0.1

    schedule = schedules.sequential_lr([LINEAR_SCHEDULE, member], [5])
    assert [schedule(k) for k in (4, 5, 9)] == [LINEAR_SCHEDULE(4), 0.1, 0.1]
    assert seen == [0, 4]
    assert all(type(k) is int for k in seen)


def test_momentum_in_a_sequence_is_pytorchs():
    case = Case(
        "schedules.sequential_lr",
        {
            "schedulers": [
                ("schedules.linear_lr", {"lr": 0.1}),
                ("schedules.one_cycle_lr", {"max_lr": 1.0, "total_steps": 30}),
            ],
            "milestones": [10],
        },
        "torch.optim.lr_scheduler.SequentialLR",
        "",
        {"writes": "momentum"},
    )
    values, _ = run_torch(case, 40)
    momentum = schedules.one_cycle_momentum(total_steps=30)
    schedule = schedules.sequential_lr([lambda k: 0.95, momentum], [10])
    assert_close([schedule(k) for k in range(41)], values, tol.SCHEDULE_FLOAT64_OF_PEAK)


def test_a_scheduler_that_is_stepped_once_an_epoch():
    """Judge: PyTorch's schedulers, whose value an epoch's updates share."""
    chosen = {case.function: index for index, case in enumerate(CASES) if "lr" in case.id}
    for index in chosen.values():
        case = CASES[index]
        values = judged(index)[0][:8]
        schedule = schedules.per_epoch(build(case.function, case.kwargs), 5)
        steps = range(5 * len(values))
        expected = np.repeat(values, 5)
        assert_close([schedule(k) for k in steps], expected, tol.SCHEDULE_FLOAT64_OF_PEAK)
        assert_close(schedule(np.array(steps)), expected, tol.SCHEDULE_FLOAT64_OF_PEAK)
        found = schedule(jnp.asarray(2 * 5 + 4))
        assert_close(found, values[2], tol.SCHEDULE_FLOAT64_OF_PEAK)
    of_optax = schedules.per_epoch(lambda epoch: 0.1 * 0.5**epoch, 4)
    assert [of_optax(k) for k in (0, 3, 4, 8)] == [0.1, 0.1, 0.05, 0.025]
    assert (
        repr(schedules.per_epoch(LINEAR_SCHEDULE, 5))
        == "per_epoch(schedule=linear_lr(lr=0.1), steps_per_epoch=5)"
    )


def test_a_list_of_as_many_values_as_there_are_steps_holds_its_last():
    rates = [0.1, 0.2, 0.4]
    schedule = schedules.lambda_lr(1.0, rates.__getitem__, total_steps=3)
    assert_close(schedule(jnp.arange(6)), [*rates, 0.4, 0.4, 0.4], tol.SCHEDULE_FLOAT64_OF_PEAK)
    assert [schedule(k) for k in range(3)] == rates
    with pytest.raises(IndexError):
        schedules.lambda_lr(1.0, rates.__getitem__, total_steps=4)(jnp.asarray(0))


def test_a_schedule_can_be_a_static_argument():
    value = jax.jit(lambda schedule, k: schedule(k), static_argnums=0)
    assert value(CYCLE, jnp.asarray(2)) == pytest.approx(CYCLE(2))

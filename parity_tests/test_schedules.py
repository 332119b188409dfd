"""Every schedule row against the live ``torch.optim.lr_scheduler`` object, at every step."""

import functools
import json
import os
import pathlib
import subprocess
import sys
import warnings

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
from parity_tests.cases import Case
from parity_tests.cases.schedules import CASES, LONG, ORACLES
from parity_tests.harness import lookup, oracle_of
from torch_ref import schedules as torch_ref_schedules

rows = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
MILLION = 1_000_000
TIMES_LENGTH = 3


# --- a row in jaxaccel, in torch_ref and in PyTorch ---------------------------------------------


def build(package, function, kwargs):
    """Return the row's schedule; the members of a sequence are built first, in order."""
    kwargs = dict(kwargs)
    if "schedulers" in kwargs:
        kwargs["schedulers"] = [build(package, *member) for member in kwargs["schedulers"]]
    return lookup(package, function)(**kwargs)


def find_lr(kwargs):
    """Return the optimizer's learning rate that the row's functions were given."""
    found = [kwargs["lr"]] if "lr" in kwargs else []
    found += [find_lr(member_kwargs) for _, member_kwargs in kwargs.get("schedulers", ())]
    return next((lr for lr in found if lr is not None), None)


def build_torch(optimizer, case):
    """Return PyTorch's scheduler for a row, its members constructed in list order."""
    kwargs = {name: value for name, value in case.kwargs.items() if name != "lr"}
    kwargs |= case.options.get("oracle_kwargs", {})
    if "schedulers" in kwargs:
        members = [Case(name, given, ORACLES[name], "") for name, given in kwargs["schedulers"]]
        kwargs["schedulers"] = [build_torch(optimizer, member) for member in members]
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


@functools.cache
def judged(index):
    """Return PyTorch's values and error for row ``index``, over three times its length."""
    case = CASES[index]
    return run_torch(case, TIMES_LENGTH * case.options["length"])


def assert_close(found, expected, share):
    """Assert an error of at most ``share`` of the largest magnitude."""
    assert np.shape(found) == np.shape(expected)
    error = np.abs(np.asarray(found) - expected)
    allowed = share * np.max(np.abs(expected))
    assert np.all(error <= allowed), f"{error.max():.2e} > {allowed:.2e} at {error.argmax()}"


def assert_same_as_torch(package, case, values, error):
    """Assert PyTorch's value at every step, and PyTorch's error at the step after the last."""
    schedule = build(package, case.function, case.kwargs)
    found = [schedule(k) for k in range(len(values))]
    assert all(type(value) is float for value in found)
    assert_close(found, values, tol.SCHEDULE_FLOAT64_OF_PEAK)
    if error is not None:
        with pytest.raises(type(error)) as raised:
            schedule(len(values))
        if isinstance(error, ValueError):
            assert str(raised.value) == str(error)


# --- every row ----------------------------------------------------------------------------------


@rows
def test_equals_pytorch_at_every_step(case):
    values, error = judged(CASES.index(case))
    assert_same_as_torch("jaxaccel", case, values, error)


@rows
def test_mirror_equals_pytorch_at_every_step(case):
    values, error = judged(CASES.index(case))
    assert_same_as_torch("torch_ref", case, values, error)


@rows
def test_arrays_of_steps_and_traced_steps_give_the_same(case):
    values, _ = judged(CASES.index(case))
    schedule = build("jaxaccel", case.function, case.kwargs)
    steps = np.arange(len(values))
    known = schedule(steps)
    assert known.dtype == np.float64
    assert np.array_equal(known, [schedule(k) for k in steps])
    square = np.stack([steps[::-1], steps])
    assert np.array_equal(schedule(square), known[square])
    traced = jax.jit(schedule)(jnp.asarray(steps))
    assert traced.dtype == jnp.float64
    assert_close(traced, values, tol.SCHEDULE_FLOAT64_OF_PEAK)


# --- far out ------------------------------------------------------------------------------------


def exact(case, k):
    """Return the textbook formula of a row that is no sequence, in 40 digits."""
    given = {name: mpmath.mpf(v) for name, v in case.kwargs.items() if isinstance(v, float)}
    lr, get = given.get("lr"), lambda name, default: given.get(name, mpmath.mpf(default))
    cos = lambda x: (1 + mpmath.cos(mpmath.pi * x)) / 2  # noqa: E731
    if case.function.endswith("cosine_annealing_lr"):
        low = get("eta_min", 0)
        return low + (lr - low) * cos(mpmath.mpf(k) / case.kwargs["T_max"])
    if case.function.endswith("linear_lr"):
        start, end, total = (
            get("start_factor", 1 / 3),
            get("end_factor", 1),
            case.kwargs["total_iters"],
        )
        return lr * (start + (end - start) * min(k, total) / total)
    total, pct = case.kwargs["total_steps"], get("pct_start", 0.3)
    three_phase = case.kwargs.get("three_phase", False)
    if "max_lr" in given:
        peak, first = given["max_lr"], given["max_lr"] / 25
        turns = (
            [first, peak, first, first / 10_000] if three_phase else [first, peak, first / 10_000]
        )
    else:
        turns = [mpmath.mpf(x) for x in (0.95, 0.85, 0.95)]
    ends = [pct * total - 1, *([2 * pct * total - 2] if three_phase else []), mpmath.mpf(total - 1)]
    phase = sum(k > end for end in ends[:-1])
    begin = ends[phase - 1] if phase else 0
    x = (k - begin) / (ends[phase] - begin)
    weight = 1 - x if case.kwargs.get("anneal_strategy") == "linear" else cos(x)
    return turns[phase + 1] + (turns[phase] - turns[phase + 1]) * weight


@pytest.mark.parametrize("case", LONG, ids=lambda case: case.id)
def test_long_schedules_equal_the_formula_in_40_digits(case):
    length, rng = case.options["length"], np.random.default_rng(0)
    last = length - 1 if "total_steps" in case.kwargs else MILLION
    steps = np.unique(np.r_[0:5, last - 20 : last + 1, rng.integers(0, last + 1, size=150)])
    with mpmath.workdps(40):
        expected = [float(exact(case, int(k))) for k in steps]
    for package in ("jaxaccel", "torch_ref"):
        schedule = build(package, case.function, case.kwargs)
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


def float32_errors(schedule, steps):
    """Return the largest error of the peak, and of values that are not small."""
    expected, found = schedule(np.asarray(steps, np.int64)), jax.jit(schedule)(jnp.asarray(steps))
    assert found.dtype == jnp.float32
    error, peak = np.abs(np.asarray(found, np.float64) - expected), np.abs(expected).max()
    of_value = error / np.where(expected > tol.SCHEDULE_SMALL * peak, expected, np.inf)
    return error.max() / (peak or 1.0), of_value.max()


def report_float32():
    """Print the float32 errors of every row, and of steps in a narrow type."""
    rng, report = np.random.default_rng(0), {}
    for case in [*CASES, *LONG]:
        schedule = build("jaxaccel", case.function, case.kwargs)
        start, end = np.arange(3000), case.options["length"] + np.arange(-3000, 100)
        far = MILLION - np.arange(100)
        steps = np.concatenate([start, end, rng.integers(MILLION, size=4000), far])
        steps = steps.clip(0, last_step(schedule, MILLION))
        report[case.id] = float32_errors(schedule, steps)
        if case in LONG:
            report[f"{case.id}-int8"] = float32_errors(schedule, np.arange(127, dtype=np.int8))
    print(json.dumps(report))


def test_traced_float32_holds_its_bounds_up_to_a_million_steps():
    code = "from parity_tests.test_schedules import report_float32; report_float32()"
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "JAX_ENABLE_X64": "0",
        "JAX_NUMPY_DTYPE_PROMOTION": "strict",
        "JAX_NUMPY_RANK_PROMOTION": "raise",
    }
    root = pathlib.Path(__file__).resolve().parents[1]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=root, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report.keys() >= {case.id for case in [*CASES, *LONG]}
    for name, (of_peak, of_value) in report.items():
        assert of_peak <= tol.SCHEDULE_FLOAT32_OF_PEAK, f"{name}: {of_peak:.2e} of the peak"
        assert of_value <= tol.SCHEDULE_FLOAT32_OF_VALUE, f"{name}: {of_value:.2e} of the value"


# --- each constructor's space -------------------------------------------------------------------

fuzz = settings(deadline=None, max_examples=60, derandomize=True, database=None)
rates = st.just(0.0) | st.floats(1e-6, 10.0)
factors = st.floats(0.01, 1.0)
lengths = st.integers(1, 40)


def linear_kwargs(lr, least=0):
    return st.fixed_dictionaries(
        {"lr": lr, "start_factor": factors},
        optional={"end_factor": st.floats(0.0, 1.0), "total_iters": st.integers(least, 30)},
    )


def cosine_kwargs(lr):
    return st.fixed_dictionaries(
        {"lr": lr, "T_max": lengths}, optional={"eta_min": st.floats(0.0, 0.5)}
    )


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


@st.composite
def sequence_kwargs(draw, lr, nest=2):
    """Draw a sequence; only its first member may be a sequence, as PyTorch asks."""
    members = []
    for index in range(draw(st.integers(1, 4))):
        kinds = {
            "schedules.linear_lr": linear_kwargs(lr, least=1 if index else 0),
            "schedules.cosine_annealing_lr": cosine_kwargs(lr),
            "schedules.one_cycle_lr": one_cycle_kwargs,
        }
        if index == 0 and nest:
            kinds["schedules.sequential_lr"] = sequence_kwargs(lr, nest - 1)
        kind = draw(st.sampled_from(sorted(kinds)))
        members.append((kind, draw(kinds[kind])))
    gaps = st.lists(st.integers(0, 12), min_size=len(members) - 1, max_size=len(members) - 1)
    milestones = [int(milestone) for milestone in np.cumsum(draw(gaps))]
    return {"schedulers": members, "milestones": milestones}


def assert_constructor_equals_torch(function, kwargs, **options):
    """Assert equality in both packages; where PyTorch divides by zero, both refuse."""
    case = Case(function, kwargs, ORACLES[function], "hypothesis", options)
    try:
        values, error = run_torch(case, 100)
    except ZeroDivisionError:
        for package in ("jaxaccel", "torch_ref"):
            with pytest.raises(ValueError, match="divides by zero"):
                build(package, function, kwargs)
        return
    for package in ("jaxaccel", "torch_ref"):
        assert_same_as_torch(package, case, values, error)


@fuzz
@given(linear_kwargs(rates))
def test_any_linear_lr(kwargs):
    assert_constructor_equals_torch("schedules.linear_lr", kwargs)


@fuzz
@given(cosine_kwargs(rates))
def test_any_cosine_annealing_lr(kwargs):
    assert_constructor_equals_torch("schedules.cosine_annealing_lr", kwargs)


@fuzz
@given(one_cycle_kwargs)
def test_any_one_cycle_lr(kwargs):
    assert_constructor_equals_torch("schedules.one_cycle_lr", kwargs)


@fuzz
@given(momentum_kwargs)
def test_any_one_cycle_momentum(kwargs):
    options = {"writes": "momentum", "oracle_kwargs": {"max_lr": 1.0}}
    assert_constructor_equals_torch("schedules.one_cycle_momentum", kwargs, **options)


@settings(fuzz, max_examples=200)
@given(sequence_kwargs(st.just(0.1)))
def test_any_sequential_lr(kwargs):
    assert_constructor_equals_torch("schedules.sequential_lr", kwargs)


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
    options = {"oracle_kwargs": {"max_lr": 1.0}} if function.endswith("momentum") else {}
    case = Case(function, kwargs, ORACLES[function], "", options)
    with pytest.raises(ValueError) as judge:
        run_torch(case, 0)
    for package in ("jaxaccel", "torch_ref"):
        with pytest.raises(ValueError) as raised:
            build(package, function, kwargs)
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
        (lambda s: s.linear_lr(0.1)(-1), ValueError, "step must be at least 0"),
        (lambda s: s.linear_lr(0.1)(1.5), TypeError, "integer"),
        (lambda s: s.one_cycle_lr(1.0, 10)(12), ValueError, "Tried to step 12 times"),
    ],
)
@pytest.mark.parametrize("package", [schedules, torch_ref_schedules], ids=["jaxaccel", "torch_ref"])
def test_other_errors_are_clear(package, call, error, text):
    with pytest.raises(error, match=text):
        call(package)


@pytest.mark.parametrize("package", [schedules, torch_ref_schedules], ids=["jaxaccel", "torch_ref"])
def test_what_pytorch_cannot_start_at_a_milestone_is_refused(package):
    """Judge: PyTorch builds these and fails when the milestone comes."""
    linear = ("schedules.linear_lr", {"lr": 0.1})
    inner = ("schedules.sequential_lr", {"schedulers": [linear], "milestones": []})
    empty = ("schedules.linear_lr", {"lr": 0.1, "total_iters": 0})
    for member, error in ((inner, NotImplementedError), (empty, ZeroDivisionError)):
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
            build(package.__name__.split(".")[0], function, kwargs)
        # Passed over, it is never started.
        kwargs = {"schedulers": [linear, member, linear], "milestones": [3, 3]}
        assert build(package.__name__.split(".")[0], function, kwargs)(8) == pytest.approx(0.1)


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


def test_learning_rate_of_optaxs_optimizers():
    schedule = schedules.sequential_lr(
        [LINEAR_SCHEDULE, schedules.cosine_annealing_lr(0.1, 9)], [5]
    )
    transform = optax.sgd(learning_rate=schedule)

    def step(carry, _):
        params, state = carry
        updates, state = transform.update(jnp.ones(()), state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), params

    with jax.numpy_dtype_promotion("standard"):
        params = jnp.zeros(())
        _, path = jax.jit(lambda: jax.lax.scan(step, (params, transform.init(params)), length=20))()
    expected = -np.cumsum(schedule(np.arange(20)))
    assert_close(np.asarray(path), expected, tol.SCHEDULE_FLOAT64_OF_PEAK)


def test_inject_hyperparams_shows_the_values():
    momentum = schedules.one_cycle_momentum(total_steps=10)
    transform = optax.inject_hyperparams(optax.adamw)(learning_rate=CYCLE, b1=momentum)
    with jax.numpy_dtype_promotion("standard"):
        params = jnp.zeros(3)
        state = transform.init(params)
        update = jax.jit(transform.update)
        for k in range(10):
            _, state = update(jnp.ones(3), state, params)
            found = state.hyperparams["learning_rate"], state.hyperparams["b1"]
            assert_close(np.array(found), [CYCLE(k), momentum(k)], tol.SCHEDULE_FLOAT64_OF_PEAK)


def test_a_schedule_can_be_a_static_argument():
    value = jax.jit(lambda schedule, k: schedule(k), static_argnums=0)
    assert value(CYCLE, jnp.asarray(2)) == pytest.approx(CYCLE(2))

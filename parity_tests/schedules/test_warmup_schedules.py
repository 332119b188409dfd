"""The schedules of Transformers against a live ``LambdaLR`` with the published formula."""

import fractions
import functools
import json

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from jaxaccel import schedules
from parity_tests.harness.schedule import float32_errors, steps_around
from parity_tests.harness.warmup import FORMULAS, TIMES_LENGTH, formula_of, run_torch, same
from parity_tests.registry import Case, lookup
from parity_tests.schedules.rows_warmup_schedules import (
    CASES,
    ERRORS,
    LONG,
    MILLION,
    RESTARTS,
    SCALE,
    SCHEDULES,
)

rows = pytest.mark.parametrize("case", SCHEDULES, ids=lambda case: case.id)


# --- a row in jaxaccel and in PyTorch -----------------------------------------------------------


def build(case):
    """Return the row's schedule."""
    return lookup("jaxaccel", case.function)(**case.kwargs)


@functools.cache
def judged(index):
    """Return the values of row ``index`` over three times its length."""
    case = SCHEDULES[index]
    return judge(case, TIMES_LENGTH * case.options["length"])


def judge(case, steps):
    """Return PyTorch's values after 0, 1, ... steps."""
    make = functools.partial(lr_scheduler.LambdaLR, lr_lambda=formula_of(case))
    return run_torch(case.kwargs["lr"], make, steps)


# --- every row ----------------------------------------------------------------------------------


@pytest.mark.quick
@rows
def test_equals_a_live_lambda_lr_at_every_step(case):
    values, schedule = judged(SCHEDULES.index(case)), build(case)
    found = [schedule(k) for k in range(len(values))]
    assert all(type(value) is float for value in found)
    same(found, values)


@rows
def test_arrays_of_steps_and_traced_steps_give_the_same(case):
    values, schedule = judged(SCHEDULES.index(case)), build(case)
    steps = np.arange(len(values))
    known = schedule(steps)
    assert known.dtype == np.float64
    # NumPy's vector instructions may round a power another way than its scalar ones.
    same(known, [schedule(k) for k in steps])
    square = np.stack([steps[::-1], steps])
    same(schedule(square), known[square])
    traced = jax.jit(schedule)(jnp.asarray(steps))
    assert traced.dtype == jnp.float64
    same(traced, values)


@pytest.mark.quick
@pytest.mark.parametrize("case", SCALE, ids=lambda case: case.id)
def test_the_scaling_rules(case):
    given = case.kwargs
    ratio = fractions.Fraction(given["batch_size"], given["base_batch_size"])
    expected = given["base_lr"] * float(ratio) ** (0.5 if given.get("rule") == "sqrt" else 1.0)
    found = build(case)
    assert type(found) is float
    same(found, expected)


def test_the_well_known_rate_of_a_batch_of_1024():
    assert schedules.scale_lr(0.1, 256, 1024) == 0.4


def test_all_rows_are_judged():
    assert {case.function for case in CASES} == {*FORMULAS, "schedules.scale_lr"}


# --- where PyTorch has a class for it -----------------------------------------------------------


@pytest.mark.parametrize("eta_min", [0.0, 0.02])
def test_without_warmup_a_half_cycle_is_cosine_annealing_past_the_end_too(eta_min):
    make = functools.partial(lr_scheduler.CosineAnnealingLR, T_max=50, eta_min=eta_min)
    make_ours = schedules.cosine_with_min_lr_schedule_with_warmup
    schedule = make_ours(0.1, 0, 50, min_lr=eta_min)
    same([schedule(k) for k in range(151)], run_torch(0.1, make, 150))


def test_without_warmup_restarts_are_warm_restarts_to_the_end():
    make = functools.partial(lr_scheduler.CosineAnnealingWarmRestarts, T_0=25)
    schedule = getattr(schedules, RESTARTS)(0.1, 0, 100, num_cycles=4)
    same([schedule(k) for k in range(100)], run_torch(0.1, make, 99))


def test_a_warmup_is_a_linear_lr_that_began_a_step_earlier_at_zero():
    make = functools.partial(lr_scheduler.LinearLR, start_factor=1 / 20, total_iters=19)
    schedule = schedules.constant_schedule_with_warmup(0.1, 20)
    assert schedule(0) == 0.0
    same([schedule(k + 1) for k in range(61)], run_torch(0.1, make, 60))


def test_a_linear_decay_alone_is_a_linear_lr():
    make = functools.partial(
        lr_scheduler.LinearLR, start_factor=1.0, end_factor=0.1, total_iters=30
    )
    schedule = schedules.wsd_schedule(
        0.1, 0, 30, num_stable_steps=0, decay_type="linear", min_lr_ratio=0.1
    )
    same([schedule(k) for k in range(91)], run_torch(0.1, make, 90))


def test_the_inverse_square_root_is_that_of_the_first_transformer():
    width, warmup = 512, 40
    schedule = schedules.inverse_sqrt_schedule((width * warmup) ** -0.5, warmup)
    expected = [width**-0.5 * min(k**-0.5, k * warmup**-1.5) for k in range(1, 200)]
    same([schedule(k) for k in range(1, 200)], expected)


def test_restarts_are_on_their_step_where_a_rounded_fraction_misses_it():
    schedule = getattr(schedules, RESTARTS)(0.1, 0, 98, num_cycles=49)
    assert 49 * (2 / 98) % 1.0 > 0.5  # what is nearly 1 is the end of a fall
    assert [schedule(k) for k in range(0, 98, 2)] == [0.1] * 49


# --- far out ------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", LONG, ids=lambda case: case.id)
def test_long_schedules_equal_the_formula_in_40_digits(case):
    rng = np.random.default_rng(0)
    steps = np.unique(np.r_[0:5, MILLION - 20 : MILLION + 1, rng.integers(MILLION, size=150)])
    with mpmath.workdps(40):
        formula, lr = formula_of(case, mpmath), mpmath.mpf(case.kwargs["lr"])
        expected = [float(lr * formula(mpmath.mpf(int(k)))) for k in steps]
    schedule = build(case)
    same([schedule(int(k)) for k in steps], expected)


def report_float32():
    """Print the float32 errors of every row: of the peak, and of values that are not small."""
    report = {
        case.id: float32_errors(build(case), steps_around(case.options["length"]))
        for case in [*SCHEDULES, *LONG]
    }
    print(json.dumps(report))


# --- each constructor's space -------------------------------------------------------------------

fuzz = settings(deadline=None, max_examples=60, derandomize=True, database=None)
rates = st.just(0.0) | st.floats(1e-6, 10.0)
lengths = st.integers(0, 40)
cycles = st.floats(0.0, 2.0)
ratios = st.floats(0.0, 1.5)
shapes = st.sampled_from(["linear", "cosine", "1-sqrt"])


@st.composite
def training(draw, required, optional, least=0):
    """Draw the arguments of a schedule that warms up within its training."""
    warmup, rest = draw(lengths), max(draw(lengths), least)
    whole = {"num_warmup_steps": warmup, "num_training_steps": warmup + rest}
    return whole | draw(st.fixed_dictionaries(required, optional=optional))


@st.composite
def phases(draw):
    """Draw the arguments of a schedule of three phases."""
    warmup, decay, stable = draw(lengths), draw(lengths), draw(lengths)
    plateau = draw(
        st.sampled_from(
            [{"num_stable_steps": stable}, {"num_training_steps": warmup + decay + stable}]
        )
    )
    options = {"warmup_type": shapes, "decay_type": shapes, "min_lr_ratio": ratios}
    options = draw(st.fixed_dictionaries({"lr": rates}, optional=options | {"num_cycles": cycles}))
    return {"num_warmup_steps": warmup, "num_decay_steps": decay, **plateau, **options}


def assert_any_equals(function, kwargs):
    """Assert equality with a live LambdaLR, known and traced."""
    case = Case(f"schedules.{function}", kwargs, "formula", "hypothesis")
    values = judge(case, 120)
    schedule = build(case)
    same([schedule(k) for k in range(len(values))], values)
    # Op by op: a compilation for each example would take all the time.
    same(build(case)(jnp.arange(len(values))), values)


@fuzz
@given(rates, lengths)
def test_any_constant_schedule_with_warmup(lr, steps):
    assert_any_equals("constant_schedule_with_warmup", {"lr": lr, "num_warmup_steps": steps})


@fuzz
@given(training({"lr": rates}, {}))
def test_any_linear_schedule_with_warmup(kwargs):
    assert_any_equals("linear_schedule_with_warmup", kwargs)


@fuzz
@given(
    training(
        {"lr": st.floats(0.1, 10.0)},
        {"lr_end": st.floats(0.0, 0.09), "power": st.floats(0.0, 3.0)},
        least=1,
    )
)
def test_any_polynomial_decay_schedule_with_warmup(kwargs):
    assert_any_equals("polynomial_decay_schedule_with_warmup", kwargs)


@fuzz
@given(training({"lr": rates}, {"num_cycles": cycles}))
def test_any_cosine_schedule_with_warmup(kwargs):
    assert_any_equals("cosine_schedule_with_warmup", kwargs)


floored = {"num_cycles": cycles, "hold_min_lr": st.booleans()}


@fuzz
@given(
    training({"lr": rates, "min_lr_rate": ratios}, floored)
    | training({"lr": st.floats(1e-3, 10.0), "min_lr": st.floats(0.0, 0.1)}, floored)
)
def test_any_cosine_with_min_lr_schedule_with_warmup(kwargs):
    if kwargs.get("hold_min_lr") and kwargs.get("num_cycles", 0.5) % 1 != 0.5:
        kwargs["num_cycles"] = 0.5  # a cosine that is elsewhere at its end jumps to the floor
    assert_any_equals("cosine_with_min_lr_schedule_with_warmup", kwargs)


@fuzz
@given(training({"lr": rates}, {"num_cycles": st.integers(1, 60)}))
def test_any_cosine_with_hard_restarts_schedule_with_warmup(kwargs):
    assert_any_equals(RESTARTS, kwargs)


@fuzz
@given(
    st.fixed_dictionaries(
        {"lr": rates, "num_warmup_steps": lengths}, optional={"timescale": st.integers(1, 100)}
    )
)
def test_any_inverse_sqrt_schedule(kwargs):
    assert_any_equals("inverse_sqrt_schedule", kwargs)


@fuzz
@given(phases())
def test_any_wsd_schedule(kwargs):
    assert_any_equals("wsd_schedule", kwargs)


# --- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "args", "error", "text"), ERRORS)
def test_errors_are_clear(name, args, error, text):
    with pytest.raises(error, match=text):
        getattr(schedules, name)(*args)


def test_the_plateau_goes_before_the_whole_with_a_warning():
    text = "Both num_training_steps and num_stable_steps are specified. num_stable_steps will be"
    with pytest.warns(UserWarning, match=text):
        both_given = schedules.wsd_schedule(0.1, 5, 5, 40, 7)
    alone = schedules.wsd_schedule(0.1, 5, 5, num_stable_steps=7)
    assert [both_given(k) for k in range(40)] == [alone(k) for k in range(40)]


# --- in company ---------------------------------------------------------------------------------


def test_members_of_a_sequence_are_pytorchs():
    warmup = Case(
        "schedules.constant_schedule_with_warmup",
        {"lr": 0.1, "num_warmup_steps": 10},
        "formula",
        "",
    )
    decay = Case(
        "schedules.inverse_sqrt_schedule",
        {"lr": 0.1, "num_warmup_steps": 0, "timescale": 20},
        "formula",
        "",
    )

    def make(optimizer):
        members = [
            lr_scheduler.LambdaLR(optimizer, formula_of(warmup)),
            lr_scheduler.CosineAnnealingLR(optimizer, T_max=15),
            lr_scheduler.LambdaLR(optimizer, formula_of(decay)),
        ]
        return lr_scheduler.SequentialLR(optimizer, members, milestones=[12, 30])

    values = run_torch(0.1, make, 100)
    members = [build(warmup), schedules.cosine_annealing_lr(0.1, 15), build(decay)]
    schedule = schedules.sequential_lr(members, [12, 30])
    same([schedule(k) for k in range(101)], values)


@pytest.mark.parametrize(
    "schedule",
    [
        schedules.constant_schedule(0.1),
        schedules.constant_schedule_with_warmup(0.1, 5),
        schedules.linear_schedule_with_warmup(0.1, 5, 20),
        schedules.polynomial_decay_schedule_with_warmup(0.1, 5, 20, power=2.0),
        schedules.cosine_schedule_with_warmup(0.1, 5, 20, num_cycles=0.7),
        schedules.cosine_with_min_lr_schedule_with_warmup(0.1, 5, 20, min_lr=0.01),
        schedules.cosine_with_hard_restarts_schedule_with_warmup(0.1, 5, 20, num_cycles=3),
        schedules.inverse_sqrt_schedule(0.1, 5),
        schedules.wsd_schedule(0.1, 5, 5, 20, warmup_type="1-sqrt"),
    ],
    ids=[name.split(".")[1] for name in FORMULAS],
)
def test_they_drive_optaxs_optimizers_and_injected_hyperparameters(schedule):
    transform = optax.inject_hyperparams(optax.sgd)(learning_rate=schedule)
    plain = optax.sgd(learning_rate=schedule)

    def step(states, _):
        update, injected = transform.update(jnp.ones(()), states[0])
        found, other = plain.update(jnp.ones(()), states[1])
        return (injected, other), (injected.hyperparams["learning_rate"], -update, -found)

    with jax.numpy_dtype_promotion("standard"):
        states = transform.init(jnp.zeros(())), plain.init(jnp.zeros(()))
        _, columns = jax.jit(lambda: jax.lax.scan(step, states, length=30))()
    for values in columns:
        same(values, schedule(np.arange(30)))

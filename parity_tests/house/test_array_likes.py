"""Numbers may be NumPy's or JAX', and what a type checker accepts runs."""

import inspect
import typing

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxaccel as ja
from jaxaccel._types import Count, Number, Scalar, Schedule
from parity_tests.harness.optimizer import lookup
from parity_tests.house import typed_sample
from parity_tests.optimizers import rows_optimizers
from parity_tests.schedules import rows_schedules, rows_warmup_schedules


@pytest.mark.parametrize("part", ["schedules", "optimizers", "layers", "training"])
def test_the_typed_sample_runs(part):
    getattr(typed_sample, part)()


# --- schedules ----------------------------------------------------------------------------------

FLOATS = {
    "float64": np.float64,
    "array": lambda x: np.array([x]),
    "jax": jnp.float64,
    "0-d": np.array,
}
COUNTS = {"float64": np.int64, "array": np.int32, "jax": np.uint16, "0-d": np.int64}


def converted(function, kwargs, kind):
    """Return the arguments with every number as another kind has it."""
    hints = typing.get_type_hints(function)
    return {name: _converted(hints[name], value, kind) for name, value in kwargs.items()}


def _converted(hint, value, kind):
    if isinstance(value, (list, tuple)) and all(type(item) is int for item in value):
        return [COUNTS[kind](item) for item in value]
    if type(value) not in (int, float):
        return value
    parts = set(typing.get_args(hint)) or {hint}
    if parts >= set(typing.get_args(Scalar)):
        return FLOATS[kind](value)
    assert parts >= set(typing.get_args(Count)), (hint, value)
    return COUNTS[kind](value) if value >= 0 else value


SCHEDULES = {
    (case.function, *sorted(case.kwargs)): case
    for case in (*rows_schedules.CASES, *rows_warmup_schedules.CASES)
    if "schedulers" not in case.kwargs and case.options.get("length", 9) > 7
}
"""A row for every set of arguments."""


@pytest.mark.parametrize("kind", FLOATS)
@pytest.mark.parametrize("case", SCHEDULES.values(), ids=lambda case: case.id)
def test_a_schedule_takes_numpys_and_jaxs_numbers(case, kind):
    function = lookup("jaxaccel", case.function)
    expected = function(**case.kwargs)
    found = function(**converted(function, case.kwargs, kind))
    if case.function == "schedules.scale_lr":
        assert type(found) is float
        assert found == expected
        return
    for k in (0, 1, np.int64(7)):
        assert type(found(k)) is float
        assert found(k) == expected(k)


def test_every_number_of_a_schedule_says_so():
    """No argument is annotated as a bare float or int."""
    bare = []
    for name in ja.schedules.__all__:
        function = getattr(ja.schedules, name)
        hints = typing.get_type_hints(function) if inspect.isfunction(function) else {}
        for parameter, hint in hints.items():
            parts = typing.get_args(hint) or (hint,)
            says = np.ndarray in parts if float in parts else np.integer in parts
            if parameter != "return" and (float in parts or int in parts) and not says:
                bare.append((name, parameter))
    assert not bare


def test_a_schedule_and_a_function_are_schedules():
    assert isinstance(ja.schedules.constant_schedule_with_warmup(1.0, 10), Schedule)
    assert isinstance(lambda step: 0.1, Schedule)


# --- optimizers ---------------------------------------------------------------------------------

KINDS = {
    "numpy scalar": np.float32,
    "0-d array": lambda x: np.array(x, np.float32),
    "one element": lambda x: np.array([x], np.float32),
    "jax scalar": jnp.float32,
    "jax, one element": lambda x: jnp.array([x], jnp.float32),
    "integer": lambda x: np.int32(round(x)),
}
OPTIMIZERS = {
    "sgd": {"lr": 0.5, "momentum": 0.75, "weight_decay": 0.25},
    "adam": {"lr": 0.5, "betas": (0.5, 0.75), "eps": 0.25},
    "rprop": {"lr": 0.5, "etas": (0.5, 1.5), "step_sizes": (0.25, 8.0)},
    "adafactor": {"lr": 0.5, "beta2_decay": -0.5, "eps": (0.25, 0.125), "d": 1.5},
    "lookahead": {"tx": ja.optimizers.sgd(0.5), "k": 2, "alpha": 0.25},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_takes_numpys_and_jaxs_numbers(name, kind):
    """The numbers are powers of two, or whole: every kind holds them exactly."""
    exact = OPTIMIZERS[name]
    if kind == "integer":  # what is whole and within the bounds
        exact = {"lr": 1.0} if name != "lookahead" else {**exact, "alpha": 1.0}
    other = {n: _other(KINDS[kind], value) for n, value in exact.items()}
    params, grads = jnp.array([[1.0, -2.0], [0.5, 4.0]]), jnp.array([[0.5, 1.0], [-1.0, 0.25]])
    runs = []
    for arguments in (exact, other):
        tx = getattr(ja.optimizers, name)(**arguments)
        state, moved = tx.init(params), params
        for _ in range(3):
            updates, state = tx.update(grads, state, moved)
            moved = moved + updates
        runs.append(moved)
    assert np.array_equal(*runs)


def _other(convert, value):
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return tuple(convert(item) for item in value)
    return convert(value) if isinstance(value, float) else value


def test_every_number_of_an_optimizer_says_so():
    """No argument is annotated as a bare float: it would not be scheduled or set in groups."""
    for case in rows_optimizers.CASES:
        function = lookup("jaxaccel", case.function)
        for name, hint in typing.get_type_hints(function, include_extras=True).items():
            if name in case.kwargs and isinstance(case.kwargs[name], float):
                marks = getattr(hint, "__metadata__", ())
                assert any(isinstance(mark, Number) for mark in marks), (case.function, name)


# --- counts and sizes ---------------------------------------------------------------------------

X = jnp.arange(64.0).reshape(1, 8, 8, 1)
GRADIENT_FN = ja.training.gradients(lambda p, state, batch: (jnp.mean(p * batch), (state, {})))


def lookahead(k):
    tx = ja.optimizers.lookahead(ja.optimizers.sgd(0.5), k=k)
    params = jnp.ones(2, jnp.float32)
    state = tx.update(params, tx.init(params), params)[1]
    return tx.update(3 * params, state, params)[0]


def accumulate_gradients(steps):
    tx = ja.transforms.accumulate_gradients(ja.optimizers.sgd(0.5), steps)
    params = jnp.ones(2, jnp.float32)
    state = tx.update(params, tx.init(params), params)[1]
    return tx.update(3 * params, state, params)[0]


COUNTED = {
    "accumulate": lambda n: ja.training.accumulate(GRADIENT_FN, n)(
        jnp.float32(1), (), jnp.arange(4, dtype=jnp.float32)
    ),
    "batch_axes": lambda n: ja.training.accumulate(GRADIENT_FN, 2, batch_axes=n - 1)(
        1.0, (), jnp.ones((3, 4))
    ),
    "accumulate_gradients": accumulate_gradients,
    "lookahead": lookahead,
    "max_pool2d": lambda n: ja.functional.max_pool2d(X, n, (n, 1), padding=n - 1),
    "avg_pool2d": lambda n: ja.functional.avg_pool2d(X, (n, 3), n),
    "adaptive_avg_pool2d": lambda n: ja.functional.adaptive_avg_pool2d(X, (n, None)),
    "conv2d": lambda n: ja.functional.conv2d(X, jnp.ones((3, 3, 1, 2)), stride=n, dilation=(n, 1)),
    "Conv2d": lambda n: ja.nn.Conv2d(1, 2, n, rngs=ja.random.Generator(0))(X.astype(jnp.float32)),
    "interpolate": lambda n: ja.functional.interpolate(
        X.astype(jnp.float32), size=(n, 3), mode="bilinear"
    ),
}


@pytest.mark.parametrize("function", COUNTED)
def test_a_count_may_be_numpys_and_not_a_bool(function):
    """PyTorch takes NumPy's integers, and no bool, for a size."""
    run = COUNTED[function]
    for kind in (np.int64, np.uint8, np.array):
        for found, expected in zip(*map(jax.tree.leaves, (run(kind(2)), run(2))), strict=True):
            assert found.dtype == expected.dtype
            assert np.array_equal(found, expected)
    for wrong in (True, np.bool_(True), 2.0):
        with pytest.raises((TypeError, ValueError)):
            run(wrong)


def test_what_is_not_a_number_is_refused():
    for wrong in ("0.1", None, True, 1j, np.array([0.1, 0.2]), np.bool_(True)):
        for call in (
            lambda wrong: ja.optimizers.sgd(wrong),
            lambda wrong: ja.schedules.constant_lr(wrong),
        ):
            with pytest.raises((TypeError, ValueError), match="lr"):
                call(wrong)


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_a_matrix_of_numpys_multiplies_as_an_array():
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    for call in (
        ja.functional.tanhshrink,
        lambda x: ja.functional.rms_norm(x, (3,)),
        lambda x: ja.functional.mse_loss(x, x + 1),
    ):
        np.testing.assert_array_equal(call(np.matrix(x)), call(x))

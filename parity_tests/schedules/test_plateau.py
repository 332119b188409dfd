"""``reduce_lr_on_plateau`` against the live PyTorch object, after every metric."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_same_path
from parity_tests.registry import lookup, oracle_of
from parity_tests.schedules.rows_plateau import CASES, metric_series

rows = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
EAGER = 40
"""Metrics of an eager run, which is slow."""


# --- the judge, and a row in jaxaccel -----------------------------------------------------------


def live(case_or_kwargs, parameters=None, optimizer=torch.optim.SGD, **options):
    """Return PyTorch's optimizer and the scheduler that drives it."""
    kwargs = dict(getattr(case_or_kwargs, "kwargs", case_or_kwargs))
    if parameters is None:
        parameters = [torch.nn.Parameter(torch.zeros(1))]
    made = optimizer(parameters, lr=kwargs.pop("lr"), **options)
    return made, oracle_of(CASES[0])(made, **kwargs)


def read_torch(scheduler):
    """Return the fields of a PlateauState from PyTorch's own state_dict."""
    found = scheduler.state_dict()
    keys = ("best", "num_bad_epochs", "cooldown_counter", "last_epoch")
    return [*(found[key] for key in keys), found["_last_lr"][0]]


def run_torch(kwargs, metrics):
    """Return PyTorch's state before the first metric and after each: (len + 1, fields)."""
    optimizer, scheduler = live(kwargs)
    states = [read_torch(scheduler)]
    optimizer.step()
    for metric in metrics:
        scheduler.step(metric)
        states.append(read_torch(scheduler))
    return np.array(states, dtype=float)


def run_scanned(kwargs, series):
    """Return the states of all series from one compiled scan: a PlateauState of (series, step)."""
    plateau = ja.schedules.reduce_lr_on_plateau(**kwargs)

    def step(state, metric):
        state = plateau.update(state, metric)
        return state, state

    scan = jax.jit(jax.vmap(lambda metrics: jax.lax.scan(step, plateau.init(), metrics)[1]))
    return scan(series)


@functools.cache
def judged(index, dtype):
    """Return (series, PyTorch's states) of a row, the metrics rounded to ``dtype``."""
    series = np.stack(list(metric_series().values())).astype(dtype)
    return series, np.stack([run_torch(CASES[index].kwargs, metrics) for metrics in series])


# --- every row ----------------------------------------------------------------------------------


@pytest.mark.parity
@rows
def test_compiled_scan_equals_pytorch_after_every_metric(case):
    series, expected = judged(CASES.index(case), "float64")
    found = run_scanned(case.kwargs, jnp.asarray(series))
    assert found.best.dtype == found.lr.dtype == jnp.float64
    for field, theirs in zip(found, np.moveaxis(expected[:, 1:], -1, 0), strict=True):
        assert np.array_equal(field, theirs)


@rows
def test_eager_calls_equal_pytorch_after_every_metric(case):
    series, expected = judged(CASES.index(case), "float64")
    plateau = ja.schedules.reduce_lr_on_plateau(**case.kwargs)
    state = jax.tree.map(lambda leaf: jnp.full(len(series), leaf), plateau.init())
    for metrics, before in zip(series.T, np.moveaxis(expected, 1, 0)[:EAGER], strict=False):
        assert np.array_equal(np.stack(state, -1).astype(float), before)
        state = jax.vmap(plateau.update)(state, jnp.asarray(metrics))


# --- float32 ------------------------------------------------------------------------------------


def check_float32():
    """Assert that float32 metrics are judged as PyTorch judges them, in every row."""
    for index, case in enumerate(CASES):
        series, expected = judged(index, "float32")
        found = run_scanned(case.kwargs, jnp.asarray(series))
        *decisions, lr = np.moveaxis(expected[:, 1:], -1, 0)
        assert found.best.dtype == found.lr.dtype == jnp.float32
        for field, theirs in zip(found, decisions, strict=False):
            assert np.array_equal(field, theirs), case.id
        assert np.all(np.abs(found.lr - lr) <= tol.SCHEDULE_FLOAT32_OF_VALUE * lr), case.id
    print(len(CASES), "rows")


# --- the constructor's space --------------------------------------------------------------------

# No subnormal numbers come of these: XLA flushes them.
numbers = st.integers(-(10**6), 10**6).map(lambda n: n / 997) | st.integers(-4, 4).map(float)
metrics_lists = st.lists(numbers | st.sampled_from([np.nan, np.inf, -np.inf]), max_size=40)
any_kwargs = st.fixed_dictionaries(
    {"lr": st.just(0.0) | st.floats(1e-6, 10.0), "patience": st.integers(0, 4)},
    optional={
        "mode": st.sampled_from(["min", "max"]),
        "factor": st.just(0) | st.floats(1e-3, 1.0, exclude_max=True),
        "threshold": st.sampled_from([-1, 0, 1]) | st.floats(1e-9, 2.0) | st.floats(-2.0, -1e-9),
        "threshold_mode": st.sampled_from(["rel", "abs"]),
        "cooldown": st.integers(0, 4),
        "min_lr": st.sampled_from([0, -1]) | st.floats(1e-6, 1.0),
        "eps": st.just(0) | st.floats(1e-12, 1.0),
    },
)


@settings(deadline=None, max_examples=40, derandomize=True, database=None)
@given(any_kwargs, metrics_lists)
def test_any_plateau(kwargs, metrics):
    metrics = np.resize([*metrics, 0.0], EAGER)  # one shape: fewer programs
    found = run_scanned(kwargs, jnp.asarray(metrics[None]))
    expected = run_torch(kwargs, metrics)
    assert np.array_equal(np.stack(found, -1).astype(float)[0], expected[1:])


# --- driving an optimizer -----------------------------------------------------------------------

EPOCHS, STEPS = 30, 3
DRIVEN = {"lr": 0.05, "factor": 0.5, "patience": 1, "cooldown": 1, "min_lr": 0.002}
OPTIMIZERS = {
    "sgd": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    "adamw": (torch.optim.AdamW, {"weight_decay": 0.1}),
    "rmsprop": (torch.optim.RMSprop, {"momentum": 0.5}),
}


def recipe():
    """Return initial leaves, gradients of every step, and the metric of every epoch."""
    rng = np.random.default_rng(1)
    leaves = {"first": rng.normal(size=(4, 3)), "second": rng.normal(size=5)}
    grads = {k: rng.normal(size=(EPOCHS, STEPS, *leaf.shape)) for k, leaf in leaves.items()}
    return leaves, grads, metric_series()["noisy decay"][::-1][:EPOCHS]


def train_torch(optimizer, scheduler, parameters, grads, metrics):
    """Return every leaf after every step: PyTorch's loop, and its lr after every epoch."""
    seen, rates = {name: [] for name in parameters}, []
    for epoch, metric in enumerate(metrics):
        for step in range(STEPS):
            for name, parameter in parameters.items():
                parameter.grad = torch.tensor(grads[name][epoch, step])
            optimizer.step()
            for name, parameter in parameters.items():
                seen[name].append(parameter.detach().numpy().copy())
        scheduler.step(metric)
        rates.append([group["lr"] for group in optimizer.param_groups])
    assert len({rate for rate, *_ in rates}) > 3  # it was reduced, more than once
    return {name: np.stack(steps) for name, steps in seen.items()}, np.array(rates)


def assert_same_paths(found, expected, start):
    """Assert the design's float64 criterion, leaf by leaf."""
    for name, theirs in expected.items():
        first = start[name][None]
        ours = np.concatenate([first, np.stack(found[name])])
        assert_same_path(ours, np.concatenate([first, theirs]), what=name)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_transformation_is_pytorchs_optimizer_and_scheduler(name):
    """A step without a metric leaves the plateau alone; one with it uses the lr from before."""
    oracle, options = OPTIMIZERS[name]
    leaves, grads, metrics = recipe()
    parameters = {k: torch.nn.Parameter(torch.tensor(leaf)) for k, leaf in leaves.items()}
    optimizer, scheduler = live(DRIVEN, list(parameters.values()), oracle, **options)
    expected, rates = train_torch(optimizer, scheduler, parameters, grads, metrics)

    plateau = ja.schedules.reduce_lr_on_plateau(**DRIVEN)
    tx = optax.chain(
        getattr(ja.optimizers, name)(lr=DRIVEN["lr"], **options), plateau.transformation
    )
    update = jax.jit(tx.update)
    params = jax.tree.map(jnp.asarray, leaves)
    state, found = tx.init(params), {k: [] for k in leaves}
    for epoch, metric in enumerate(metrics):
        for step in range(STEPS):
            here = {k: jnp.asarray(g[epoch, step]) for k, g in grads.items()}
            value = metric if step == STEPS - 1 else None
            updates, state = update(here, state, params, value=value)
            params = optax.apply_updates(params, updates)
            for k, leaf in params.items():
                found[k].append(np.asarray(leaf))
        assert state[-1].lr == rates[epoch, 0]
    assert_same_paths(found, expected, leaves)
    assert [*map(float, state[-1])] == [*map(float, read_torch(scheduler))]


def test_parameter_groups_are_pytorchs_optimizer_and_scheduler():
    """Two groups with an lr and a min_lr of their own: one plateau each, the same metrics."""
    leaves, grads, metrics = recipe()
    rates, least = (0.05, 0.02), (0.002, 0.004)
    parameters = {k: torch.nn.Parameter(torch.tensor(leaf)) for k, leaf in leaves.items()}
    groups = [{"params": [p], "lr": lr} for p, lr in zip(parameters.values(), rates, strict=True)]
    kwargs = {**DRIVEN, "min_lr": list(least)}
    optimizer, scheduler = live(kwargs, groups, torch.optim.AdamW, weight_decay=0.1)
    expected, expected_rates = train_torch(optimizer, scheduler, parameters, grads, metrics)

    plateaus = [
        ja.schedules.reduce_lr_on_plateau(**{**DRIVEN, "lr": lr, "min_lr": low})
        for lr, low in zip(rates, least, strict=True)
    ]
    tx = ja.optimizers.param_groups(
        ja.optimizers.adamw,
        [{"params": "first", "lr": rates[0]}],
        lr=rates[1],
        weight_decay=0.1,
    )
    update, traced = jax.jit(tx.update), jax.jit(lambda states, metric: [
        plateau.update(state, metric) for plateau, state in zip(plateaus, states, strict=True)
    ])  # fmt: skip
    params = jax.tree.map(jnp.asarray, leaves)
    state, states = tx.init(params), [plateau.init() for plateau in plateaus]
    found = {k: [] for k in leaves}
    for epoch, metric in enumerate(metrics):
        for step in range(STEPS):
            here = {k: jnp.asarray(g[epoch, step]) for k, g in grads.items()}
            updates, state = update(here, state, params)
            params = optax.apply_updates(params, updates)
            for k, leaf in params.items():
                found[k].append(np.asarray(leaf))
        states = traced(states, metric)
        for group, plateau_state in enumerate(states):
            state = ja.optimizers.set_hyperparams(state, group, lr=plateau_state.lr)
            assert plateau_state[:-1] == states[0][:-1]
        assert [float(s.lr) for s in states] == list(expected_rates[epoch])
    assert_same_paths(found, expected, leaves)
    assert update._cache_size() == traced._cache_size() == 1
    assert expected_rates[-1] == pytest.approx(least)


def test_updates_keep_their_dtypes_and_none():
    plateau = ja.schedules.reduce_lr_on_plateau(0.5, factor=0.25, patience=0)
    tx = plateau.transformation
    updates = {
        "half": jnp.asarray([4.0, -0.0], jnp.bfloat16),
        "complex": jnp.asarray(4.0 - 8.0j),
        "frozen": None,
    }
    state = tx.init(updates)
    for value, scale in ((1.0, 1.0), (1.0, 1.0), (1.0, 0.25), (0.5, 0.0625)):
        scaled, state = tx.update(updates, state, value=value)
        assert jax.tree.map(lambda leaf: leaf.dtype, scaled) == jax.tree.map(
            lambda leaf: leaf.dtype, updates
        )
        assert np.array_equal(scaled["half"], [4 * scale, 0])
        assert np.signbit(scaled["half"][1].astype(float))
        assert scaled["complex"] == scale * updates["complex"]
        assert scaled["frozen"] is None
    assert int(state.last_epoch) == 4


@pytest.mark.parametrize("lr", [0.0, 1e-310])
def test_lr_zero_scales_nothing(lr):
    plateau, ones = ja.schedules.reduce_lr_on_plateau(lr, patience=0), jnp.ones(2)
    state = plateau.transformation.init(ones)
    for _ in range(3):
        updates, state = plateau.transformation.update(ones, state, value=1.0)
        assert np.array_equal(updates, np.ones(2))


def test_a_forgotten_metric_raises():
    tx, ones = ja.schedules.reduce_lr_on_plateau(0.1).transformation, jnp.ones(2)
    with pytest.raises(TypeError, match="value"):
        tx.update(ones, tx.init(ones))


# --- metrics, tracing, errors -------------------------------------------------------------------


@pytest.mark.parametrize(
    "metric",
    [
        2, 2.0, np.float32(2), np.float64(2), np.int64(2), np.asarray([2.0]), 2**40, True,
        jnp.asarray(2), jnp.asarray(2, jnp.int8), jnp.asarray(2.0, jnp.bfloat16),
        jnp.asarray(2.0, jnp.float16), jnp.asarray([[2.0]], jnp.float32), torch.tensor(2.0),
    ],
    ids=lambda metric: f"{type(metric).__name__}-{getattr(metric, 'dtype', metric)}",
)  # fmt: skip
def test_any_single_real_number_is_a_metric(metric):
    plateau = ja.schedules.reduce_lr_on_plateau(0.1)
    state = plateau.update(plateau.init(), metric)
    assert float(state.best) == float(np.asarray(metric, float).reshape(()))
    assert [*map(jax.typeof, state)] == [*map(jax.typeof, plateau.init())]


@pytest.mark.parametrize(
    ("metric", "error", "text"),
    [
        (jnp.ones(3), ValueError, r"single number, got shape \(3,\); reduce it first"),
        ([1.0, 2.0], ValueError, "single number"),
        (jnp.asarray(1j), TypeError, "the metric must be real, got dtype complex"),
        ("low", TypeError, "low"),
    ],
)
def test_other_metrics_are_refused(metric, error, text):
    plateau = ja.schedules.reduce_lr_on_plateau(0.1)
    with pytest.raises(error, match=text):
        plateau.update(plateau.init(), metric)


def test_no_second_trace_and_donation():
    plateau = ja.schedules.reduce_lr_on_plateau(0.1, patience=0)
    device = jax.devices()[3]
    params = jax.device_put(jnp.ones(3), device)
    update = jax.jit(plateau.transformation.update, donate_argnums=(0, 1))
    state = plateau.transformation.init(params)
    for _ in range(3):
        updates, state = update(params + 0, state, value=jax.device_put(1.0, device))
    assert updates.devices() == {device}
    assert update._cache_size() == 1
    step = jax.jit(plateau.update, donate_argnums=0)
    state = plateau.init()
    for _ in range(3):
        state = step(state, 1.0)
    assert step._cache_size() == 1


@pytest.mark.parametrize(
    "kwargs",
    [{"factor": 1.0}, {"factor": 2}, {"mode": "bad"}, {"threshold_mode": "bad"}],
    ids=str,
)
def test_pytorchs_errors_have_pytorchs_texts(kwargs):
    kwargs = {"lr": 0.1, **kwargs}
    with pytest.raises(ValueError) as judge:
        live(kwargs)
    with pytest.raises(ValueError) as raised:
        lookup("jaxaccel", CASES[0].function)(**kwargs)
    assert str(raised.value) == str(judge.value)


@pytest.mark.parametrize(
    ("kwargs", "error", "text"),
    [
        ({"lr": -0.1}, ValueError, "Invalid learning rate: -0.1"),
        ({"lr": lambda step: 0.1}, TypeError, "lr must be a number that is known now"),
        ({"factor": -0.5}, ValueError, "factor must be at least 0, got -0.5"),
        ({"factor": np.nan}, ValueError, "factor must be a number, got nan"),
        ({"threshold": np.nan}, ValueError, "threshold must be a number, got nan"),
        ({"threshold": "0.1"}, TypeError, "threshold must be a number"),
        ({"patience": -1}, ValueError, "patience must be a whole number of at least 0, got -1"),
        ({"patience": 2.5}, ValueError, "patience must be a whole number of at least 0"),
        ({"cooldown": -1}, ValueError, "cooldown must be a whole number of at least 0, got -1"),
        ({"min_lr": [0.1, 0.2]}, TypeError, "one plateau per parameter group"),
        ({"min_lr": np.nan}, ValueError, "min_lr must be a number, got nan"),
        ({"eps": -1e-8}, ValueError, "Invalid epsilon value: -1e-08"),
        ({"mode": ["min"]}, ValueError, r"mode \['min'\] is unknown!"),
    ],
    ids=lambda value: re.sub(r" at 0x\w+", "", str(value)),
)
def test_other_errors_are_clear(kwargs, error, text):
    with pytest.raises(error, match=text):
        lookup("jaxaccel", CASES[0].function)(**{"lr": 0.1, **kwargs})

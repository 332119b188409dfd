"""Hypothesis over every optimizer's hyperparameters, and over trees of every shape and size.

Numbers are traced, so that one compilation serves all draws with the same switches.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_same_path, largest
from parity_tests.harness.compiled import FAST_COMPILE
from parity_tests.harness.optimizer import (
    in_full_precision,
    lookup,
    to_numpy,
    torch_state,
)
from parity_tests.registry import Case

STEPS = 6
SHAPES = {
    "matrix": (4, 3),
    "vector": (5,),
    "scalar": (),
    "empty": (0, 3),
    "kernel": (4, 2, 3, 3),
    "row": (1, 6),
}
MATRICES = {"square": (4, 4), "tall": (6, 3), "wide": (3, 5)}
COMPLEX = {"pairs": (3,)}


def between(low, high):
    return st.floats(low, high, allow_subnormal=False)


def power(low, high):
    """Numbers spread evenly over orders of magnitude."""
    return st.floats(low, high).map(lambda exponent: 10.0**exponent)


LR = st.one_of(st.just(0.0), power(-6, 1))
EPS = power(-12, 0)
DECAY = st.one_of(st.just(0.0), power(-6, 0))
BETA = st.one_of(st.just(0.0), between(0.0, 0.9999), power(-4, -1).map(lambda x: 1 - x))
FLAG = st.booleans()
ADAM = {"lr": LR, "betas": st.tuples(BETA, BETA), "eps": EPS, "weight_decay": DECAY}

SPACES = {
    "sgd": (
        "SGD",
        {"lr": LR, "momentum": between(0.01, 1.0), "weight_decay": DECAY},
        {"maximize": FLAG, "nesterov": FLAG},
    ),
    # A momentum that is the number 0 has no buffer: not to be had from a traced one.
    "sgd with dampening": (
        "SGD",
        {"lr": LR, "momentum": between(0.01, 1.0), "dampening": between(0.0, 1.0)},
        {"maximize": FLAG},
    ),
    "adam": ("Adam", ADAM, {"amsgrad": FLAG, "maximize": FLAG, "decoupled_weight_decay": FLAG}),
    "adamw": ("AdamW", ADAM, {"amsgrad": FLAG, "maximize": FLAG}),
    "adamax": ("Adamax", ADAM, {"maximize": FLAG}),
    "nadam": (
        "NAdam",
        {**ADAM, "momentum_decay": st.one_of(st.just(0.0), power(-4, 2))},
        {"maximize": FLAG, "decoupled_weight_decay": FLAG},
    ),
    # PyTorch's own length of the average, rho, cancels as beta2 nears 1.
    "radam": (
        "RAdam",
        {**ADAM, "betas": st.tuples(BETA, between(0.0, 0.99))},
        {"maximize": FLAG, "decoupled_weight_decay": FLAG},
    ),
    "adagrad": (
        "Adagrad",
        {"lr": LR, "lr_decay": DECAY, "weight_decay": DECAY, "eps": EPS},
        {"maximize": FLAG},
    ),
    "adadelta": (
        "Adadelta",
        {"lr": LR, "rho": BETA, "eps": EPS, "weight_decay": DECAY},
        {"maximize": FLAG},
    ),
    "rmsprop": (
        "RMSprop",
        {
            "lr": LR,
            "alpha": BETA,
            "eps": EPS,
            "weight_decay": DECAY,
            "momentum": between(0.01, 1.0),
        },
        {"maximize": FLAG},
    ),
    "rmsprop centered": (
        "RMSprop",
        # Below 0.9 the variance is a difference of nearly equal numbers, in PyTorch too.
        {"lr": LR, "alpha": between(0.9, 0.999), "eps": power(-4, 0), "weight_decay": DECAY},
        {"maximize": FLAG, "centered": st.just(True)},
    ),
    "rprop": (
        "Rprop",
        {
            "lr": power(-6, 1),
            "etas": st.tuples(between(0.01, 0.99), between(1.01, 3.0)),
            "step_sizes": st.tuples(power(-8, -4), power(-2, 2)),
        },
        {"maximize": FLAG},
    ),
    "asgd": (
        "ASGD",
        {
            "lr": power(-6, 0),
            "lambd": DECAY,
            "alpha": between(0.0, 2.0),
            "t0": between(0.0, 10.0),
            "weight_decay": DECAY,
        },
        {"maximize": FLAG},
    ),
    "adafactor": (
        "Adafactor",
        {
            "lr": LR,
            "beta2_decay": between(-2.0, -0.01),
            "d": between(1.0, 5.0),
            "weight_decay": DECAY,
        },
        {"maximize": FLAG},
    ),
    "muon": (
        "Muon",
        {"lr": LR, "weight_decay": DECAY, "momentum": BETA},
        {
            "nesterov": FLAG,
            "ns_steps": st.sampled_from([1, 5]),
            "adjust_lr_fn": st.sampled_from([None, "match_rms_adamw"]),
        },
    ),
}
"""Name -> (PyTorch's class, numbers, switches)."""

REAL_ONLY = ("adafactor", "muon")
LAYOUT = {"layout": "torch"}
MUON = Case("optimizers.muon", {}, "", "", {"bfloat16_inside": "Newton-Schulz iterations"})


def shapes_of(name):
    if name == "muon":
        return MATRICES
    if name == "adafactor":  # PyTorch divides by the number of elements
        return {key: shape for key, shape in SHAPES.items() if key != "empty"}
    return SHAPES | COMPLEX


@st.composite
def trees(draw, name):
    """Return parameters and gradients: per leaf a size from 1e-15 to 1e15, and zeros among them."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def leaf(shape, is_complex, size, zeros):
        values = rng.normal(size=shape)
        if is_complex:
            values = values + 1j * rng.normal(size=shape)
        return values * np.where(rng.random(shape) < zeros, 0.0, 10.0**size)

    def tree(sizes, lead=()):
        return {
            key: leaf((*lead, *shape), key in COMPLEX, draw(sizes), draw(between(0.0, 1.0)))
            for key, shape in shapes_of(name).items()
        }

    return tree(st.floats(-3, 3)), tree(st.floats(-15, 15), (STEPS,))


@functools.cache
def compiled(name, switches):
    """Return a jitted run of ``name`` with these switches, a function of the numbers."""
    own = LAYOUT if name in REAL_ONLY else {}

    def run(numbers, params, grads):
        tx = lookup("jaxaccel", f"optimizers.{name}")(**numbers, **dict(switches), **own)

        def body(carry, step_grads):
            params, state = carry
            updates, state = tx.update(step_grads, state, params)
            params = optax.apply_updates(params, updates)
            return (params, state), (params, state)

        return jax.lax.scan(body, (params, tx.init(params)), grads)[1]

    return jax.jit(run, compiler_options=FAST_COMPILE)


def run_torch(torch_class, kwargs, params, grads, rounded=lambda leaf, t: leaf):
    """Return the parameters, the initial ones first, and the state after each step.

    ``rounded(leaf, step)`` is given what goes into a step.
    """
    tensors = {name: torch.nn.Parameter(torch.tensor(leaf)) for name, leaf in params.items()}
    optimizer = getattr(torch.optim, torch_class)(tensors.values(), **kwargs)
    moved, states = [params], []
    for t in range(STEPS):
        for name, p in tensors.items():
            p.data.copy_(torch.tensor(rounded(to_numpy(p), t)))
            p.grad = torch.tensor(rounded(grads[name][t], STEPS + t))
        optimizer.step()
        moved.append({name: to_numpy(p) for name, p in tensors.items()})
        states.append(torch_state(optimizer, tensors))
    return moved, states


@pytest.mark.parametrize("space", SPACES)
@settings(
    max_examples=25,
    derandomize=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_float64_run_equals_pytorch_at_every_step(space, data):
    name = space.split()[0]
    torch_class, numbers, switches = SPACES[space]
    numbers = {key: data.draw(strategy, key) for key, strategy in numbers.items()}
    switches = {key: data.draw(strategy, key) for key, strategy in switches.items()}
    params, grads = data.draw(trees(name))
    with in_full_precision(MUON):
        judge, states = run_torch(torch_class, {**numbers, **switches}, params, grads)
        moved, state = compiled(name, tuple(sorted(switches.items())))(
            jax.tree.map(jnp.asarray, numbers), params, grads
        )
        near, near_states = run_torch(
            torch_class, {**numbers, **switches}, params, grads, one_ulp_away
        )
    slack = tol.BIAS_CORRECTION_ROUNDING / min(1 - beta for beta in numbers.get("betas", (0.0,)))
    for key, start in params.items():
        expected, beside = (np.stack([leaves[key] for leaves in run]) for run in (judge, near))
        floor = tol.OF_ONE_ULP_AWAY * largest(beside - expected)
        found = np.concatenate([start[None], moved[key]])
        assert_same_path(found, expected, slack, floor, what=key)
    for field in states[-1]:
        for key, expected in states[-1][field].items():
            found = getattr(state, field)
            found = np.asarray(found[key] if isinstance(found, dict) else found)[-1]
            error, size = largest(found - expected), max(largest(s[field][key]) for s in states)
            floor = tol.OF_ONE_ULP_AWAY * max(
                largest(a[field][key] - b[field][key])
                for a, b in zip(states, near_states, strict=True)
            )
            allowed = tol.FLOAT64_OF_FIELD * size + floor
            assert error <= allowed, f"{field}/{key}: {error:.2e} > {allowed:.2e}"


def one_ulp_away(leaf, seed):
    """Return an array with every number moved to one of its neighbours, or left.

    Each step rounds: what begins at zero has no neighbour, and after a step it has.
    """
    moves = np.random.default_rng(seed).integers(-1, 2, size=leaf.shape)
    return leaf * (1.0 + moves * np.finfo(np.float64).eps)

"""Numbers, shapes and keys that nothing can be done with: taken, or refused in our words."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxaccel as ja
from parity_tests.harness.errors import assert_no_faults
from parity_tests.house.refusals import refusal_of
from parity_tests.house.valid_calls import GENERATOR, parameters, public, valid_arguments

KEY = jax.random.key(0)
NUMBERS = {
    "a negative number": -1,
    "zero": 0,
    "not a number": float("nan"),
    "infinity": float("inf"),
    "an integer of 100 bits": 10**30,
    "an empty tuple": (),
    "negative numbers": (-1, -1),
    "an empty array": np.zeros(0, np.float32),
    "an array of another shape": np.ones((5, 7), np.float32),
    "an array of no axes": jnp.float32(2),
    "a key": KEY,
    "keys": jax.random.split(KEY),
}
"""What has the right kind, or nearly, and cannot be meant."""

ROOMS = ("parallel", "data")
"""Whose functions do their work at once, on the host; others compile a program for each."""


def test_numbers_are_taken_or_refused_in_our_words():
    assert_no_faults(
        (f"{name}({argument}={why})", fault)
        for name, function in public(ROOMS).items()
        for argument in parameters(function)
        for why, value in NUMBERS.items()
        if "not by us" in (fault := fault_of(name, function, argument, value))
    )


def fault_of(name, function, argument, value):
    """Return what is wrong with how a function refuses a value; "" where nothing is."""
    given, _ = valid_arguments(name, function)
    return refusal_of(lambda: function(**{**given, argument: value}), argument, value, name) or ""


X = np.ones((2, 3), np.float32)
F, OPT, S = ja.functional, ja.optimizers, ja.schedules
ELSEWHERE = {
    "patches of no size": (lambda: ja.models.vit_tiny(patch_size=0, rngs=GENERATOR), "patch_size"),
    "a rate divided by 0": (lambda: S.one_cycle_lr(0.5, 9, div_factor=0), "div_factor must not be"),
    "a rate divided by 0 at the end": (
        lambda: S.one_cycle_lr(0.5, 9, final_div_factor=0.0),
        "final_div_factor must not be 0, got 0.0",
    ),
    "features of 100 bits": (
        lambda: ja.nn.Linear(10**30, 3, rngs=GENERATOR),
        "Overflow when unpacking long long: in_features is too large",
    ),
    **{
        f"{why} of more numbers than a memory has": (call, "not enough memory: you tried to")
        for why, call in {
            "a table": lambda: ja.nn.Embedding(2**41, 3, rngs=GENERATOR),
            "a kernel": lambda: ja.nn.Linear(2**31, 2**31, rngs=nnx.Rngs(0)),
            "running means": lambda: ja.nn.BatchNorm1d(2**41),
            "an identity": lambda: ja.init.eye()(None, (2**21, 2**21)),
            "classes": lambda: F.one_hot(np.zeros(2, int), 2**41),
            "an image": lambda: F.interpolate(np.ones((1, 2, 2, 1), np.float32), (2**31, 2**31)),
            "bins": lambda: F.adaptive_avg_pool1d(np.ones((1, 4, 1), np.float32), 2**41),
            "largest values": lambda: F.adaptive_max_pool1d(np.ones((4, 1), np.float32), 2**41),
            "a preview": lambda: S.preview(S.step_lr(0.1, 3), 2**41),
            "a draw": lambda: GENERATOR.rand(2**41),
        }.items()
    },
    "classes of 100 bits": (lambda: F.one_hot(np.zeros(2, int), 10**30), "num_classes is too"),
    "a slope of 2000 bits": (lambda: F.leaky_relu(X, 10**600), "negative_slope is too large"),
    "a rate of 2000 bits": (lambda: OPT.sgd(10**600), "lr must be a number that a float holds"),
    "steps of 100 bits": (lambda: S.step_lr(0.1, 10**30), "step_size is too large"),
    "a parameter of 100 bits": (lambda: OPT.sgd().init(10**30), "Only Tensors of floating point"),
    "the norm of 100 bits": (lambda: ja.transforms.get_total_norm(10**30), "'tensors'"),
    "no norm": (
        lambda: ja.transforms.clip_grads_with_norm(X, 1.0, np.zeros(0, np.float32)),
        "scalar tensor expected to be 0 dim but it has 1 dimensions and 0 elements",
    ),
    "norms": (lambda: ja.transforms.clip_grads_with_norm(X, 1.0, X[0]), "total_norm must be one"),
    "a table that is a number": (lambda: OPT.apply_sparse_updates(1.0, X), "a tensor of size '[]'"),
    "a table of another shape": (
        lambda: OPT.apply_sparse_updates(X, np.ones((5, 7), np.float32)),
        "has shape (5, 7), the parameter (2, 3)",
    ),
    "weights of other classes": (
        lambda: F.binary_cross_entropy_with_logits(X, X, pos_weight=np.ones(5, np.float32)),
        "The size of tensor a (3) must match the size of tensor b (5)",
    ),
    "keys as a key": (lambda: F.dropout(X, key=jax.random.split(KEY)), "'key' must be a JAX key"),
    "Rngs as a key": (lambda: F.dropout(X, key=nnx.Rngs(0)), "'key' must be a JAX key"),
    "Rngs as a generator": (
        lambda: ja.data.random_sampler(range(3), generator=nnx.Rngs(0)),
        "must be jaxaccel.random.Generator",
    ),
    "betas in an array": (lambda: OPT.adamw(betas=np.array([0.9, 0.99])), "'betas' (position 2)"),
    "traced rates of a schedule": (
        lambda: jax.eval_shape(lambda lr: S.step_lr(lr, 3)(1), np.ones(2, np.float32)),
        "lr must be one real number, got a traced float32[2]",
    ),
    "a traced rate where there is no closed form": (
        lambda: jax.eval_shape(
            lambda lr: S.chained_scheduler([S.linear_lr(lr), S.cosine_annealing_lr(lr, 5, 0.1)])(1),
            0.1,
        ),
        "chained_scheduler has no closed form here",
    ),
}
"""What was raw elsewhere -> a part of our text."""


def test_numbers_elsewhere():
    for why, (call, text) in ELSEWHERE.items():
        with pytest.raises((TypeError, ValueError, ZeroDivisionError)) as raised:
            call()
        assert text in str(raised.value), (why, str(raised.value))

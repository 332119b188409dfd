"""PyTorch's own test database of optimizers: every input of all 15, and every error of a number."""

import re

import pytest
import torch

from parity_tests.harness.errors import raised_by
from parity_tests.harness.optimizer import assert_same_run_in_float64, problem, run_jax, run_torch
from parity_tests.optimizers.rows_optim_db import cases, infos, name_of
from parity_tests.registry import lookup

ELSEWHERE = ("optimizers.lbfgs", "optimizers.sparse_adam")
"""Run in tests of their own: other gradients, other runs."""

ELEMENTWISE = [case for case in cases() if case.function not in ELSEWHERE]


def test_database_is_covered():
    """All 15 optimizers."""
    assert {name_of(info) for info in infos()} == {
        *("adadelta", "adafactor", "adagrad", "adam", "adamax", "adamw", "asgd", "lbfgs", "muon"),
        *("nadam", "radam", "rmsprop", "rprop", "sgd", "sparse_adam"),
    }


@pytest.mark.parametrize("case", ELEMENTWISE, ids=lambda case: case.id)
def test_input_runs_as_in_pytorch(case):
    params, grads = problem(case, seed=0)
    judge = run_torch(case, params, grads, "float64")
    run = run_jax(case, params, grads, "float64")
    assert_same_run_in_float64(case, run, judge, state_offset=1)


# --- errors -------------------------------------------------------------------------------------

NOT_HERE = {
    "invalid param type": "the parameters are a pytree",
    "a param group cannot have duplicate parameters": "a tree has no duplicates",
    "duplicate parameters should not occur across param groups either": "the first group wins",
    "all optimizer params should be with/without names": "paths are the names",
    "all optimizer param groups should be with/without names.": "paths are the names",
    "Tensor lr must be 1-element": "tensor-valued; the text speaks of an array",
    "lr as Tensor doesn't work with foreach & not capturable": "foreach",
    "betas must be either both floats or both Tensors": "each may be what it likes here",
    "betas\\[0\\] as a Tensor is not supported for capturable=False and foreach=True": "foreach",
    "does not support complex parameters": "about parameters, see test_errors",
    "only support 2D parameters": "about parameters, see test_errors",
    "dense params required": "about parameters",
    "dense params required in param_groups": "about parameters",
    "complex not supported": "about parameters, see test_sparse_adam",
}
"""Error inputs that are not about a hyperparameter, and why."""

ERRORS = [
    (name_of(info), each)
    for info in infos()
    for each in info.optim_error_inputs_func(device="cpu", dtype=torch.float32)
]
ABOUT_NUMBERS = [pair for pair in ERRORS if pair[1].optimizer_error_input.desc not in NOT_HERE]


@pytest.mark.parametrize(
    ("name", "error"),
    ABOUT_NUMBERS,
    ids=[f"{name}-{error.optimizer_error_input.desc}" for name, error in ABOUT_NUMBERS],
)
def test_error_is_pytorchs(name, error):
    kind, text = raised_by(
        lambda: lookup("jaxaccel", f"optimizers.{name}")(**error.optimizer_error_input.kwargs)
    )
    assert kind is error.error_type
    assert re.search(error.error_regex, text), text


def test_every_error_is_run_or_has_a_reason():
    described = {each.optimizer_error_input.desc for _, each in ERRORS}
    assert described >= set(NOT_HERE)
    assert len(ABOUT_NUMBERS) >= 15
    assert {name for name, _ in ABOUT_NUMBERS} == {name_of(info) for info in infos()} - {"lbfgs"}

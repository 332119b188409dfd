"""PyTorch's own test database of optimizers: every input of all 15, and every error of a number."""

import re

import pytest
import torch

from parity_tests.harness.errors import raised_by
from parity_tests.harness.optimizer import assert_same_run_in_float64, problem, run_jax, run_torch
from parity_tests.optimizers.rows_optim_db import cases, infos, name_of
from parity_tests.registry import lookup

ELEMENTWISE = (
    *("adadelta", "adafactor", "adagrad", "adam", "adamax", "adamw", "asgd", "muon"),
    *("nadam", "radam", "rmsprop", "rprop", "sgd"),
)
ELSEWHERE = ("lbfgs", "sparse_adam")
"""Run in tests of their own: other gradients, other runs."""

# The database is read where it is asked: its import takes seconds, in every worker.


def test_database_is_covered():
    """All 15 optimizers."""
    assert {name_of(info) for info in infos()} == {*ELEMENTWISE, *ELSEWHERE}


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_inputs_run_as_in_pytorch(name):
    own = cases(name)
    assert own
    for case in own:
        print(case.id)  # shown where it fails
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


def error_inputs():
    """Yield (name, what it is about, error) of every error of the database."""
    for info in infos():
        for error in info.optim_error_inputs_func(device="cpu", dtype=torch.float32):
            yield name_of(info), error.optimizer_error_input.desc, error


@pytest.mark.parametrize("name", [*ELEMENTWISE, "sparse_adam"])
def test_errors_are_pytorchs(name):
    factory = lookup("jaxaccel", f"optimizers.{name}")
    about_numbers = [
        (what, error) for own, what, error in error_inputs() if own == name and what not in NOT_HERE
    ]
    assert about_numbers
    for what, error in about_numbers:
        kwargs = error.optimizer_error_input.kwargs
        kind, text = raised_by(lambda kwargs=kwargs: factory(**kwargs))
        assert kind is error.error_type, what
        assert re.search(error.error_regex, text), (what, text)


def test_every_error_is_run_or_has_a_reason():
    described = [(name, what) for name, what, _ in error_inputs()]
    assert {what for _, what in described} >= set(NOT_HERE)
    about_numbers = [name for name, what in described if what not in NOT_HERE]
    assert len(about_numbers) >= 15
    assert {*about_numbers} == {*ELEMENTWISE, "sparse_adam"}

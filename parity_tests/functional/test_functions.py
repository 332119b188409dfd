"""The functions that layers are made of, against ``torch.nn.functional``."""

import functools
import inspect
import re

import jax
import pytest
import torch

from parity_tests.functional import (
    rows_conv,
    rows_embedding,
    rows_linear,
    rows_pools,
    rows_reshaping,
    rows_vectors,
    rows_windows,
)
from parity_tests.harness.function import (
    assert_same_error,
    assert_same_function,
    call_with_numpy,
)
from parity_tests.registry import lookup

TABLES = (
    *(rows_linear, rows_conv, rows_pools, rows_reshaping, rows_embedding, rows_vectors),
    rows_windows,
)
IN_PLACE = rows_embedding.RENORM
CASES = [
    case
    for table in TABLES
    if table is not rows_pools
    for case in table.CASES
    if case not in IN_PLACE
]
"""The pools have a test of their own, with ties and infinities, and what is done in place too."""
FLOAT32 = [
    case
    for table in TABLES
    for case in table.CASES
    if case.why in ("defaults", "all together", "linear fraction", "nearest size")
    and case not in IN_PLACE
]

pytestmark = pytest.mark.filterwarnings(
    "ignore:Using padding='same' with even kernel:UserWarning",
    "ignore:Initializing zero-element tensors:UserWarning",
)


@pytest.mark.parity
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_float64_equals_pytorch(case):
    assert_same_function(case, "float64")


@pytest.mark.parametrize("case", FLOAT32, ids=lambda case: case.id)
def test_float32_equals_pytorch(case):
    assert_same_function(case, "float32")


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__.split(".")[-1])
def test_numpy_arrays_are_taken(table):
    """Arrays that are not traced, as in an eager call or closed over: traced only, not compiled."""
    for case in table.CASES:
        assert jax.eval_shape(functools.partial(call_with_numpy, case)).shape is not None, case.id


BAD = [case for table in TABLES for case in [*table.BAD, *getattr(table, "BAD_INPUTS", ())]]


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.id)
def test_errors_have_pytorchs_text(case):
    assert_same_error(case)


BUILTINS = sorted({name for table in TABLES for name in table.BUILTINS})


@pytest.mark.parametrize("name", BUILTINS)
def test_signature_is_the_one_that_pytorch_documents(name):
    text = getattr(torch.nn.functional, name.split(".")[1]).__doc__.strip().split("->")[0]
    documented = [
        tuple(part.strip() for part in argument.split("="))
        for argument in re.search(r"\((.*?)\)", text)[1].split(",")
    ]
    ours = list(inspect.signature(lookup("jaxaccel", name)).parameters.values())
    # The first argument of one_hot is a tensor by its documentation, and an input by its name.
    assert [p.name for p in ours][1:] == [argument for argument, *_ in documented][1:]
    for parameter, (_, *default) in zip(ours, documented, strict=True):
        expected = eval(default[0]) if default else inspect.Parameter.empty
        assert parameter.default == expected, parameter.name

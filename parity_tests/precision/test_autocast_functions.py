"""Functions under autocast, one by one: dtypes, values and gradients of ``torch.autocast("cpu")``.

As compiled by default XLA leaves out roundings, and the judge is double precision; where it leaves
out none, PyTorch itself. What runs on CUDA is compared by dtype alone.
"""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxaccel.precision import _autocast_ops
from jaxaccel.precision._autocast_ops import cast_class
from parity_tests import tolerances as tol
from parity_tests.harness.autocast import EXACT, TORCH, our_dtypes, run_jax, run_torch
from parity_tests.harness.compare import largest
from parity_tests.harness.compiled import FAST_COMPILE
from parity_tests.harness.errors import assert_no_faults
from parity_tests.precision import autocast_functions, autocast_functions_of_jax

ROWS = [*autocast_functions.FUNCTIONS, *autocast_functions_of_jax.FUNCTIONS]
COMPARED = [row for row in ROWS if "dtype_only" not in row.options]
IN_HALF = [row for row in COMPARED if row not in autocast_functions_of_jax.LINEAR_ALGEBRA]
"""Without linear algebra, which is in float32 whatever the region is: it is asked once."""


def of_dtype(rows, dtype):
    """Return the rows that PyTorch has in a half precision."""
    return [row for row in rows if dtype in row.options.get("dtypes", TORCH)]


pytestmark = pytest.mark.filterwarnings(
    "ignore:Mismatch dtype between input and weight:UserWarning",
    "ignore:torch.cholesky is deprecated:UserWarning",
    "ignore:torch.triangular_solve is deprecated:UserWarning",
    "ignore:torch.lu_solve is deprecated:UserWarning",
    "ignore:torch.lu is deprecated:UserWarning",
    "ignore:LSTM with projections is not supported with oneDNN:UserWarning",
)


def unit(dtype):
    """Return the distance from 1 to the next number."""
    return float(jnp.finfo(dtype).eps)


def parts(result):
    """Yield what each array of a result is, and the array."""
    for kind in ("outputs", "gradients"):
        for place, array in enumerate(getattr(result, kind)):
            yield f"{kind[:-1]} {place}", array


@pytest.mark.parametrize("dtype", TORCH)
@pytest.mark.parametrize("is_low", [False, True], ids=["of-float32", "of-half-precision"])
def test_dtypes_are_pytorchs(dtype, is_low):
    faults = []
    for row in of_dtype(ROWS, dtype):
        found, expected = (
            our_dtypes(row, "cpu", dtype, is_low),
            run_torch(row, dtype, is_low).dtypes,
        )
        if found != expected:
            faults.append((row.id, f"{found} is not {expected}"))
    assert_no_faults(faults)
    assert len({row.operation for row in ROWS}) > 150


@pytest.mark.long
@pytest.mark.parametrize("dtype", TORCH)
def test_values_and_gradients_are_pytorchs(dtype):
    """One unit in the last place of the largest, or 1.5 times PyTorch's own error where it is more.

    Of what is in float32 on both sides, float32's.
    """
    faults = []
    rows = of_dtype(COMPARED if dtype == "bfloat16" else IN_HALF, dtype)
    for row, found in zip(rows, run_jax(rows, "cpu", dtype, EXACT | FAST_COMPILE), strict=True):
        theirs, exact = run_torch(row, dtype), run_torch(row)
        for (what, a), (_, b), (_, c) in zip(*map(parts, (found, theirs, exact)), strict=True):
            is_wide = what.startswith("output") and theirs.dtypes[int(what[-1])] == "float32"
            is_wide = is_wide and "sums" not in row.options
            units = row.options.get("units", 1) * unit(dtype)
            of_max = tol.LAYER_FLOAT32_OF_MAX if is_wide else units
            allowed = max(of_max * largest(c), tol.OWN_ERROR_RATIO * largest(b - c))
            if largest(a - b) > allowed and "far" not in row.options:
                faults.append((row.id, f"{what}: {largest(a - b):.2e} > {allowed:.2e}"))
    assert_no_faults(faults)


@pytest.mark.parametrize("dtype", TORCH)
def test_error_as_compiled_by_default_is_no_larger_than_pytorchs(dtype):
    faults = []
    rows = of_dtype(IN_HALF, dtype)
    for row, found in zip(rows, run_jax(rows, "cpu", dtype, FAST_COMPILE), strict=True):
        theirs, exact = run_torch(row, dtype), run_torch(row)
        for (what, a), (_, b), (_, c) in zip(*map(parts, (found, theirs, exact)), strict=True):
            own, pytorchs = (float(np.sqrt(np.mean((each - c) ** 2))) for each in (a, b))
            ratio = tol.OWN_ERROR_RATIO_BEYOND if "twice" in row.options else tol.OWN_ERROR_RATIO
            allowed = ratio * pytorchs + tol.LAYER_FLOAT32_OF_MAX * largest(c)
            if a.size < FEW:
                allowed += unit(dtype) / 4 * largest(c)
            if own > allowed:
                faults.append((row.id, f"{what}: {own:.2e} > {allowed:.2e}"))
    assert_no_faults(faults)


FEW = 100
"""Of fewer numbers than that luck decides: a quarter of a unit is what one rounding may take."""


def test_dtypes_on_cuda_are_the_headers():
    """What a list names, in its class; what none does, in the dtype of its operand."""
    faults = []
    for row in ROWS:
        named = cast_class("cuda", row.operation)
        if named is None:
            continue
        if named == "raises":
            with pytest.raises(RuntimeError, match="BCELoss are unsafe to autocast"):
                our_dtypes(row, "cuda", None, True)
            continue
        low, *_ = our_dtypes(row, "cuda", None, True)
        wide, *_ = our_dtypes(row, "cuda", None, False)
        expected = {
            "lower": ("float16", "float16"),
            "float32": ("float32", "float32"),
            "float32 by output": ("float32", "float32"),
            "keep": ("float16" if row.low else "float32", "float32"),
            "widest": ("float16" if row.low == len(row.shapes) else "float32", "float32"),
        }[named]
        if (low, wide) != expected:
            faults.append((row.id, f"{(low, wide)} is not {expected}, {named}"))
    assert_no_faults(faults)


@pytest.mark.parametrize(
    ("operation", "wrong"),
    [
        ("prod", "keep"),
        ("matmul", "float32"),
        ("max_pool3d", "keep"),
        ("softmax", "float32"),
    ],
)
def test_a_wrong_entry_is_seen(monkeypatch, operation, wrong):
    monkeypatch.setitem(_autocast_ops._CLASSES["cpu"], operation, wrong)
    with pytest.raises(AssertionError):
        test_dtypes_are_pytorchs("bfloat16", True)

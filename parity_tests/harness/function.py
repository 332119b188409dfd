"""What every test of a function shares: both sides of a row, one run, one comparison.

A row's ``options``: ``arrays``, {name: shape}, the floating-point arguments in PyTorch's layout,
which are differentiated; ``constants``, {name: numbers}, the others (integers, as a rule);
``spatial``, how many axes follow the channels of the input and the output (0, the default: nothing
is moved), or, for the output, ``after``; ``moved``, others that have channels as the input has;
``kernels``, the names of arguments that are (O, I, *k) in PyTorch; ``axes``, the order of another's
axes here, by those of PyTorch's; ``own``, arguments of jaxaccel's function alone; ``judge``, a
function that judges where PyTorch's own is wrong.
"""

import functools
import importlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jaxaccel._layout import to_flax, to_torch
from parity_tests.harness.compare import assert_close, largest
from parity_tests.harness.compiled import FAST_COMPILE
from parity_tests.harness.layer import OF_MAX
from parity_tests.registry import lookup, oracle_of


class Result(NamedTuple):
    """An output and the gradients of the floating-point arguments, in PyTorch's layout."""

    output: np.ndarray
    gradients: dict[str, np.ndarray]


def is_moved(case, name):
    with_channels = ("input", "output", *case.options.get("moved", ()))
    return name in with_channels and case.options.get("spatial", 0) > 0


def spatial_of(case, name):
    spatial = case.options.get("spatial", 0)
    return case.options.get("after", spatial) if name == "output" else spatial


def ours_of(case, name, array):
    """Return an array of PyTorch's as jaxaccel has it."""
    if name in case.options.get("axes", {}):
        return np.ascontiguousarray(array.transpose(case.options["axes"][name]))
    if name in case.options.get("kernels", ()):
        return np.ascontiguousarray(to_flax(array))
    if is_moved(case, name) and array.ndim > spatial_of(case, name):
        return np.ascontiguousarray(np.moveaxis(array, -1 - spatial_of(case, name), -1))
    return array


def theirs_of(case, name, array):
    """Return an array of jaxaccel's as PyTorch has it."""
    array = np.asarray(array)
    if name in case.options.get("axes", {}):
        return array.transpose(np.argsort(case.options["axes"][name]))
    if name in case.options.get("kernels", ()):
        return to_torch(array)
    if is_moved(case, name) and array.ndim > spatial_of(case, name):
        return np.moveaxis(array, -1, -1 - spatial_of(case, name))
    return array


def judge_of(case):
    """Return PyTorch's function, or the row's own judge."""
    if "judge" in case.options:
        module, name = case.options["judge"].rsplit(".", 1)
        return getattr(importlib.import_module(module), name)
    return oracle_of(case)


def arrays_of(case, dtype="float64", seed=0):
    """Return the floating-point arguments by name, random numbers that ``dtype`` holds."""
    rng = np.random.default_rng(seed)
    return {
        name: np.asarray(rng.normal(size=shape)).astype(dtype).astype(np.float64)
        for name, shape in case.options.get("arrays", {}).items()
    }


def constants_of(case):
    """Return the other arguments by name."""
    constants = case.options.get("constants", {})
    # Of no numbers NumPy would make a float.
    return {n: np.array(v, None if np.size(v) else np.int64) for n, v in constants.items()}


def run_torch(case, arrays, dtype=torch.float64, cotangent=None, **kwargs):
    """Return PyTorch's result and the cotangent, which is drawn unless it is given."""
    tensors = {name: torch.tensor(a).to(dtype).requires_grad_() for name, a in arrays.items()}
    constants = {name: torch.tensor(value) for name, value in constants_of(case).items()}
    output = judge_of(case)(**tensors, **constants, **case.kwargs, **kwargs)
    if cotangent is None:
        cotangent = np.asarray(np.random.default_rng(1).normal(size=tuple(output.shape)))
        cotangent = torch.tensor(cotangent).to(dtype).double().numpy()
    if output.requires_grad:
        output.backward(torch.tensor(cotangent).to(dtype))
    found = output.detach()
    found = found.double().numpy() if found.is_floating_point() else found.numpy()
    gradients = {n: t.grad.double().numpy() for n, t in tensors.items() if t.grad is not None}
    return Result(found, gradients), cotangent


def run_jax(case, arrays, cotangent, dtype="float64", precision="highest"):
    """Return jaxaccel's result; ``precision`` is that of matrix products."""
    function = lookup("jaxaccel", case.function)
    kwargs = {**case.kwargs, **case.options.get("own", {})}
    constants = {
        name: jnp.asarray(ours_of(case, name, value)) for name, value in constants_of(case).items()
    }

    @functools.partial(jax.jit, compiler_options=FAST_COMPILE)
    def run(arrays, cotangent):
        output, pullback = jax.vjp(lambda a: function(**a, **constants, **kwargs), arrays)
        assert output.shape == cotangent.shape
        return output, *pullback(cotangent.astype(output.dtype))

    with jax.default_matmul_precision(precision):
        if not arrays:
            return Result(theirs_of(case, "output", function(**constants, **kwargs)), {})
        output, gradients = run(
            {name: jnp.asarray(ours_of(case, name, a), dtype) for name, a in arrays.items()},
            jnp.asarray(ours_of(case, "output", cotangent), dtype),
        )
    assert output.dtype == dtype
    assert all(gradient.dtype == dtype for gradient in gradients.values())
    return Result(
        theirs_of(case, "output", output).astype(np.float64),
        {n: theirs_of(case, n, g).astype(np.float64) for n, g in gradients.items()},
    )


def call_with_numpy(case):
    """Return what jaxaccel's function returns for NumPy arrays."""
    arrays = {**arrays_of(case), **constants_of(case)}
    own = {name: np.asarray(ours_of(case, name, array)) for name, array in arrays.items()}
    kwargs = {**case.kwargs, **case.options.get("own", {})}
    return lookup("jaxaccel", case.function)(**own, **kwargs)


def assert_same_result(found, expected, cotangent, of_max):
    """Assert that an output and its gradients are PyTorch's."""
    assert_close(found.output, expected.output, of_max, what="output", special=True)
    assert found.gradients.keys() == expected.gradients.keys()
    for name, gradient in expected.gradients.items():
        what = f"gradient of {name}"
        at_least = largest(cotangent)
        assert_close(found.gradients[name], gradient, of_max, at_least, what, special=True)


def assert_same_function(case, dtype, arrays=None):
    """Assert that a row's function equals PyTorch's in float64, values and gradients."""
    arrays = arrays_of(case, dtype) if arrays is None else arrays
    expected, cotangent = run_torch(case, arrays)
    assert_same_result(run_jax(case, arrays, cotangent, dtype), expected, cotangent, OF_MAX[dtype])


def assert_same_error(case):
    """Assert that both sides raise, and ours with PyTorch's text.

    Where a row has another ``text``, which is a pattern, ours matches that; where it has a
    ``text_of_both``, so does PyTorch's.
    """
    given = arrays_of(case) | constants_of(case)
    text = case.options.get("text_of_both")
    refusals = (ValueError, RuntimeError, IndexError, TypeError, AssertionError)
    with pytest.raises(refusals, match=text) as expected:
        judge_of(case)(**{name: torch.tensor(a) for name, a in given.items()}, **case.kwargs)
    with pytest.raises((ValueError, TypeError, IndexError)) as found:
        lookup("jaxaccel", case.function)(
            **{name: jnp.asarray(ours_of(case, name, a)) for name, a in given.items()},
            **{**case.kwargs, **case.options.get("own", {})},
        )
    if text is not None or "text" in case.options:
        found.match(text or case.options["text"])
        return
    ours, theirs = str(found.value), str(expected.value)
    # PyTorch may go on about where in its code it is; we may go on with a remedy.
    assert ours.startswith(theirs) or theirs.startswith(ours), (ours, theirs)

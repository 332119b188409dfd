"""RNNCell, LSTMCell and GRUCell against ``torch.nn``: draws, values, gradients, errors."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_close
from parity_tests.harness.compiled import FAST_COMPILE
from parity_tests.nn.rows_cells import CASES, SIZES
from parity_tests.registry import lookup, oracle_of

KINDS = ["RNNCell", "LSTMCell", "GRUCell"]
FIRST = [case for case in CASES if case.why == "defaults"]
DTYPES = {"float64": tol.LAYER_FLOAT64_OF_MAX, "float32": tol.LAYER_FLOAT32_OF_MAX}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_cells_from_a_seed_have_pytorchs_bits(case):
    for seed in (0, -3, 2**63):
        torch.manual_seed(seed)
        expected = oracle_of(case)(**case.kwargs).state_dict()
        generator = ja.random.manual_seed(seed)
        found = ja.nn.state_dict(lookup("jaxaccel", case.function)(**case.kwargs, rngs=generator))
        assert list(found) == list(expected)
        for name, tensor in expected.items():
            assert np.array_equal(found[name].view(np.int32), tensor.view(torch.int32).numpy())
        assert np.array_equal(generator.get_state(), torch.get_rng_state().numpy())


def both(case, dtype):
    """Return both cells with the same weights, the input and the states."""
    ours = lookup("jaxaccel", case.function)(
        **case.kwargs, dtype=jnp.dtype(dtype), rngs=nnx.Rngs(0)
    )
    theirs = oracle_of(case)(**case.kwargs).double()
    theirs.load_state_dict({k: torch.tensor(v) for k, v in ja.nn.state_dict(ours).items()})
    rng, shape = np.random.default_rng(0), case.options["shape"]
    count = (2 if case.function == "nn.LSTMCell" else 1) if case.options["states"] else 0
    shapes = [shape, *[(*shape[:-1], case.kwargs["hidden_size"])] * count]
    return ours, theirs, [rng.normal(size=each).astype(dtype).astype(float) for each in shapes]


def given(arrays):
    """Return the arguments of a call: two states are a pair."""
    input, *states = arrays
    return (input, tuple(states)) if len(states) == 2 else (input, *states)


@pytest.mark.parity
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", FIRST, ids=lambda case: case.function)
def test_values_and_gradients_are_pytorchs(case, dtype):
    """All rows of a cell are one program."""
    rows = [row for row in CASES if row.function == case.function]
    cells = [both(row, dtype) for row in rows]

    @functools.partial(jax.jit, compiler_options=FAST_COMPILE)
    def run(arrays):
        found = []
        for (ours, *_), own in zip(cells, arrays, strict=True):
            graph, params, rest = nnx.split(ours, nnx.Param, ...)

            def call(params, own, graph=graph, rest=rest):
                return jax.tree.leaves(nnx.merge(graph, params, rest)(*given(own)))

            outputs, pullback = jax.vjp(call, params, own)
            found.append((outputs, *pullback([(1 + i) * o for i, o in enumerate(outputs)])))
        return found

    results = run([[jnp.asarray(a, dtype) for a in own] for *_, own in cells])
    for row, (ours, theirs, arrays), (outputs, of_params, of_arrays) in zip(
        rows, cells, results, strict=True
    ):
        tensors = [torch.tensor(a).requires_grad_() for a in arrays]
        expected = theirs(*given(tensors))
        expected = [*expected] if isinstance(expected, tuple) else [expected]
        torch.autograd.backward(expected, [(1 + i) * o.detach() for i, o in enumerate(expected)])
        nnx.update(ours, of_params)
        found = [*outputs, *of_arrays, *ja.nn.state_dict(ours).values()]
        judges = [*expected, *(t.grad for t in tensors), *(p.grad for p in theirs.parameters())]
        assert len(found) == len(judges)
        for array, judge in zip(found, judges, strict=True):
            assert array.dtype == dtype
            assert_close(array, judge.detach(), DTYPES[dtype], 1.0, row.id)


@pytest.mark.parametrize("name", KINDS)
def test_a_cell_is_one_step_of_its_layer(name):
    cell = getattr(ja.nn, name)(3, 4, rngs=ja.random.manual_seed(0))
    layer = getattr(ja.nn, name.removesuffix("Cell"))(3, 4, rngs=ja.random.manual_seed(0))
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3)), jnp.float32)
    found = jax.tree.leaves(cell(x))
    expected = [state[0] for state in jax.tree.leaves(layer(x[None])[1])]
    for array, judge in zip(found, expected, strict=True):
        assert_close(array, judge, tol.LAYER_FLOAT32_OF_MAX)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(
    ("input", "state"),
    [
        ((3, 6), (3, 4)),
        ((3, 5), (3, 3)),
        ((3, 5), (2, 4)),
        ((3, 5), (3, 1, 4)),
        ((1, 3, 5), (3, 4)),
        ((), (4,)),
    ],
)
def test_errors_have_pytorchs_text(name, input, state):
    theirs = getattr(torch.nn, name)(**SIZES)
    count = 2 if name == "LSTMCell" else 1
    with pytest.raises((ValueError, RuntimeError)) as expected:
        theirs(*given([torch.ones(input), *[torch.ones(state)] * count]))
    ours = getattr(ja.nn, name)(**SIZES, rngs=nnx.Rngs(0))
    arrays = [jnp.ones(each, jnp.float32) for each in (input, *[state] * count)]
    with pytest.raises(ValueError) as found:
        ours(*given(arrays))
    assert str(found.value) == str(expected.value).splitlines()[0]


def test_other_errors_are_clear():
    x, h = jnp.ones((2, 5), jnp.float32), jnp.ones((2, 4), jnp.float32)
    rngs = nnx.Rngs(0)
    with pytest.raises(ValueError, match="Unknown nonlinearity: sine\nSelect from"):
        ja.nn.RNNCell(3, 4, nonlinearity="sine", rngs=rngs)
    cell, lstm = ja.nn.GRUCell(5, 4, rngs=rngs), ja.nn.LSTMCell(5, 4, rngs=rngs)
    for text, call in {
        "parameters' dtype float32, got float64, float32": lambda: cell(x.astype(float), h),
        "got float32, float64": lambda: cell(x, h.astype(float)),
        "hx to be a pair (h, c), got ArrayImpl": lambda: lstm(x, h),
        "hx must be an array": lambda: cell(x, (h,)),
    }.items():
        with pytest.raises(TypeError, match=re.escape(text)):
            call()
    with pytest.raises(ValueError, match="hidden to be 2D as the input, got 1D"):
        cell(x, h[0])

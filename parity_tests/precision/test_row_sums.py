"""Gradients that are sums over rows, in half precision: summed in float32, however many rows."""

import copy
import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from jax.sharding import PartitionSpec as P

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.compare import wide
from parity_tests.harness.compiled import FAST_COMPILE
from parity_tests.harness.layer import channels_last
from parity_tests.harness.optimizer import lookup, oracle_of
from parity_tests.precision.rows_row_sums import CASES

ROWS, KINDS = (100, 10_000, 100_000), ("policy", "parameters")
"""How many, and what is in half precision: under a policy the parameters are float32."""

ALL = [(rows, what) for rows in ROWS for what in KINDS]
DEAR = {
    "bfloat16": [(100, "policy"), (10_000, "parameters")],
    "float16": [(100_000, "policy")],
}
CHEAP = {"bfloat16": ALL, "float16": [(10_000, "policy"), (100_000, "parameters")]}
"""What is asked: of what compiles soon everything, where sums stand still first."""


def _draw(case, theirs, rows, dtype):
    """Return numbers that half precision has: the inputs, and a cotangent that does not cancel."""
    rng, shape = np.random.default_rng(0), case.options["shape"](rows)

    def rounded(array):
        return torch.tensor(array).to(dtype).double().numpy()

    count = case.options.get("inputs", 1)
    if "integers" in case.options:
        inputs = [rng.integers(0, case.options["integers"], shape) for _ in range(count)]
    else:
        inputs = [rounded(rng.normal(size=shape)) for _ in range(count)]
    with torch.no_grad():
        output = _first(theirs(*map(torch.tensor, inputs)))
    # Sums of 1e5 must not leave float16.
    return inputs, rounded((rng.normal(size=tuple(output.shape)) + 1) / 16)


def _theirs(theirs, inputs, cotangent, dtype):
    """Return the gradients that PyTorch computes in a dtype."""
    layer = copy.deepcopy(theirs).to(dtype)
    tensors = [
        torch.tensor(x) if x.dtype.kind == "i" else torch.tensor(x, dtype=dtype) for x in inputs
    ]
    _first(layer(*tensors)).backward(torch.tensor(cotangent, dtype=dtype))
    return {name: p.grad for name, p in layer.named_parameters()}


def _judged(case, theirs, rows, half):
    """Return numbers, the exact gradients, and those that PyTorch computes in half precision."""
    inputs, cotangent = _draw(case, theirs, rows, half)
    exact = _theirs(theirs, inputs, cotangent, torch.float64)
    own = _theirs(theirs, inputs, cotangent, torch.float32 if "half" in case.options else half)
    return inputs, cotangent, exact, own


def _ours(layer, inputs, cotangent, dtype, what):
    """Return the gradients of a layer in half precision, under PyTorch's names."""
    apply, params, rest = ja.training.split_model(layer)
    if what == "policy":
        params = jax.tree.map(lambda p: p.astype(jnp.float32), params)
        apply = ja.precision.cast(
            apply, ja.precision.Policy(compute_dtype=dtype, output_dtype=dtype)
        )

    # Where sums are rounded is decided before code is made, of which most of the time would go.
    @functools.partial(jax.jit, compiler_options=FAST_COMPILE)
    def gradients(params, rest, inputs, cotangent):
        def call(params):
            return _first(apply(params, rest, *inputs, training=True)[0])

        return jax.vjp(call, params)[1](cotangent)[0]

    carrier = nnx.clone(layer)
    nnx.update(carrier, gradients(params, rest, inputs, cotangent))
    return ja.nn.state_dict(carrier)


def _channels_last(array, case):
    return channels_last(array, case) if array.ndim > 2 else array


def _first(output):
    return output[0] if isinstance(output, tuple) else output


@pytest.mark.parity
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_sum_over_rows_is_as_exact_as_pytorchs(case, dtype, no_draws):
    half = getattr(torch, dtype)
    torch.manual_seed(0)
    change = case.options.get("change", lambda model: model)
    theirs = change(oracle_of(case)(**case.kwargs)).to(half).double()
    layer = lookup("jaxaccel", case.function)
    takes_rngs = (
        "rngs" in inspect.signature(layer.__init__ if isinstance(layer, type) else layer).parameters
    )
    options = {"dtype": jnp.dtype(dtype)} | ({"rngs": nnx.Rngs(0)} if takes_rngs else {})
    ours = change(layer(**case.kwargs, **options))
    ja.nn.load_state_dict(ours, {k: t.numpy() for k, t in theirs.state_dict().items()})
    judged = {}
    for rows, what in (DEAR if "dear" in case.options else CHEAP)[dtype]:
        if rows not in judged:
            judged[rows] = _judged(case, theirs, rows, half)
        inputs, cotangent, exact, own = judged[rows]
        found = _ours(
            ours,
            [
                jnp.asarray(x)
                if x.dtype.kind == "i"
                else jnp.asarray(channels_last(x, case), dtype)
                for x in inputs
            ],
            jnp.asarray(_channels_last(cotangent, case), dtype),
            *(dtype, what),
        )
        for name in case.options.get("names", exact):
            gradient = exact[name]
            ours_error, own_error = (
                np.sqrt(np.mean((wide(g) - wide(gradient)) ** 2))
                for g in (found[name], own[name].to(half))
            )
            text = f"{name} of {rows}, {what}: {ours_error:.2e}, PyTorch {own_error:.2e}"
            assert ours_error <= tol.OWN_ERROR_RATIO * own_error, text


def test_devices_that_share_a_parameter_sum_its_gradient_in_float32():
    """Inside ``shard_map``: their sums are added, and not their rows, each rounded to bfloat16.

    Half of the rows add a part that a device's 1 would swallow, and the other half the same part.
    """
    part, rows = 2.0**-8 - 2.0**-12, 128
    cotangent = np.zeros((2, rows, 1))
    cotangent[0, : rows // 2], cotangent[1] = 1, part
    layer = torch.nn.Linear(1, 1, dtype=torch.bfloat16)
    whole = torch.tensor(cotangent, dtype=torch.bfloat16).reshape(-1, 1)
    layer(torch.zeros_like(whole)).backward(whole)

    def gradient(bias, cotangent):
        zeros, weight = jnp.zeros_like(cotangent[0]), jnp.ones((1, 1), bias.dtype)
        _, pullback = jax.vjp(lambda b: ja.functional.linear(zeros, weight, b), bias)
        return pullback(cotangent[0])[0]

    run = jax.shard_map(
        gradient,
        mesh=jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,)),
        in_specs=(P(), P("data")),
        out_specs=P(),
    )
    found = jax.jit(run)(jnp.zeros(1, jnp.bfloat16), jnp.asarray(cotangent, jnp.bfloat16))
    assert float(found[0]) == float(layer.bias.grad[0]) == 64.5

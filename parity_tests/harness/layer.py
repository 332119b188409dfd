"""What every test of a layer shares: both sides of a row, one run with gradients, one comparison.

A row's ``options``: ``shape``, of the input in PyTorch's layout; ``spatial``, how many axes follow
its channels (0, the default: arrays without channels, or with the channels last in PyTorch too);
``mode``, ``"eval"`` where it is not training; ``integers``, the bound of an input of indices;
``own``, arguments of jaxaccel's layer alone; ``after``, how many axes follow the channels of the
output, where not as many as the input's.
"""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import torch
from flax import nnx

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_close, largest
from parity_tests.harness.compiled import FAST_COMPILE
from parity_tests.harness.optimizer import lookup, oracle_of

OF_MAX = {"float64": tol.LAYER_FLOAT64_OF_MAX, "float32": tol.LAYER_FLOAT32_OF_MAX}


def channels_last(array, case):
    """Return an input or output of PyTorch's layer as jaxaccel's has it."""
    spatial = case.options.get("spatial", 0)
    return np.ascontiguousarray(np.moveaxis(array, -1 - spatial, -1))


def channels_first(array, case):
    """Return an input or output of jaxaccel's layer as PyTorch's has it."""
    spatial = case.options.get("spatial", 0)
    return np.ascontiguousarray(np.moveaxis(array, -1, -1 - spatial))


def own_layer(case, dtype=None, seed=0):
    """Return jaxaccel's layer of a row, with ``dtype`` and ``rngs`` where it takes them."""
    layer = lookup("jaxaccel", case.function)
    takes = inspect.signature(layer.__init__).parameters
    kwargs = {**case.kwargs, **case.options.get("own", {})}
    if "dtype" in takes and dtype is not None:
        kwargs["dtype"] = jnp.dtype(dtype)
    if "rngs" in takes:
        kwargs["rngs"] = nnx.Rngs(seed)
    return layer(**kwargs)


def both_layers(case, dtype="float64", seed=0):
    """Return jaxaccel's layer and PyTorch's in float64, with the same weights and buffers."""
    ours, theirs = own_layer(case, dtype, seed), oracle_of(case)(**case.kwargs)
    rng = np.random.default_rng(seed)
    state = {
        key: rng.uniform(0.5, 1.5, tensor.shape)
        for key, tensor in theirs.state_dict().items()
        if tensor.is_floating_point()
    }
    if "num_batches_tracked" in theirs.state_dict():
        state["num_batches_tracked"] = np.array(3)
    ja.nn.load_state_dict(ours, {k: v.astype(dtype) for k, v in state.items()})
    theirs = theirs.to(torch.float64)
    theirs.load_state_dict({k: torch.tensor(v) for k, v in ja.nn.state_dict(ours).items()})
    if case.options.get("mode") == "eval":
        ours.eval(), theirs.eval()
    return ours, theirs


def differentiate(layer, x, cotangent, precision="highest"):
    """Return the output, gradients of parameters (as PyTorch has them) and input, and buffers.

    ``precision`` is that of matrix products: accelerators round float32 by default, to TF32 or
    bfloat16. PyTorch runs on the CPU, which does not.
    """
    graph, params, rest = nnx.split(layer, nnx.Param, ...)

    @functools.partial(jax.jit, compiler_options=FAST_COMPILE)
    def run(params, rest, x, cotangent):
        def call(params, x):
            model = nnx.merge(graph, params, rest, copy=True)
            output = model(x)
            return output, nnx.state(model, nnx.BatchStat)

        output, pullback, buffers = jax.vjp(call, params, x, has_aux=True)
        return output, *pullback(cotangent), buffers

    with jax.default_matmul_precision(precision):
        output, gradients, input_gradient, buffers = run(params, rest, x, cotangent)
    carrier = nnx.clone(layer)
    nnx.update(carrier, gradients, buffers)
    return output, ja.nn.state_dict(carrier), input_gradient


def assert_same_layer(case, dtype):
    """Assert that a row's layer equals PyTorch's, in float64 the judge, in all that it returns."""
    ours, theirs = both_layers(case, dtype)
    rng = np.random.default_rng(1)
    if "integers" in case.options:
        x = rng.integers(0, case.options["integers"], case.options["shape"])
        input = torch.tensor(x)
    else:
        x = rng.normal(size=case.options["shape"]).astype(dtype).astype(np.float64)
        input = torch.tensor(x, requires_grad=True)
    output = theirs(input)
    after = case.options.get("after", case.options.get("spatial", 0))
    of_output = case._replace(options={**case.options, "spatial": after})
    cotangent = rng.normal(size=tuple(output.shape)).astype(dtype).astype(np.float64)
    output.backward(torch.tensor(cotangent))

    found, arrays, input_gradient = differentiate(
        ours,
        jnp.asarray(channels_last(x, case), None if "integers" in case.options else dtype),
        jnp.asarray(channels_last(cotangent, of_output), dtype),
    )
    assert found.dtype == dtype
    scale = largest(cotangent)
    assert_close(channels_first(found, of_output), output.detach(), OF_MAX[dtype], what="output")
    if input.requires_grad:
        gradient = channels_first(input_gradient, case)
        assert_close(gradient, input.grad, OF_MAX[dtype], scale, "gradient of the input")
    expected = {name: p.grad for name, p in theirs.named_parameters()}
    expected |= dict(theirs.named_buffers())
    assert arrays.keys() == expected.keys()
    for name, tensor in expected.items():
        at_least = scale if name in dict(theirs.named_parameters()) else 0.0
        assert_close(arrays[name], tensor, OF_MAX[dtype], at_least, name)


def assert_same_state_dict(case):
    """Assert PyTorch's names, order and shapes."""
    found = ja.nn.state_dict(own_layer(case))
    expected = oracle_of(case)(**case.kwargs).state_dict()
    assert list(found) == list(expected)
    assert [a.shape for a in found.values()] == [tuple(t.shape) for t in expected.values()]

"""Activations against PyTorch: values and gradients, at every bend and far out, and as layers."""

import functools
import inspect
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.functional.rows_activations import (
    ALONG,
    BAD,
    BAD_INPUTS,
    BUILTINS,
    ELEMENTWISE,
    INFINITE,
    LAYERS,
    POINTS,
    PRELU,
)
from parity_tests.harness.compiled import FAST_COMPILE
from parity_tests.harness.layer import (
    assert_same_layer,
    assert_same_state_dict,
    own_layer,
)
from parity_tests.harness.optimizer import lookup, oracle_of

OF_VALUE = {"float64": tol.LAYER_FLOAT64_OF_MAX, "float32": tol.GRADIENT_FLOAT32_CONSTANT}
FUNCTIONS = [*ELEMENTWISE, *ALONG, *PRELU]


def arrays_of(case, seed=0):
    """Return the input of a row, its slopes if it takes any, and a function for cotangents."""
    rng = np.random.default_rng(seed)
    x = np.array(POINTS)
    if "shape" in case.options:
        x = np.asarray(rng.normal(size=case.options["shape"]))
    weights = [rng.normal(size=case.options["weight"])] if "weight" in case.options else []
    return [x, *weights]


def run_torch(case, arrays, dtype=torch.float64):
    """Return PyTorch's output, its cotangent, and the gradients."""
    tensors = [torch.tensor(array).to(dtype).requires_grad_() for array in arrays]
    output = oracle_of(case)(*tensors, **case.kwargs)
    cotangent = torch.tensor(
        np.asarray(np.random.default_rng(1).normal(size=tuple(output.shape)))
    ).to(dtype)
    output.backward(cotangent)
    found = [output.detach(), *(tensor.grad for tensor in tensors)]
    return cotangent, [tensor.double().numpy() for tensor in found]


def run_jax(case, arrays, cotangent, dtype="float64", **kwargs):
    """Return jaxaccel's output and gradients."""
    function = functools.partial(lookup("jaxaccel", case.function), **case.kwargs, **kwargs)

    @functools.partial(jax.jit, compiler_options=FAST_COMPILE)
    def run(arrays, cotangent):
        output, pullback = jax.vjp(function, *arrays)
        return output, *pullback(cotangent)

    found = run(
        [jnp.asarray(array, dtype) for array in arrays],
        jnp.asarray(cotangent.double().numpy(), dtype),
    )
    assert all(array.dtype == dtype for array in found)
    return [np.asarray(array, np.float64) for array in found]


def assert_all_close(found, expected, of_value=tol.LAYER_FLOAT64_OF_MAX):
    """Assert equality element by element, up to a rounding of the larger of 1 and the value."""
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == theirs.shape
        ratio = np.abs(ours - theirs) / np.maximum(1, np.abs(theirs))
        assert (ratio <= of_value).all(), (np.argmax(ratio), np.max(ratio))


@pytest.mark.parity
@pytest.mark.parametrize("case", [*ELEMENTWISE, *ALONG], ids=lambda case: case.id)
def test_values_and_gradients_are_pytorchs(case):
    arrays = arrays_of(case)
    cotangent, (output, gradient) = run_torch(case, arrays)
    found, found_gradient = run_jax(case, arrays, cotangent)
    assert_all_close([found], [output])
    of_value = OF_VALUE[case.options.get("constant", "float64")]
    assert_all_close([found_gradient], [gradient], of_value)


@pytest.mark.parity
@pytest.mark.parametrize("case", PRELU, ids=lambda case: case.id)
def test_prelu_takes_the_channels_where_they_are(case):
    x, weight = arrays_of(case)
    cotangent, (output, gradient, *rest) = run_torch(case, [x, weight])
    first = 1 if x.ndim > 1 else -1
    assert_all_close(
        run_jax(case, [x, weight], cotangent, channel_axis=first), [output, gradient, *rest]
    )
    if x.ndim > 2:
        found = run_jax(case, [np.moveaxis(x, 1, -1), weight], cotangent.movedim(1, -1))
        assert_all_close(found, [np.moveaxis(a, 1, -1) for a in (output, gradient)] + rest)


@pytest.mark.parametrize("case", ELEMENTWISE, ids=lambda case: case.id)
def test_infinities_and_nan(case):
    """Values are PyTorch's; so are gradients wherever PyTorch has a limit."""
    arrays = [np.array([*INFINITE, np.nan])]
    cotangent, (output, gradient) = run_torch(case, arrays)
    found, found_gradient = run_jax(case, arrays, cotangent)
    assert np.array_equal(found, output, equal_nan=True)
    limits = ~np.isnan(gradient) & [x not in case.options.get("steep", ()) for x in arrays[0]]
    limits[-1] = False  # of nan there is none
    assert np.array_equal(found_gradient[limits], gradient[limits])


def relative_rms(found, exact):
    return np.sqrt(np.mean((found - exact) ** 2))


HALF_ROWS = [c for c in FUNCTIONS if c.why in ("defaults", "last", "tanh", "vectors", "beta")]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("case", HALF_ROWS, ids=lambda case: case.id)
def test_half_precision_is_rounded_once(case, dtype):
    """As near to the truth as PyTorch in its dtype, values and gradients."""
    rng = np.random.default_rng(5)
    half = getattr(torch, dtype)
    shapes = [case.options.get("shape", (500,)), *filter(None, [case.options.get("weight")])]
    arrays = [torch.tensor(rng.normal(size=s)).to(half).double().numpy() for s in shapes]
    rounded, theirs = run_torch(case, arrays, half)
    exact = exact_run(case, arrays, rounded)
    found = run_jax(case, arrays, rounded, dtype)
    for ours, own, truth in zip(found, theirs, exact, strict=True):
        own_error = relative_rms(own, truth)
        assert relative_rms(ours, truth) <= tol.OWN_ERROR_RATIO * own_error


def exact_run(case, arrays, cotangent):
    """Return PyTorch's output and gradients in double precision, for a given cotangent."""
    tensors = [torch.tensor(array).requires_grad_() for array in arrays]
    output = oracle_of(case)(*tensors, **case.kwargs)
    output.backward(cotangent.double())
    return [t.numpy() for t in (output.detach(), *(tensor.grad for tensor in tensors))]


@pytest.mark.parametrize("name", ["relu", "gelu", "mish", "hardswish"])
def test_half_precision_keeps_the_input_alone_for_the_gradient(name):
    x = jnp.ones((4, 4), jnp.bfloat16)
    _, pullback = jax.vjp(getattr(ja.functional, name), x)
    kept = [leaf for leaf in jax.tree.leaves(pullback) if leaf.size > 1]
    assert [leaf.dtype for leaf in kept] == [jnp.bfloat16]


def test_softplus_does_not_overflow_behind_a_large_threshold():
    """The gradient is a number everywhere, also where the other branch would overflow."""
    x = jnp.array([-jnp.inf, -800.0, 800.0, jnp.inf])
    value, gradient = jax.vmap(
        jax.value_and_grad(lambda x: ja.functional.softplus(x, threshold=1e4))
    )(x)
    assert value.tolist() == [0.0, 0.0, 800.0, np.inf]
    assert gradient.tolist() == [0.0, 0.0, 1.0, 1.0]


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "softmin"])
def test_dtype_of_softmax_is_that_of_the_computation(name):
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    theirs = getattr(torch.nn.functional, name)(torch.tensor(x), dim=-1, dtype=torch.float64)
    found = getattr(ja.functional, name)(jnp.asarray(x), -1, jnp.float64)
    assert found.dtype == jnp.float64
    assert_all_close([np.asarray(found)], [theirs.numpy()])


def test_softmax_of_what_is_masked():
    """-inf takes no share; a row of nothing else is nan, as in PyTorch."""
    x = np.array([[0.0, -np.inf, 1.0], [-np.inf, -np.inf, -np.inf]])
    for name in ("softmax", "log_softmax"):
        theirs = getattr(torch.nn.functional, name)(torch.tensor(x), dim=-1).numpy()
        found = np.asarray(getattr(ja.functional, name)(jnp.asarray(x), -1))
        assert np.allclose(found, theirs, rtol=tol.LAYER_FLOAT64_OF_MAX, atol=0, equal_nan=True)


@pytest.mark.parametrize("name", sorted(BUILTINS))
def test_signature_is_the_one_that_pytorch_documents(name):
    function = lookup("jaxaccel", name)
    text = getattr(torch.nn.functional, name.split(".")[1]).__doc__.strip().split("->")[0]
    documented = [
        tuple(part.strip() for part in argument.split("="))
        for argument in re.search(r"\((.*)\)", text)[1].split(",")
    ]
    ours = [p for p in inspect.signature(function).parameters.values() if p.name != "channel_axis"]
    assert [p.name for p in ours] == [argument for argument, *_ in documented]
    for parameter, (_, *default) in zip(ours, documented, strict=True):
        if default:
            assert str(parameter.default).removesuffix(".0") == default[0].strip("'")


# --- layers -------------------------------------------------------------------------------------


@pytest.mark.parity
@pytest.mark.parametrize("case", LAYERS, ids=lambda case: case.id)
def test_layer_equals_pytorch(case):
    assert_same_layer(case, case.options.get("constant", "float64"))


@pytest.mark.parametrize("case", [c for c in LAYERS if "PReLU" in c.function], ids=lambda c: c.id)
def test_state_dict_is_pytorchs(case):
    """Names, order, shapes; and where the slopes start."""
    assert_same_state_dict(case)
    fresh = oracle_of(case)(**case.kwargs).state_dict()
    new = ja.nn.state_dict(own_layer(case))
    assert all(np.array_equal(new[name], tensor.numpy()) for name, tensor in fresh.items())
    assert all(array.dtype == np.float32 for array in new.values())


@pytest.mark.parametrize("case", [c for c in LAYERS if not c.kwargs], ids=lambda c: c.id)
def test_layers_keep_the_inputs_dtype(case):
    for dtype in ("float32", "bfloat16"):
        x = jnp.ones(case.options["shape"], dtype)
        assert own_layer(case, dtype)(x).dtype == dtype


def test_prelu_takes_channels_first():
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    theirs = torch.nn.PReLU(5, 0.5)(torch.tensor(x)).detach().numpy()
    assert np.array_equal(ja.nn.PReLU(5, 0.5, channel_axis=1)(jnp.asarray(x)), theirs)


def test_layers_have_no_state_but_the_slopes():
    for case in LAYERS:
        params = jax.tree.leaves(nnx.state(own_layer(case)))
        assert bool(params) == ("PReLU" in case.function)


# --- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.id)
def test_constructor_errors_have_pytorchs_text(case):
    with pytest.raises((AssertionError, RuntimeError)) as expected:
        oracle_of(case)(**case.kwargs)(torch.ones(case.options["shape"]))
    with pytest.raises(ValueError) as found:
        lookup("jaxaccel", case.function)(**case.kwargs)
    assert str(found.value) == str(expected.value)


@pytest.mark.parametrize("case", BAD_INPUTS, ids=lambda case: case.id)
def test_input_errors_have_pytorchs_text(case):
    shapes = [case.options["shape"], *filter(None, [case.options.get("weight")])]
    with pytest.raises((ValueError, RuntimeError, IndexError)) as expected:
        oracle_of(case)(*map(torch.ones, shapes), **case.kwargs)
    with pytest.raises((ValueError, IndexError)) as found:
        lookup("jaxaccel", case.function)(*map(jnp.ones, shapes), **case.kwargs)
    assert str(found.value) == str(expected.value).splitlines()[0]


def test_a_negative_lambd_raises_for_softshrink_alone():
    for call in (
        lambda: torch.nn.functional.softshrink(torch.ones(2), -1.0),
        lambda: ja.functional.softshrink(jnp.ones(2), -1.0),
        lambda: ja.nn.Softshrink(-1.0),
    ):
        with pytest.raises((RuntimeError, ValueError), match=r"lambda must be.*but found.* -1"):
            call()


def test_mixed_dtypes_of_prelu_raise():
    with pytest.raises(RuntimeError, match="Type promoting not supported"):
        torch.nn.functional.prelu(torch.ones(2, 3), torch.ones(3).double())
    with pytest.raises(TypeError, match=r"not supported. Got float32 and float64"):
        ja.functional.prelu(jnp.ones((2, 3), jnp.float32), jnp.ones(3))


@pytest.mark.parametrize("case", [c for c in FUNCTIONS if c.why in ("defaults", "last")],
                         ids=lambda case: case.id)  # fmt: skip
def test_integers_raise(case):
    with pytest.raises(TypeError, match="expected a floating point input, got dtype int"):
        lookup("jaxaccel", case.function)(jnp.ones((2, 4), int), **case.kwargs)

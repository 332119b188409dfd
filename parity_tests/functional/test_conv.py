"""Convolutions and matrix products: half precision, mixed dtypes, the caller's precision, hints."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.functional import rows_conv, rows_linear
from parity_tests.harness.compare import assert_close
from parity_tests.harness.function import (
    arrays_of,
    ours_of,
    run_torch,
    theirs_of,
)
from parity_tests.harness.layer import OF_MAX
from parity_tests.registry import lookup

DEFAULTS = [c for c in [*rows_linear.CASES, *rows_conv.CASES] if c.why == "defaults"]


def call(case, arrays, dtype):
    """Return a row's output for its arrays in a dtype."""
    given = {name: np.asarray(ours_of(case, name, a), dtype) for name, a in arrays.items()}
    function = lookup("jaxaccel", case.function)
    return jax.jit(lambda given: function(**given, **case.kwargs))(given)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("case", DEFAULTS, ids=lambda case: case.id)
def test_half_precision(case, dtype):
    """About one rounding from the truth: the products are added up in float32."""
    arrays = {
        name: np.asarray(jnp.asarray(a, dtype), np.float64) for name, a in arrays_of(case).items()
    }
    expected, _ = run_torch(case, arrays)
    found = call(case, arrays, dtype)
    assert found.dtype == dtype
    found = theirs_of(case, "output", np.asarray(found, np.float64))
    assert_close(found, expected.output, tol.LAYER_BFLOAT16_OF_MAX)


@pytest.mark.parametrize("function", ["linear", "conv2d"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_with_a_bias_is_rounded_twice(dtype, function):
    """The product and the sum, where PyTorch's kernel on a CPU rounds once; without a bias both."""
    rng, is_conv = np.random.default_rng(0), function == "conv2d"
    shapes = [(4, 16, 12, 12), (32, 16, 3, 3), (32,)] if is_conv else [(512, 64), (32, 64), (32,)]
    exact = [torch.tensor(rng.normal(size=shape)).to(getattr(torch, dtype)) for shape in shapes]
    halves = [jnp.asarray(each.double().numpy(), dtype) for each in exact]
    axes = ((0, 2, 3, 1), (2, 3, 1, 0)) if is_conv else ((0, 1), (1, 0))
    given = [each.transpose(order) for each, order in zip(halves[:2], axes, strict=True)]
    theirs = getattr(torch.nn.functional, function)
    for bias, bound in (((), 1.05), (halves[2:], tol.TWICE_ROUNDED_RATIO)):
        count = 2 + len(bias)
        truth = theirs(*(each.double() for each in exact[:count])).numpy()
        own = theirs(*exact[:count]).double().numpy()
        found = np.asarray(getattr(ja.functional, function)(*given, *bias), np.float64)
        found = found.transpose(0, 3, 1, 2) if is_conv else found
        errors = [np.sqrt(np.mean((each - truth) ** 2)) for each in (found, own)]
        assert errors[0] <= bound * errors[1], errors[0] / errors[1]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_bilinear_is_rounded_once(dtype):
    """Half precision has no 4097, of which 4096 is taken."""
    weight = jnp.array([[[1.0, 1.0], [1.0, 0.0]]], dtype)
    found = ja.functional.bilinear(jnp.array([4096, 1], dtype), jnp.array([1, -1], dtype), weight)
    assert found.dtype == dtype
    assert found.tolist() == [1.0]


@pytest.mark.parametrize("promotion", ["strict", "standard"])
@pytest.mark.parametrize("other", ["weight", "bias"])
@pytest.mark.parametrize("case", DEFAULTS, ids=lambda case: case.id)
def test_mixed_dtypes_raise(case, other, promotion):
    """In PyTorch too; under standard promotion JAX alone would compute in the wider one."""
    arrays = arrays_of(case)
    given = {name: jnp.asarray(ours_of(case, name, a)) for name, a in arrays.items()}
    given[other] = given[other].astype(jnp.float32)
    if other == "weight":  # another bias raises in some of PyTorch's kernels only
        tensors = {name: torch.tensor(a) for name, a in arrays.items()}
        tensors[other] = tensors[other].float()
        function = getattr(torch.nn.functional, case.function.split(".")[1])
        with pytest.raises(RuntimeError):
            function(**tensors)
    with (
        jax.numpy_dtype_promotion(promotion),
        pytest.raises(TypeError, match=r"(must|to) have the same dtype|should be the same"),
    ):
        lookup("jaxaccel", case.function)(**given)


@pytest.mark.parametrize("case", DEFAULTS, ids=lambda case: case.id)
def test_a_cpu_always_multiplies_in_full(case):
    """So that tests on a CPU say nothing about an accelerator's default, and need no setting."""
    arrays = arrays_of(case, "float32")
    outputs = []
    for precision in ("default", "highest"):
        with jax.default_matmul_precision(precision):
            outputs.append(call(case, arrays, "float32"))
    assert np.array_equal(*outputs)


@pytest.mark.parametrize("case", DEFAULTS, ids=lambda case: case.id)
def test_the_programs_precision_is_the_callers(case):
    """Forwards and backwards every product carries what ``default_matmul_precision`` asks for."""
    given = {
        name: jnp.asarray(ours_of(case, name, a), jnp.float32)
        for name, a in arrays_of(case).items()
    }
    function = lookup("jaxaccel", case.function)
    operation = "convolution" if "conv" in case.function else "dot_general"
    for precision in ("highest", "default"):
        with jax.default_matmul_precision(precision):
            gradient = jax.jit(jax.grad(lambda arrays: function(**arrays).sum()))
            text = gradient.lower(given).as_text()
        products = [line for line in text.splitlines() if f"stablehlo.{operation}" in line]
        assert len(products) >= 2
        in_full = [line.count("HIGHEST") == 2 for line in products]
        assert all(in_full) if precision == "highest" else not any(in_full)


def test_a_transposed_convolution_is_the_gradient_of_a_convolution():
    """Of the same kernel, as it is: only the names of its last two axes change places."""
    rng = np.random.default_rng(0)
    weight, cotangent = (jnp.asarray(rng.normal(size=s)) for s in ((3, 2, 4, 6), (2, 4, 4, 6)))
    _, pullback = jax.vjp(
        lambda x: ja.functional.conv2d(x, weight, stride=2), jnp.ones((2, 9, 8, 4))
    )
    found = ja.functional.conv_transpose2d(cotangent, weight, stride=2)
    assert_close(np.asarray(found), np.asarray(pullback(cotangent)[0]), OF_MAX["float64"])


def test_channels_first_get_a_hint():
    images, weight = jnp.ones((2, 3, 32, 32)), jnp.ones((3, 3, 3, 8))
    hint = r"3 channels, but got 32.*\nChannels are last here: got \(2, 3, 32, 32\); pass x.transp"
    with pytest.raises(ValueError, match=hint + r"ose\(0, 2, 3, 1\)"):
        ja.functional.conv2d(images, weight)
    with pytest.raises(ValueError, match=hint):
        ja.functional.conv_transpose2d(images, weight.swapaxes(-1, -2))

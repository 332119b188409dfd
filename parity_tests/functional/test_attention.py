"""Attention as a function against ``torch.nn.functional``: values, gradients, dropout, errors."""

import functools
import inspect
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jaxaccel as ja
from parity_tests.functional.rows_attention import FORWARD, FUNCTION
from parity_tests.harness.attention import (
    assert_dropout_of_weights,
    assert_same_function,
    assert_same_text,
    cotangents_of,
    inputs_of,
    run_torch,
)
from parity_tests.harness.compare import assert_close
from parity_tests.harness.compiled import FAST_COMPILE
from parity_tests.harness.layer import OF_MAX
from parity_tests.harness.optimizer import oracle_of

FLOAT32_ROWS = ("defaults", "causal", "boolean mask hides all")


def rows(cases):
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.id)


# --- scaled_dot_product_attention ---------------------------------------------------------------


@pytest.mark.parity
@rows(FUNCTION)
def test_float64_function_equals_pytorch(case):
    assert_same_function(case, "float64")


@rows([case for case in FUNCTION if case.why in FLOAT32_ROWS])
def test_float32_function_equals_pytorch(case):
    assert_same_function(case, "float32")


def test_a_hidden_query_gives_exact_zeros():
    q, v = jnp.ones((2, 3, 4)), jnp.ones((2, 5, 4))
    seen = jnp.ones((3, 5), bool).at[1].set(False)
    output = ja.functional.scaled_dot_product_attention(q, v, v, seen)
    assert np.array_equal(output[:, 1], jnp.zeros((2, 4)))


def test_signature_of_the_function_is_pytorchs():
    """PyTorch's is a builtin without a signature; its documentation begins with one."""
    text = torch.nn.functional.scaled_dot_product_attention.__doc__.split("->")[0]
    words = re.findall(r"(\w+)=([\w.]+)", text)
    assert [name for name, _ in words] == [
        "attn_mask",
        "dropout_p",
        "is_causal",
        "scale",
        "enable_gqa",
    ]
    own = inspect.signature(ja.functional.scaled_dot_product_attention).parameters.values()
    found = [each.default for each in own if each.default is not each.empty]
    assert [str(value) for value in found] == [*(value for _, value in words), "None", "None"]


def test_dropout_of_the_function():
    assert_dropout_of_weights()


# --- multi_head_attention_forward ---------------------------------------------------------------


ABSENT = ("in_proj_weight", "in_proj_bias", "bias_k", "bias_v", "out_proj_bias")
"""Arrays without a default: None where a row has none."""


def kernels(weights):
    """Return arrays of PyTorch in jaxaccel's layout."""
    return {k: w.T if k.endswith("_weight") else w for k, w in weights.items()}


def forward_of(case, function, arrays, weights, masks, **more):
    """Return the output of a row and, where there are any, the weights."""
    given = dict.fromkeys(ABSENT) | weights | masks | case.kwargs | more
    return tuple(x for x in function(*arrays, **given) if x is not None)


@pytest.mark.parity
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@rows(FORWARD)
def test_multi_head_attention_equals_pytorch(case, dtype):
    arrays, masks = inputs_of(case, dtype)
    rng, nan = np.random.default_rng(3), "nan" in case.options
    weights = {
        name: rng.uniform(-0.6, 0.6, shape).astype(dtype)
        for name, shape in case.options["weights"].items()
    }
    moving = {k: torch.tensor(w).double().requires_grad_() for k, w in weights.items()}
    judge = functools.partial(forward_of, case, oracle_of(case))
    expected, gradients = run_torch(
        lambda arrays, masks: judge(arrays, moving, masks),
        *(moving, arrays, masks, cotangents_of(dtype)),
    )
    as_jax = functools.partial(jax.tree.map, jnp.asarray)
    hidden = as_jax({k: m for k, m in masks.items() if m.dtype == bool})

    @functools.partial(jax.jit, compiler_options=FAST_COMPILE)
    def run(arrays, weights, floating, cotangents):
        def call(arrays, weights, floating):
            return forward_of(
                case, ja.functional.multi_head_attention_forward, arrays, weights, hidden | floating
            )

        outputs, pullback = jax.vjp(call, arrays, weights, floating)
        return outputs, *pullback(tuple(cotangents))

    found, of_arrays, of_weights, of_masks = run(
        as_jax(arrays),
        as_jax(kernels(weights)),
        as_jax({k: m for k, m in masks.items() if m.dtype != bool}),
        as_jax(cotangents_of(dtype)([torch.tensor(x) for x in expected])),
    )
    assert len(found) == len(expected)
    for output, theirs in zip(found, expected, strict=True):
        assert output.dtype == dtype
        assert_close(output, theirs, OF_MAX[dtype], special=nan)
    own = kernels(of_weights) | dict(enumerate(of_arrays)) | of_masks
    assert own.keys() == gradients.keys()
    # The gradient of in_proj_bias for the keys is zero but for rounding.
    scale = max(np.nan_to_num(np.abs(g)).max() for g in gradients.values() if g is not None)
    for name, theirs in gradients.items():
        theirs = np.zeros_like(own[name]) if theirs is None else theirs
        assert_close(own[name], theirs, OF_MAX[dtype], scale, str(name), special=nan)


def ones_of(case, **more):
    """Return a row's arrays, weights and masks, all of them ones."""
    arrays = [jnp.ones(shape) for shape in case.options["shapes"]]
    weights = {k: jnp.ones(shape) for k, shape in case.options["weights"].items()}
    return arrays, kernels(weights), more


def test_dropout_of_multi_head_attention_is_that_of_training_alone():
    """A seed draws one mask, weights are zeroed or doubled, and the output is formed of them."""
    arrays, weights, _ = ones_of(FORWARD[0])
    call = functools.partial(
        forward_of, FORWARD[0], ja.functional.multi_head_attention_forward, arrays, weights, {}
    )
    options = {"dropout_p": 0.5, "average_attn_weights": False}
    plain, even = call(average_attn_weights=False)
    first, second, other = (call(**options, dropout_key=jax.random.key(s)) for s in (0, 0, 1))
    assert np.array_equal(first[1], second[1])
    assert not np.array_equal(first[1], other[1])
    assert set(np.unique(np.asarray(first[1] / even))) == {0.0, 2.0}
    assert not np.array_equal(first[0], plain)
    assert np.array_equal(call(**options, training=False)[0], plain)
    with pytest.raises(ValueError, match="needs dropout_key"):
        call(**options)


def test_batches_first_are_batches_first():
    case = FORWARD[4]
    arrays, masks = inputs_of(case, "float64")
    weights = kernels({k: np.full(s, 0.1) for k, s in case.options["weights"].items()})
    call = functools.partial(forward_of, case, ja.functional.multi_head_attention_forward)
    output, of_keys = call([jnp.asarray(x) for x in arrays], weights, masks)
    turned = [jnp.swapaxes(jnp.asarray(x), 0, 1) for x in arrays]
    found, of_keys_too = call(turned, weights, masks, batch_first=True)
    assert_close(jnp.swapaxes(found, 0, 1), output, OF_MAX["float64"])
    assert_close(of_keys_too, of_keys, OF_MAX["float64"])


# --- errors -------------------------------------------------------------------------------------


class Torch:
    attend = staticmethod(torch.nn.functional.scaled_dot_product_attention)
    heads = staticmethod(torch.nn.functional.multi_head_attention_forward)

    @staticmethod
    def ones(*shape, dtype="float32"):
        return torch.ones(shape, dtype=getattr(torch, dtype))


class Ours:
    attend = staticmethod(ja.functional.scaled_dot_product_attention)
    heads = staticmethod(ja.functional.multi_head_attention_forward)

    @staticmethod
    def ones(*shape, dtype="float32"):
        return jnp.ones(shape, dtype)


def heads(s, number=2, length=8, **more):
    """Call multi-head attention on four queries of eight numbers, whose kernels look alike."""
    square, x = s.ones(8, 8), s.ones(4, 2, 8)
    given = {"in_proj_weight": s.ones(24, 8) if s is Torch else s.ones(8, 24)} | more
    return s.heads(
        x, x, x, length, number, given.pop("in_proj_weight"), None, None, None, False, 0.0,
        square, None, **given,
    )  # fmt: skip


ERRORS = {
    "axes of the function": lambda s: s.attend(s.ones(3), s.ones(2, 3), s.ones(2, 3)),
    "mask and causal": lambda s: s.attend(
        *[s.ones(2, 3)] * 3, s.ones(2, 2, dtype="bool"), is_causal=True
    ),
    "expected length": lambda s: heads(s, length=6),
    "no packed weight": lambda s: heads(s, in_proj_weight=None),
    "no separate weight": lambda s: heads(
        s, use_separate_proj_weight=True, q_proj_weight=s.ones(8, 8), k_proj_weight=s.ones(8, 8)
    ),
    "heads do not divide": lambda s: heads(s, 3),
}  # fmt: skip
SAME_BEGINNING = {
    "dtypes of the function": (
        lambda s: s.attend(*[s.ones(2, 3)] * 2, s.ones(2, 3, dtype="float64")),
        66,
    ),
    "mask of integers in the function": (
        lambda s: s.attend(*[s.ones(2, 3)] * 3, s.ones(2, 2, dtype="int32")),
        67,
    ),
    "heads of the function": (
        lambda s: s.attend(s.ones(4, 2, 8), *[s.ones(3, 2, 8)] * 2, enable_gqa=True),
        68,
    ),
}
"""And how many letters are the same: PyTorch goes on with its names of dtypes or functions."""


@pytest.mark.parametrize("why", ERRORS)
def test_errors_have_pytorchs_text(why):
    assert_same_text(ERRORS[why], Ours, Torch)


@pytest.mark.parametrize("why", SAME_BEGINNING)
def test_errors_begin_with_pytorchs_text(why):
    call, length = SAME_BEGINNING[why]
    assert_same_text(call, Ours, Torch, length)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda s: s.attend(s.ones(2, 7), s.ones(2, 8), s.ones(2, 8)), "got shapes|same"),
        (lambda s: s.attend(s.ones(3, 2, 8), *[s.ones(2, 2, 8)] * 2), "must broadcast"),
        (lambda s: s.attend(*[s.ones(3, 8)] * 3, s.ones(2, 3, dtype="bool")), "not broadcast to"),
        (lambda s: s.attend(*[s.ones(3, 8)] * 3, s.ones(1, 3, 3, dtype="bool")), "not broadcast"),
        (lambda s: s.attend(*[s.ones(3, 8)] * 3, enable_gqa=True), "needs an axis of heads"),
        (lambda s: s.attend(*[s.ones(3, 8, dtype="int32")] * 3), "floating, but got int32"),
        (lambda s: s.attend(*[s.ones(3, 8)] * 3, dropout_p=-0.5), "between 0 and 1, but got -0.5"),
    ],
)
def test_errors_that_pytorch_words_otherwise(call, text):
    """PyTorch raises too, in the words of a matrix product, or lets a negative dropout pass."""
    with pytest.raises((ValueError, TypeError), match=text):
        call(Ours)

"""What the tests of attention share: a row's inputs, both sides, and how they are compared."""

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
from parity_tests.harness.errors import raised_by
from parity_tests.harness.layer import OF_MAX
from parity_tests.nn.rows_attention import ATTENTION
from parity_tests.registry import lookup, oracle_of

STACKS = {"nn.TransformerEncoder": "Encoder", "nn.TransformerDecoder": "Decoder"}
"""Layers that copy a layer."""


def mask_of(kind, shape, rng):
    """Return a mask: floating numbers are added, of a boolean one a layer hides what is True."""
    hide = rng.random(shape) < 0.4
    hide[..., 0] = False
    if kind == "causal":
        return ~np.tri(*shape, dtype=bool)
    if kind.startswith("hidden"):
        hide[..., 1, :] = True
    if kind.endswith("float"):
        return np.where(hide, -np.inf if kind.startswith("hidden") else 0.0, rng.normal(size=shape))
    return hide


def inputs_of(case, dtype):
    """Return a row's arrays and masks in float64, as a run in ``dtype`` has them."""
    rng = np.random.default_rng(1)
    arrays = [rng.normal(size=shape).astype(dtype) for shape in case.options["shapes"]]
    masks = {
        name: mask_of(kind, shape, rng)
        for name, (kind, shape) in case.options.get("masks", {}).items()
    }
    masks = {k: m.astype(dtype) if m.dtype != bool else m for k, m in masks.items()}
    return arrays, masks


def run_torch(call, params, arrays, masks, cotangents):
    """Return PyTorch's outputs, and gradients of parameters, arrays and floating masks."""
    moving = [torch.tensor(a).double().requires_grad_() for a in arrays]
    masks = {k: torch.tensor(m) for k, m in masks.items()}
    masks = {
        k: m if m.dtype == torch.bool else m.double().requires_grad_() for k, m in masks.items()
    }
    outputs = call(moving, masks)
    cotangents = [c.astype(np.float64) for c in cotangents(outputs)]
    floating = {k: m for k, m in masks.items() if m.requires_grad}
    gradients = torch.autograd.grad(
        outputs,
        [*params.values(), *moving, *floating.values()],
        [torch.tensor(c) for c in cotangents],
        allow_unused=True,
    )
    names = [*params, *range(len(moving)), *floating]
    found = {
        name: None if gradient is None else gradient.numpy()
        for name, gradient in zip(names, gradients, strict=True)
    }
    return [output.detach().numpy() for output in outputs], found


def cotangents_of(dtype):
    """Return a function of outputs that draws what is multiplied with the Jacobian."""

    def draw(outputs):
        rng = np.random.default_rng(2)
        return [rng.normal(size=tuple(output.shape)).astype(dtype) for output in outputs]

    return draw


def assert_same_text(call, ours, theirs, length=None):
    """Assert that ``call`` of our side raises PyTorch's text, or its first so many letters."""
    with pytest.raises((RuntimeError, ValueError, TypeError, AssertionError)) as raised:
        call(theirs)
    expected = re.sub(r"torch\.Size\(\[(.*?)\]\)", r"(\1)", str(raised.value))
    assert raised_by(lambda: call(ours))[1][:length] == expected[:length]


# --- the function ---------------------------------------------------------------------------------


def assert_same_function(case, dtype):
    """Assert that a row of the function equals PyTorch's, gradients included."""
    arrays, masks = inputs_of(case, dtype)
    masks = {k: ~m if m.dtype == bool else m for k, m in masks.items()}  # True is seen

    def theirs(arrays, masks):
        return (oracle_of(case)(*arrays, **masks, **case.kwargs),)

    (expected,), gradients = run_torch(theirs, {}, arrays, masks, cotangents_of(dtype))
    hidden = {k: jnp.asarray(m) for k, m in masks.items() if m.dtype == bool}
    floating = {k: jnp.asarray(m) for k, m in masks.items() if m.dtype != bool}

    @functools.partial(jax.jit, compiler_options=FAST_COMPILE)
    def run(arrays, floating, cotangent):
        def call(arrays, floating):
            return lookup("jaxaccel", case.function)(*arrays, **floating, **hidden, **case.kwargs)

        output, pullback = jax.vjp(call, arrays, floating)
        return output, *pullback(cotangent)

    (cotangent,) = cotangents_of(dtype)([torch.tensor(expected)])
    found, of_arrays, of_masks = run([jnp.asarray(a) for a in arrays], floating, cotangent)
    assert found.dtype == dtype
    assert_close(found, expected, OF_MAX[dtype])
    own = {**dict(enumerate(of_arrays)), **of_masks}
    assert own.keys() == gradients.keys()
    for name, judge in gradients.items():
        judge = np.zeros_like(own[name]) if judge is None else judge
        assert_close(own[name], judge, OF_MAX[dtype], np.abs(cotangent).max(initial=0.0))


def assert_dropout_of_weights():
    """Assert rates and scaling: with the identity for values, the output is the weights."""
    rng = np.random.default_rng(0)
    q, k = rng.normal(size=(2, 2, 3, 40, 8))
    v = np.broadcast_to(np.eye(40), (2, 3, 40, 40))

    @functools.partial(jax.jit, static_argnums=0)
    def attend(p, key=None):
        arrays = map(jnp.asarray, (q, k, v))
        return ja.functional.scaled_dot_product_attention(
            *arrays, is_causal=True, dropout_p=p, dropout_key=key
        )

    kept, p = np.tri(40, dtype=bool), 0.25
    plain = np.asarray(attend(0.0))
    first, again, second = (np.asarray(attend(p, jax.random.key(seed))) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, second)
    zeroed = (first == 0)[..., kept]
    assert_close(first[first != 0], plain[first != 0] / (1 - p), tol.LAYER_FLOAT64_OF_MAX)
    assert abs(zeroed.mean() - p) <= 4 * np.sqrt(p * (1 - p) / zeroed.size)
    assert not attend(1.0, jax.random.key(0)).any()
    with pytest.raises(ValueError, match="needs dropout_key"):
        attend(p)


# --- the layers -----------------------------------------------------------------------------------


def ours_of(case, dtype=None, seed=0):
    """Return jaxaccel's layer of a row, drawn by a generator, and the generator."""
    generator = ja.random.manual_seed(seed)
    kwargs = dict(case.kwargs)
    if kind := STACKS.get(case.function):
        make = getattr(ja.nn, f"Transformer{kind}Layer")
        layer = make(**kwargs.pop(f"{kind.lower()}_layer"), dtype=dtype, rngs=generator)
        norm = ja.nn.LayerNorm(kwargs["norm"], dtype=dtype) if "norm" in kwargs else None
        return lookup("jaxaccel", case.function)(layer, **{**kwargs, "norm": norm}), generator
    return lookup("jaxaccel", case.function)(**kwargs, dtype=dtype, rngs=generator), generator


def theirs_of(case):
    """Return PyTorch's layer of a row."""
    kwargs = dict(case.kwargs)
    if kind := STACKS.get(case.function):
        make = getattr(torch.nn, f"Transformer{kind}Layer")
        layer = make(**kwargs.pop(f"{kind.lower()}_layer"))
        norm = torch.nn.LayerNorm(kwargs["norm"]) if "norm" in kwargs else None
        nested = {"enable_nested_tensor": False} if kind == "Encoder" else {}
        return oracle_of(case)(layer, **{**kwargs, "norm": norm, **nested})
    return oracle_of(case)(**kwargs)


def layers(case, dtype):
    """Return both layers with the same random weights, biases included; the judge in float64."""
    (ours, _), theirs = ours_of(case, dtype), theirs_of(case)
    rng = np.random.default_rng(0)
    state = {
        name: rng.uniform(-0.6, 0.6, tensor.shape).astype(dtype)
        for name, tensor in theirs.state_dict().items()
    }
    ja.nn.load_state_dict(ours, state)
    theirs = theirs.double()
    theirs.load_state_dict({name: torch.tensor(v.astype(float)) for name, v in state.items()})
    if case.options.get("mode") == "eval":
        ours.eval(), theirs.eval()
    return ours, theirs


def arguments(case, arrays):
    """Return the arrays of a call: an attention layer takes three."""
    return arrays * 3 if case in ATTENTION and len(arrays) == 1 else arrays


def only_outputs(result):
    """Return a tuple of the arrays that a call returns."""
    return tuple(x for x in (result if isinstance(result, tuple) else (result,)) if x is not None)


def under_torchs_names(model, gradients):
    """Return the gradients of a model's parameters with PyTorch's names and layouts."""
    like = nnx.clone(model)
    nnx.update(like, gradients)
    return ja.nn.state_dict(like)


def assert_same_layer(case, dtype):
    """Assert that a row's layer equals PyTorch's, in float64 the judge, in all that it returns."""
    ours, theirs = layers(case, dtype)
    arrays, masks = inputs_of(case, dtype)
    options = case.options.get("call", {})

    def call(arrays, masks):
        return only_outputs(theirs(*arguments(case, arrays), **masks, **options))

    params = dict(theirs.named_parameters())
    expected, gradients = run_torch(call, params, arrays, masks, cotangents_of(dtype))

    graph, params, rest = nnx.split(ours, nnx.Param, ...)

    @functools.partial(jax.jit, compiler_options=FAST_COMPILE)
    def run(params, arrays, floating, hidden, cotangents):
        def call(params, arrays, floating):
            model = nnx.merge(graph, params, rest, copy=True)
            masks = {**floating, **hidden}
            return only_outputs(model(*arguments(case, arrays), **masks, **options))

        outputs, pullback = jax.vjp(call, params, arrays, floating)
        return outputs, *pullback(tuple(cotangents))

    as_jax = functools.partial(jax.tree.map, jnp.asarray)
    found, of_params, of_arrays, of_masks = run(
        params,
        as_jax(arrays),
        as_jax({k: m for k, m in masks.items() if m.dtype != bool}),
        as_jax({k: m for k, m in masks.items() if m.dtype == bool}),
        as_jax(cotangents_of(dtype)([torch.tensor(x) for x in expected])),
    )
    nan = "nan" in case.options
    assert len(found) == len(expected)
    for output, judge in zip(found, expected, strict=True):
        assert output.dtype == dtype
        assert_close(output, judge, OF_MAX[dtype], special=nan)
    own = {**under_torchs_names(ours, of_params), **dict(enumerate(of_arrays)), **of_masks}
    assert own.keys() == gradients.keys()
    # The gradient of in_proj_bias for the keys is zero but for rounding.
    scale = max(np.nan_to_num(np.abs(g)).max() for g in gradients.values() if g is not None)
    for name, judge in gradients.items():
        judge = np.zeros_like(own[name]) if judge is None else judge
        if nan:
            assert np.array_equal(np.isnan(own[name]), np.isnan(judge))
        assert_close(np.nan_to_num(own[name]), np.nan_to_num(judge), OF_MAX[dtype], scale)

"""Every row of the transforms against ``torch.nn.utils``: gradients and norms, at every step."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jaxaccel as ja
import torch_ref.transforms as ref
from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_rounded_once, wide
from parity_tests.harness.compiled import FAST_COMPILE
from parity_tests.harness.mirror import torch_ref_inside
from parity_tests.harness.optimizer import (
    DTYPES,
    FROZEN,
    LOW_LEAF,
    as_jax,
    as_torch,
    lookup,
    oracle_of,
    problem,
    to_numpy,
    to_torch,
    values_at,
)
from parity_tests.transforms.rows_transforms import (
    CLIP_GRADS_WITH_NORM,
    CLIPS,
    GET_TOTAL_NORM,
)

STEPS = 4


def rows(cases):
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.id)


def gradients(case, dtype):
    """Return the row's gradients, a list of {leaf: array} by step, as ``dtype`` rounds them."""
    options = case.options
    if "grads" in options:
        return [{name: np.array(leaf) for name, leaf in options["grads"].items()}] * STEPS
    _, grads = problem(case, seed=0)
    steps = []
    for t in range(STEPS):
        leaves = {
            n: None if g is None else g[t] * options.get("scale", 1) for n, g in grads.items()
        }
        leaves["vector"][3] = options.get("plant", leaves["vector"][3])
        rounded = {n: None if g is None else to_torch(g, dtype) for n, g in leaves.items()}
        steps.append({n: None if g is None else to_numpy(g) for n, g in rounded.items()})
    return steps


# --- PyTorch, in float64 ------------------------------------------------------------------------


def parameters_with(grads, dtype="float64"):
    """Return PyTorch parameters that carry the gradients, by name."""
    parameters = {}
    for name, grad in as_torch(grads, dtype).items():
        like = torch.zeros(1) if grad is None else torch.zeros_like(grad)
        parameters[name] = torch.nn.Parameter(like)
        parameters[name].grad = grad
    return parameters


def clip_in_torch(case, grads, step, dtype="float64"):
    """Return what the oracle makes of the gradients, and what it returns: a norm, or None."""
    parameters = parameters_with(grads, dtype)
    returned = oracle_of(case)(parameters.values(), **values_at(case.kwargs, step))
    clipped = {n: None if p.grad is None else to_numpy(p.grad) for n, p in parameters.items()}
    return clipped, None if returned is None else to_numpy(returned)


@functools.cache
def judged(case_id, dtype):
    """Return PyTorch's result for every step of a clipping row."""
    case = next(case for case in CLIPS if case.id == case_id)
    return [clip_in_torch(case, grads, t) for t, grads in enumerate(gradients(case, dtype))]


# --- comparisons --------------------------------------------------------------------------------


def assert_same_clips(results, case, dtype):
    """Assert clipped gradients and the norm before clipping against PyTorch, at every step."""
    for t, ((clipped, norm), (expected, expected_norm)) in enumerate(
        zip(results, judged(case.id, dtype), strict=True)
    ):
        assert clipped.keys() == expected.keys()
        for name, leaf in expected.items():
            if leaf is None:
                assert clipped[name] is None
            else:
                assert_rounded_once(clipped[name], leaf, dtype, what=f"{name} at step {t + 1}")
        assert (norm is None) == (expected_norm is None)
        if norm is not None:
            # The norm is in float32 at least, whatever the gradients are in.
            norm_dtype = "float64" if dtype == "float64" else "float32"
            assert_rounded_once(norm, expected_norm, norm_dtype, what=f"norm at step {t + 1}")


def run_clip(case, dtypes):
    """Return jaxaccel's results, {dtype: [(clipped, norm) by step]}, from one compilation."""
    tx = lookup("jaxaccel", case.function)(**case.kwargs)
    inputs = {dtype: [as_jax(g, dtype) for g in gradients(case, dtype)] for dtype in dtypes}

    def update(grads, states):
        pairs = {dtype: tx.update(grads[dtype], states[dtype]) for dtype in dtypes}
        return {d: pair[0] for d, pair in pairs.items()}, {d: pair[1] for d, pair in pairs.items()}

    update = jax.jit(update, compiler_options=FAST_COMPILE)
    states = {dtype: tx.init(steps[0]) for dtype, steps in inputs.items()}
    results = {dtype: [] for dtype in dtypes}
    for t in range(STEPS):
        clipped, states = update({d: steps[t] for d, steps in inputs.items()}, states)
        for dtype in dtypes:
            norm = getattr(states[dtype], "total_norm", None)
            assert jax.tree.map(lambda leaf: leaf.dtype, clipped[dtype]) == jax.tree.map(
                lambda leaf: leaf.dtype, inputs[dtype][t]
            )
            assert int(states[dtype].step) == t + 1
            results[dtype].append((clipped[dtype], norm))
    return results


@pytest.mark.parity
@rows(CLIPS)
def test_clipping_equals_pytorch_at_every_step(case):
    """In four precisions: float32 and below against PyTorch-float64 on the same gradients."""
    results = run_clip(case, DTYPES)
    for dtype in DTYPES:
        assert_same_clips(results[dtype], case, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@rows(CLIPS)
def test_torch_ref_clips_as_pytorch_at_every_step(case, dtype):
    with torch_ref_inside("transforms") as ran:
        results = run_clip(case, [dtype])[dtype]
    assert ran
    assert_same_clips(results, case, dtype)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@rows([case for case in CLIPS if not case.options.keys() & {"grads", "plant"}])
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_half_precision_is_no_worse_than_pytorch(case, dtype):
    """RMS error of one leaf, pooled over steps, beside PyTorch's own half-precision result."""
    tx = lookup("jaxaccel", case.function)(**case.kwargs)
    steps = [{LOW_LEAF: grads[LOW_LEAF]} for grads in gradients(case, dtype)]
    state, errors, own_errors = tx.init(as_jax(steps[0], dtype)), [], []
    for t, grads in enumerate(steps):
        truth = clip_in_torch(case, grads, t)[0][LOW_LEAF]
        clipped, state = tx.update(as_jax(grads, dtype), state)
        errors.append(wide(clipped[LOW_LEAF]) - truth)
        own_errors.append(clip_in_torch(case, grads, t, dtype)[0][LOW_LEAF] - truth)
    ours, theirs = (np.sqrt(np.mean(np.square(e))) for e in (errors, own_errors))
    assert np.isfinite(ours)
    assert ours <= tol.OWN_ERROR_RATIO * theirs or not np.isfinite(theirs)


# --- norms --------------------------------------------------------------------------------------


@pytest.mark.parity
@pytest.mark.parametrize("dtype", DTYPES)
@rows(GET_TOTAL_NORM)
def test_total_norm_equals_pytorch(case, dtype):
    (grads, *_) = gradients(case, dtype)
    leaves = [g for g in as_torch(grads).values() if g is not None]
    expected = to_numpy(oracle_of(case)(leaves, **case.kwargs))
    norm_dtype = "float64" if dtype == "float64" else "float32"
    ours = lookup("jaxaccel", case.function)(as_jax(grads, dtype), **case.kwargs)
    mirror = lookup("torch_ref", case.function)(as_torch(grads, dtype), **case.kwargs)
    assert ours.dtype == (norm_dtype if leaves else "float32")
    assert str(mirror.dtype) == f"torch.{ours.dtype}"
    for found in (ours, mirror):
        assert_rounded_once(found, expected, norm_dtype, what="norm")


@pytest.mark.parity
@pytest.mark.parametrize("dtype", DTYPES)
@rows(CLIP_GRADS_WITH_NORM)
def test_clipping_with_a_known_norm_equals_pytorch(case, dtype):
    (grads, *_) = gradients(case, dtype)
    max_norm, total_norm = case.kwargs["max_norm"], case.kwargs["total_norm"]
    norm_dtype = "float64" if dtype == "float64" else "float32"
    parameters = parameters_with(grads)
    oracle_of(case)(parameters.values(), max_norm, torch.tensor(total_norm, dtype=torch.float64))
    ours = lookup("jaxaccel", case.function)(
        as_jax(grads, dtype), max_norm, jnp.asarray(total_norm, norm_dtype)
    )
    mirror = lookup("torch_ref", case.function)(
        as_torch(grads, dtype), max_norm, to_torch(np.array(total_norm), norm_dtype)
    )
    for found in (ours, mirror):
        assert found[FROZEN] is None
        for name, p in parameters.items():
            if p.grad is not None:
                assert_rounded_once(found[name], to_numpy(p.grad), dtype, what=name)


# --- not finite ---------------------------------------------------------------------------------

NOT_FINITE = [
    pytest.param({"w": np.array([1.0, bad])}, norm_type, id=f"{bad}-order-{norm_type}")
    for bad in (np.nan, np.inf, -np.inf)
    for norm_type in (2.0, 1, np.inf)
]


@pytest.mark.parametrize(("grads", "norm_type"), NOT_FINITE)
def test_error_if_nonfinite_has_pytorchs_text(grads, norm_type):
    """Eager and compiled; the other rows show that it is silent for finite norms."""
    with pytest.raises(RuntimeError) as raised:
        torch.nn.utils.clip_grad_norm_(
            parameters_with(grads).values(), 1.0, norm_type, error_if_nonfinite=True
        )
    text = str(raised.value)
    tx = ja.transforms.clip_grad_norm(1.0, norm_type, error_if_nonfinite=True)
    ours, theirs = as_jax(grads, "float64"), as_torch(grads)
    for eager in (
        lambda: tx.update(ours, tx.init(ours)),
        lambda: ja.transforms.get_total_norm(ours, norm_type, error_if_nonfinite=True),
        lambda: ref.get_total_norm(theirs, norm_type, error_if_nonfinite=True),
    ):
        with pytest.raises(RuntimeError) as raised:
            eager()
        assert str(raised.value) == text
    with pytest.raises(RuntimeError) as raised:
        jax.block_until_ready(jax.jit(tx.update)(ours, tx.init(ours)))
    assert str(raised.value).endswith(text)

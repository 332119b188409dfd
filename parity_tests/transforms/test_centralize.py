"""Gradient centralization against the paper's formula in NumPy's double precision."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import jaxaccel as ja
from jaxaccel._layout import to_torch as to_torch_layout
from parity_tests.harness.compare import assert_rounded_once, wide
from parity_tests.harness.compiled import FAST_COMPILE
from parity_tests.harness.mirror import torch_ref_inside
from parity_tests.harness.optimizer import DTYPES, as_jax, as_torch, lookup
from parity_tests.transforms.rows_transforms import CENTRALIZE_GRADIENTS

SHAPES = {
    "conv": (3, 2, 5, 7),
    "line": (3, 5, 7),
    "matrix": (24, 9),
    "embedding": (11, 4),
    "bias": (7,),
    "scale": (),
    "empty": (0, 3),
}

rows = pytest.mark.parametrize("case", CENTRALIZE_GRADIENTS, ids=lambda case: case.id)


def gradients(case, dtype):
    """Return gradients as ``dtype`` rounds them: real ones, a complex kernel and a missing one."""
    rng = np.random.default_rng(0)
    grads = {name: rng.normal(1.0, size=shape) for name, shape in SHAPES.items()}
    grads["pairs"] = rng.normal(size=(6, 5)) + 1j * rng.normal(size=(6, 5))
    grads = {name: case.options.get("scale", 1) * grad for name, grad in grads.items()}
    rounded = as_torch(grads | {"frozen": None}, dtype)
    return {name: None if g is None else wide(g) for name, g in rounded.items()}


def centralized(case, name, grad):
    """Return the paper's result: output by output, the entries less their mean."""
    if grad is None or grad.size == 0 or grad.ndim < (4 if case.kwargs.get("conv_only") else 2):
        return grad
    layout = case.kwargs.get("layout", "flax")
    layout = layout(name) if callable(layout) else layout
    outputs_first = np.moveaxis(grad, -1, 0) if layout == "flax" else grad
    result = np.stack([g - g.sum() / g.size for g in outputs_first])
    return np.moveaxis(result, 0, -1) if layout == "flax" else result


@pytest.mark.parity
@rows
def test_equals_the_paper(case):
    tx = lookup("jaxaccel", case.function)(**case.kwargs)
    inputs = {dtype: as_jax(gradients(case, dtype), dtype) for dtype in DTYPES}
    for dtype, grads in inputs.items():
        found, _ = tx.update(grads, tx.init(grads))
        for name, grad in gradients(case, dtype).items():
            expected = centralized(case, name, grad)
            if grad is None:
                assert found[name] is None
                continue
            assert found[name].dtype == grads[name].dtype
            assert_rounded_once(found[name], expected, dtype, what=f"{name} in {dtype}")


@rows
def test_torch_ref_equals_the_paper(case):
    with torch_ref_inside("transforms") as ran:
        test_equals_the_paper(case)
    assert ran == {"transforms._centralize_gradients._update_leaf"}


def test_compiled_in_one_tree_of_many_dtypes():
    (case, *_) = CENTRALIZE_GRADIENTS
    tx = ja.transforms.centralize_gradients()
    grads = {dtype: as_jax(gradients(case, dtype), dtype) for dtype in DTYPES}
    found, _ = jax.jit(tx.update, compiler_options=FAST_COMPILE)(grads, tx.init(grads))
    expected, _ = tx.update(grads, tx.init(grads))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        dtype = str(b.real.dtype).replace("complex", "float")
        assert_rounded_once(a, wide(b), dtype, what="compiled")


def test_both_layouts_agree():
    """A kernel in flax's layout and the same in PyTorch's give the same."""
    kernel = jnp.asarray(np.random.default_rng(1).normal(size=(3, 2, 5, 7)))
    in_flax, in_torch = (
        ja.transforms.centralize_gradients(layout=layout).update(grad, optax.EmptyState())[0]
        for layout, grad in (("flax", kernel), ("torch", to_torch_layout(kernel)))
    )
    assert_rounded_once(to_torch_layout(in_flax), wide(in_torch), "float64", what="kernel")


def test_nnx_paths_have_no_value_at_the_end():
    seen = []

    def layout(path):
        seen.append(path)
        return "flax"

    model = ja.models.mlp(4, [3], 2, rngs=nnx.Rngs(0))
    _, params, _ = ja.training.split_model(model)
    tx = ja.transforms.centralize_gradients(layout=layout)
    tx.update(params, tx.init(params))
    assert seen
    assert not any(path.endswith("value") for path in seen)
    assert set(seen) <= set(ja.nn.state_dict(model))


def test_an_unknown_layout_is_an_error():
    with pytest.raises(ValueError, match="layout must be"):
        ja.transforms.centralize_gradients(layout="tf")
    tx = ja.transforms.centralize_gradients(layout=lambda path: "tf")
    with pytest.raises(ValueError, match="layout must be"):
        tx.update(jnp.ones((2, 2)), optax.EmptyState())

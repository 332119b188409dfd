"""Norms and clipping inside a user's own mapped function: PyTorch's, of the whole gradients."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from jax.sharding import PartitionSpec as P

import jaxaccel as ja
from parity_tests import tolerances as tol

INF, NAN = float("inf"), float("nan")
ORDERS = (2.0, 1, 3.0, 0.5, 0, INF, -INF, -1.0)
SPECS = {
    "rows": P("data"),
    "both axes": P(("data", "model")),
    "columns": P(None, "model"),
    "shared": P(),
    "frozen": None,
}
AXES = {
    "rows": "data",
    "both axes": ("data", "model"),
    "columns": "model",
    "shared": None,
    "frozen": None,
}


def gradients(plant=None):
    """Return gradients of which each is spread otherwise; the planted number is on one device."""
    rng = np.random.default_rng(0)
    grads = {
        "rows": rng.normal(size=(8, 3)),
        "both axes": rng.normal(size=(8, 2)) + 1j * rng.normal(size=(8, 2)),
        "columns": rng.normal(size=(3, 4)),
        "shared": 3.0 * rng.normal(size=5),  # large: to count it twice would show
        "frozen": None,
    }
    grads["rows"][:, 2] = 0.0
    if plant is not None:
        grads["rows"][5, 1] = plant
    return grads


def of_torch(grads):
    return [torch.tensor(grad) for grad in grads.values() if grad is not None]


def mapped(function, types, out_specs=None):
    """Return a function of the gradients in a ``shard_map`` of 4 by 2 devices."""
    mesh = ja.parallel.make_mesh({"data": 4, "model": 2})
    in_specs = (SPECS,)
    return jax.jit(
        jax.shard_map(
            function, mesh=mesh, in_specs=in_specs, out_specs=out_specs or P(), check_vma=types
        )
    )


def axis_name(types):
    """Return the axes for all, where types say what is shared; else those of each leaf."""
    return ("data", "model") if types else AXES


@pytest.mark.quick
@pytest.mark.parametrize("types", [True, False], ids=["types known", "types unknown"])
def test_norms_of_sharded_gradients_are_pytorchs(types):
    def norms(grads):
        of = functools.partial(ja.transforms.get_total_norm, grads, axis_name=axis_name(types))
        return [of(order) for order in ORDERS]

    run = mapped(norms, types)
    for plant in (None, NAN, -INF):
        grads = gradients(plant)
        for order, found in zip(ORDERS, run(grads), strict=True):
            expected = torch.nn.utils.get_total_norm(of_torch(grads), order).item()
            assert float(found) == pytest.approx(
                expected, rel=tol.DEVICES_FLOAT64_OF_MAX, nan_ok=True
            ), (plant, order)


def test_the_derivative_is_that_of_the_whole_and_zero_at_zero():
    """As ``torch.linalg.vector_norm``'s."""

    def slopes(axis_name, grads):
        def norm(scale, order):
            scaled = jax.tree.map(lambda x: x.real * scale, grads)
            return ja.transforms.get_total_norm(scaled, order, axis_name=axis_name)

        return [jax.grad(norm)(at, order) for at in (0.0, 1.0) for order in (2.0, 0.5, INF)]

    found = mapped(functools.partial(slopes, ("data", "model")), True)(gradients())
    expected = jax.jit(functools.partial(slopes, None))(gradients())
    assert [float(each) for each in found[:3]] == [0.0, 0.0, 0.0]
    np.testing.assert_allclose(found, expected, rtol=tol.DEVICES_FLOAT64_OF_MAX)


def test_the_derivative_of_the_largest_is_shared_by_all_that_are_as_large():
    """Entries on several devices, more on one than on another, as PyTorch's of the whole."""
    orders = (INF, -INF)

    def slopes(grads):
        def norm(grads, order):
            return ja.transforms.get_total_norm(grads, order, axis_name=axis_name(True))

        return [jax.grad(norm)(grads, order) for order in orders]

    grads = gradients()
    grads["rows"][:3, 0] = grads["rows"][6, 1] = 50.0
    grads["rows"][:, 2] = 0.5
    grads["both axes"][[1, 2, 7], 0] = -30 - 40j
    grads["columns"][1, :3] = 1e-3
    grads["columns"][2, 0] = -1e-3
    for order, found in zip(orders, mapped(slopes, True, [SPECS, SPECS])(grads), strict=True):
        tensors = [each.requires_grad_() for each in of_torch(grads)]
        norms = [torch.linalg.vector_norm(each, order) for each in tensors]
        torch.linalg.vector_norm(torch.stack(norms), order).backward()
        for name, theirs in zip(AXES, tensors, strict=False):
            np.testing.assert_allclose(
                np.conj(found[name]),
                theirs.grad.numpy(),
                rtol=tol.DEVICES_FLOAT64_OF_MAX,
                err_msg=name,
            )


@pytest.mark.parametrize("types", [True, False], ids=["types known", "types unknown"])
def test_clipping_sharded_gradients_is_pytorchs(types):
    """Every device scales its piece by the norm of all; a step keeps its state's type in a scan."""
    tx = ja.transforms.clip_grad_norm(0.7, axis_name=axis_name(types))

    def clip(grads):
        def again(state, _):
            clipped, state = tx.update(grads, state)
            return state, clipped

        state, clipped = jax.lax.scan(again, tx.init(grads), length=2)
        return state.total_norm, jax.tree.map(lambda x: x[1], clipped)

    grads = gradients()
    norm, clipped = mapped(clip, types, (P(), SPECS))(grads)
    parameters = [torch.zeros_like(grad, requires_grad=True) for grad in of_torch(grads)]
    for parameter, grad in zip(parameters, of_torch(grads), strict=True):
        parameter.grad = grad
    expected = torch.nn.utils.clip_grad_norm_(parameters, 0.7).item()
    assert float(norm) == pytest.approx(expected, rel=tol.DEVICES_FLOAT64_OF_MAX)
    assert clipped["frozen"] is None
    for name, parameter in zip(AXES, parameters, strict=False):
        np.testing.assert_allclose(
            clipped[name], parameter.grad.numpy(), rtol=tol.DEVICES_FLOAT64_OF_MAX
        )


@pytest.mark.parametrize("order", [2.0, INF])
def test_error_if_nonfinite_is_raised_for_what_one_device_holds(order):
    grads = gradients(NAN)
    with pytest.raises(RuntimeError) as raised:
        torch.nn.utils.get_total_norm(of_torch(grads), order, error_if_nonfinite=True)
    text = str(raised.value)
    run = mapped(
        lambda grads: ja.transforms.get_total_norm(
            grads, order, error_if_nonfinite=True, axis_name=axis_name(True)
        ),
        True,
    )
    with pytest.raises(RuntimeError) as raised:
        jax.block_until_ready((run(grads), jax.effects_barrier()))
    assert text in str(raised.value)
    # Last, because JAX would raise the error of a device's last callback again at its exit.
    assert np.isfinite(run(gradients()))
    jax.effects_barrier()


def test_under_pmap_each_gradient_says_whether_it_is_sharded():
    grads = {"w": np.arange(24.0).reshape(8, 3), "b": np.ones(3)}

    def norm(axes, w, b):
        return ja.transforms.get_total_norm({"w": w, "b": b}, axis_name=axes)

    run = jax.pmap(functools.partial(norm, {"w": "data", "b": None}), "data", in_axes=(0, None))
    expected = torch.nn.utils.get_total_norm(of_torch(grads)).item()
    np.testing.assert_allclose(
        run(grads["w"], grads["b"]), expected, rtol=tol.DEVICES_FLOAT64_OF_MAX
    )
    alone = jax.pmap(lambda w: ja.transforms.get_total_norm(w, axis_name="data"), "data")
    np.testing.assert_allclose(alone(grads["w"]), np.linalg.norm(grads["w"]))
    with pytest.raises(ValueError, match=r"axis_name='data'.* pmap.*\{'b': 'data', .*None"):
        jax.pmap(functools.partial(norm, "data"), "data", in_axes=(0, None))(grads["w"], grads["b"])


WRONG = {
    "no mapped axis": ("data", ValueError, "no mapped axis 'data' here.* leave axis_name out"),
    "a number": (3, TypeError, "names of mapped axes and None, got 3"),
    "a number in a tree": ({"w": 3}, TypeError, "names of mapped axes and None, got 3"),
    "another tree": ({"v": "data"}, ValueError, r"a prefix of the tree .* got \{'v': 'data'\}"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_axis_name_cannot_be(wrong):
    axis_name, error, match = WRONG[wrong]
    with pytest.raises(error, match=match):
        ja.transforms.get_total_norm({"w": jnp.ones(3)}, axis_name=axis_name)

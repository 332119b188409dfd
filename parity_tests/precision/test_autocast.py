"""Autocast through every form of a program, and what it says of itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import PartitionSpec as P

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.compiled import FAST_COMPILE, QUICK_COMPILE
from parity_tests.harness.errors import assert_no_faults
from parity_tests.precision.autocast_forms import FORMS, numbers

autocast, to = ja.precision.autocast, ja.precision.to


@pytest.fixture(autouse=True)
def promotion_as_users_have_it():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def _products(jaxpr):
    """Yield the dtypes of the operands and of the result of every product in a program."""
    yield from _operands(jaxpr, "dot_general", "conv_general_dilated")


def _operands(jaxpr, *names):
    """Yield the dtypes of the operands and of the result of some primitives in a program."""
    for eqn in jaxpr.eqns:
        if eqn.primitive.name in names:
            yield (*(v.aval.dtype.name for v in eqn.invars), eqn.outvars[0].aval.dtype.name)
        for inner in jax.extend.core.jaxprs_in_params(eqn.params):
            yield from _operands(inner, *names)


@pytest.mark.parity
def test_every_form_is_cast_and_has_the_gradients_of_float32():
    """All forms in two programs: in float32, and under autocast.

    Products are in half precision, but for those in the gradient of linear algebra.
    """
    arrays = numbers()

    def gradients(transform):
        def of_all(*arrays):
            return {
                name: jax.value_and_grad(transform(f), (0, 1, 2))(*arrays)
                for name, f in FORMS.items()
            }

        return of_all

    ours = gradients(lambda f: autocast(f, "tpu"))
    wide, half = (
        jax.jit(f, compiler_options=FAST_COMPILE)(*arrays) for f in (gradients(lambda f: f), ours)
    )
    faults = []
    for name, f in FORMS.items():
        products = [*_products(jax.make_jaxpr(jax.grad(autocast(f, "tpu")))(*arrays).jaxpr)]
        found = {dtype for each in products for dtype in each}
        if found != ({"bfloat16", "float32"} if name == "solve" else {"bfloat16"}):
            faults.append((name, f"products in {products}"))
        for what, a, b in zip(
            "lxwb", jax.tree.leaves(wide[name]), jax.tree.leaves(half[name]), strict=True
        ):
            error = float(jnp.max(jnp.abs(a - b.astype(a.dtype))) / (jnp.max(jnp.abs(a)) + 1e-6))
            if not error <= tol.AUTOCAST_BFLOAT16_OF_MAX:
                faults.append((name, f"{what} is off by {error:.3g}"))
            if what != "l" and b.dtype != jnp.float32:
                faults.append((name, f"gradient of {what} in {b.dtype}"))
    assert_no_faults(faults)
    assert len(FORMS) >= 30


def test_transforms_around_a_region():
    """What is done with a function, done with the one that autocast returned."""
    x, w, b = numbers()
    f = autocast(lambda x: jnp.sum(jnp.tanh(x @ w + b)), "tpu")
    found = {
        "vmap": jax.vmap(f)(x[None]),
        "jvp": jax.jvp(f, (x,), (x,))[1],
        "linearize": jax.linearize(f, x)[1](x),
        "hessian": jax.hessian(lambda s: f(s * x))(jnp.float32(1)),
        "donated": jax.jit(jax.grad(f), donate_argnums=0)(x + 0),
        "eager": f(x),
    }
    assert all(np.isfinite(value).all() for value in found.values())
    (rows,) = jax.export.symbolic_shape("n")
    shape = jax.ShapeDtypeStruct((rows, 8), jnp.float32)
    exported = jax.export.export(jax.jit(f))(shape)
    assert np.isfinite(exported.call(x))


def test_results_are_whatever_the_function_returns():
    """Trees, Python's values, keywords; arrays keep the dtype in which they come."""

    def f(x, *, scale=1, name):
        return {"product": x @ x.T, "name": name, "count": 3, "none": None, "whole": jnp.arange(2)}

    found = autocast(f, "tpu")(numbers()[0], name="mine")
    assert found["name"] == "mine"
    assert found["count"] == 3
    assert found["none"] is None
    assert found["product"].dtype == jnp.bfloat16
    assert found["whole"].dtype == jnp.arange(2).dtype
    with pytest.raises(TypeError, match="unexpected keyword argument 'other'"):
        autocast(f, "tpu")(1, name="mine", other=2)


@pytest.mark.parametrize("name", ["typed", "shard_map"])
def test_meshes_of_explicit_axes(name):
    """Arrays whose types say where they are; gradients are summed over devices in float32."""
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Explicit,))

    def loss(x, w, b):
        h = ja.functional.layer_norm(x @ w, (8,), b)
        h = jnp.dot(ja.functional.softmax(ja.functional.linear(h, w, b), -1), w)
        return jnp.sum(jax.nn.softmax(h) ** 2)

    def of_own_rows(x, w, b):
        specs = P("data"), P(), P()
        local = lambda *arrays: jax.lax.psum(loss(*arrays), "data")  # noqa: E731
        return jax.shard_map(local, in_specs=specs, out_specs=P())(x, w, b)

    f = loss if name == "typed" else of_own_rows
    with jax.set_mesh(mesh):
        placed = zip(numbers(), (P("data"), P(), P()), strict=True)
        arrays = [jax.device_put(a, jax.sharding.NamedSharding(mesh, s)) for a, s in placed]
        wide, half = (
            jax.value_and_grad(g, (0, 1, 2)) for g in (f, autocast(f, "tpu", jnp.bfloat16))
        )
        traced = jax.make_jaxpr(half)(*arrays)
        wide, half = (jax.jit(g, compiler_options=FAST_COMPILE)(*arrays) for g in (wide, half))
    assert {dtype for each in _operands(traced.jaxpr, "dot_general") for dtype in each} == {
        "bfloat16"
    }
    sums = [each[0] for each in _operands(traced.jaxpr, "psum", "psum_invariant")]
    assert set(sums) == ({"float32"} if name == "shard_map" else set())
    for a, b in zip(jax.tree.leaves(wide), jax.tree.leaves(half), strict=True):
        assert b.dtype == jnp.float32
        assert a.sharding == b.sharding
        assert float(jnp.max(jnp.abs(a - b))) <= tol.AUTOCAST_BFLOAT16_OF_MAX * float(
            jnp.max(jnp.abs(a))
        )


# --- regions ------------------------------------------------------------------------------------


def test_regions_inside_regions():
    x, w, _ = numbers()

    def f(x, device, **options):
        inner = autocast(lambda h: (h @ w, ja.functional.softmax(h, -1)), device, **options)
        return inner(x @ w)

    half, brain, wide = jnp.float16, jnp.bfloat16, jnp.float32
    expected = {
        ("tpu", "cuda", None, True): (half, wide),
        ("tpu", "cpu", None, True): (brain, brain),
        ("cpu", "tpu", jnp.float16, True): (half, wide),
        # as in PyTorch off means that nothing is cast: what comes in bfloat16 goes on so
        ("tpu", "tpu", None, False): (wide, brain),
    }
    for (outer, device, dtype, enabled), dtypes in expected.items():
        call = autocast(lambda x: f(x, device, dtype=dtype, enabled=enabled), outer)  # noqa: B023
        assert tuple(a.dtype for a in jax.eval_shape(call, x)) == dtypes, (outer, device)
    gradient = jax.grad(lambda x: jnp.sum(autocast(f, "tpu")(x, "cuda")[1] ** 2))(x)
    assert gradient.dtype == wide
    assert np.any(gradient)
    assert autocast(lambda x: x @ w, "tpu", enabled=False)(x).dtype == wide


def test_off_is_float32_for_what_was_made_float32():
    """The usual reason for an inner region: a part that needs its digits."""
    x, w, _ = numbers()

    def f(x):
        h = to(x @ w, jnp.float32)
        exact = autocast(lambda h: ja.functional.linear(h, w), "tpu", enabled=False)(h)
        return h, exact

    h, exact = jax.jit(autocast(f, "tpu"), compiler_options=QUICK_COMPILE)(x)
    assert exact.dtype == jnp.float32
    np.testing.assert_allclose(exact, h @ w, rtol=1e-5, atol=1e-5)


def test_to_is_seen_where_astype_is_not():
    x, w, _ = numbers()
    f = autocast(lambda x: ((x @ w).astype(jnp.float32), to(x @ w, jnp.float32) + 0), "tpu")
    assert [a.dtype for a in jax.eval_shape(f, x)] == [jnp.bfloat16, jnp.float32]
    assert to(x, jnp.bfloat16).dtype == jnp.bfloat16
    vmapped = autocast(lambda x: jax.vmap(lambda r: to(r @ w, jnp.float32))(x), "tpu")
    assert jax.eval_shape(vmapped, x).dtype == jnp.float32


def test_wrong_regions():
    f = jnp.sum
    with pytest.raises(ValueError, match="unsupported autocast device_type 'gpu'"):
        autocast(f, "gpu")
    with pytest.raises(ValueError, match="target dtype is not supported"):
        autocast(f, "cpu", jnp.float32)


# --- what is refused ----------------------------------------------------------------------------


def test_gradients_are_not_cast_afterwards():
    """Cast after the gradient, the backward pass would be another one than PyTorch's."""
    x, w, _ = numbers()

    def loss(w, x):
        return jnp.mean((x @ w) ** 2)

    for wrong in (jax.grad(loss), jax.value_and_grad(loss), jax.jit(jax.jit(jax.grad(loss)))):
        with pytest.raises(TypeError, match=r"returns gradients.*\n.*value_and_grad\(autocast"):
            autocast(wrong, "tpu")(w, x)
    right = jax.make_jaxpr(jax.grad(autocast(loss, "tpu")))(w, x)
    products = [*_products(right.jaxpr)]
    assert len(products) == 2
    assert {dtype for each in products for dtype in each} == {"bfloat16"}


def test_a_module_that_changes_inside_is_refused():
    x, _, _ = numbers()
    norm = ja.nn.BatchNorm1d(8)
    with pytest.raises(TypeError, match=r"state of an nnx module.*\n.*split_model"):
        autocast(lambda x: norm(x), "tpu")(x)
    with pytest.raises(TypeError, match="state of an nnx module"):
        autocast(lambda norm, x: norm(x), "tpu")(norm, x)
    linear = ja.nn.Linear(8, 8, rngs=nnx.Rngs(0))
    assert autocast(lambda layer, x: layer(x), "tpu")(linear, x).dtype == jnp.bfloat16
    apply, params, state = ja.training.split_model(norm)
    step = autocast(lambda p, s: apply(p, s, x, training=True), "tpu")
    _, state = step(params, state)
    assert state["running_mean"][...].dtype == jnp.float32
    assert np.any(state["running_mean"][...])

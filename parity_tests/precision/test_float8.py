"""Matrix products in float8: exact where float8 is, near elsewhere, backward in e5m2."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxaccel as ja
from jaxaccel.precision._float8 import float8_dot_general, scaled_to

DIMS = {
    "plain": ((4, 6), (6, 5), (((1,), (0,)), ((), ()))),
    "left transposed": ((6, 4), (6, 5), (((0,), (0,)), ((), ()))),
    "rows of rows": ((2, 3, 6), (6, 5), (((2,), (0,)), ((), ()))),
    "a batch": ((3, 4, 6), (3, 6, 5), (((2,), (1,)), ((0,), (0,)))),
    "a batch at the end": ((4, 6, 3), (5, 3, 6), (((1,), (2,)), ((2,), (1,)))),
    "two contracted, in two orders": ((2, 3, 4), (4, 5, 3), (((1, 2), (2, 0)), ((), ()))),
    "two batches": ((2, 3, 4, 6), (3, 2, 6), (((3,), (2,)), ((1, 0), (0, 1)))),
}


@pytest.mark.parametrize("name", DIMS)
def test_products_and_gradients_of_numbers_that_float8_holds(name):
    """Small integers, in all forms of a product: what lax gives, but for the scales' rounding."""
    left, right, dims = DIMS[name]
    rng = np.random.default_rng(0)
    lhs, rhs = (jnp.asarray(rng.integers(-2, 3, shape), jnp.float32) for shape in (left, right))

    def exact(lhs, rhs):
        return jax.lax.dot_general(lhs, rhs, dims)

    def with_gradients(product):
        def run(lhs, rhs, weights):
            found, gradients = jax.vjp(product, lhs, rhs)
            return found, *gradients(weights)

        return run

    shape = jax.eval_shape(exact, lhs, rhs).shape
    weights = jnp.asarray(2.0 ** rng.integers(-2, 3, shape), jnp.float32)
    # 224 / 448 is in e4m3, and 57344 / 2 in e5m2: both hold the numbers times their scale.
    products = [
        lambda a, b, d=dtype: float8_dot_general(a, b, dims, d)
        for dtype in (jnp.float8_e4m3fn, jnp.float8_e5m2)
    ]
    runs = [with_gradients(product) for product in (exact, *products)]
    expected, *others = jax.jit(lambda *args: [run(*args) for run in runs])(lhs, rhs, weights)
    for found in others:
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-5)


def test_each_array_is_scaled_by_its_own_largest_number():
    for largest in (1e-30, 3.0, 1e30):
        x = jnp.asarray([0.5, -1.0, 0.0], jnp.float32) * largest
        held, unit = scaled_to(x, jnp.float8_e4m3fn)
        assert held.astype(jnp.float32).tolist() == [224.0, -448.0, 0.0]
        assert float(unit) * 448 == pytest.approx(largest)
    zeros, unit = scaled_to(jnp.zeros(2, jnp.float32), jnp.float8_e4m3fn)
    assert float(unit) == 1.0
    assert zeros.astype(jnp.float32).tolist() == [0.0, 0.0]
    bad, _ = scaled_to(jnp.asarray([1.0, np.nan], jnp.float32), jnp.float8_e4m3fn)
    assert np.isnan(bad.astype(jnp.float32)[1])  # a scaler sees it


def problem():
    rng = np.random.default_rng(0)
    layers = ja.nn.Linear(64, 64, rngs=nnx.Rngs(0)), nnx.Linear(64, 8, rngs=nnx.Rngs(1))
    split = [ja.training.split_model(layer) for layer in layers]
    x = jnp.asarray(rng.normal(size=(32, 64)), jnp.float32)

    def loss(params):
        hidden = split[0][0](params[0], split[0][2], x, training=True)[0]
        outputs, _ = split[1][0](params[1], split[1][2], jnp.tanh(hidden), training=True)
        return jnp.mean(outputs**2)

    return loss, [jax.tree.map(lambda p: p.astype(jnp.float32), params) for _, params, _ in split]


def test_an_inner_region_is_in_float8_and_an_outer_one_around_it_is_not():
    x = jnp.eye(4, dtype=jnp.float32)
    inner = ja.precision.autocast(lambda x: x @ x, "tpu", jnp.float8_e4m3fn)
    outer = ja.precision.autocast(lambda x: inner(x) @ x, "tpu")
    text = str(jax.make_jaxpr(outer)(x))
    assert text.count("new_dtype=float8_e4m3fn") == 2
    assert text.count("dot_general") == 2


def test_linear_layers_run_in_float8_under_autocast_and_train_nearly_as_well():
    """Ours and flax's; in e4m3 nearer than in e5m2, both within some percent."""
    loss, params = problem()
    grads = {}
    for dtype in ("float32", "bfloat16", "float8_e4m3fn", "float8_e5m2"):
        fn = loss if dtype == "float32" else ja.precision.autocast(loss, "cuda", jnp.dtype(dtype))
        with jax.numpy_dtype_promotion("standard"):
            grads[dtype] = jax.jit(jax.grad(fn))(params)
            if dtype == "float8_e4m3fn":
                text = str(jax.make_jaxpr(jax.grad(fn))(params))
                assert text.count("new_dtype=float8_e4m3fn") == 4
                assert text.count("new_dtype=float8_e5m2") == 2
    right = np.concatenate([np.ravel(g) for g in jax.tree.leaves(grads.pop("float32"))])
    errors = {}
    for name, found in grads.items():
        flat = np.concatenate([np.ravel(g) for g in jax.tree.leaves(found)])
        errors[name] = np.linalg.norm(flat - right) / np.linalg.norm(right)
    assert errors["bfloat16"] < errors["float8_e4m3fn"] < errors["float8_e5m2"] < 0.2
    assert errors["float8_e4m3fn"] < 0.1

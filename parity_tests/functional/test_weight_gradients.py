"""Gradients of weights in forms of their own on CPUs: the same numbers, and nowhere else."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_close


class Map(NamedTuple):
    """A layer's function, JAX's plain one, and the shapes of input and weight."""

    ours: Any
    plain: Any
    shapes: tuple[tuple[int, ...], tuple[int, ...]]


def convolution(shapes, **options):
    """Return the row of a convolution."""

    def plain(x, w):
        pads = [(options.get("padding", 0),) * 2] * 2
        axes = ("NHWC", "HWIO", "NHWC")
        stride, dilation = ((options.get(name, 1),) * 2 for name in ("stride", "dilation"))
        return jax.lax.conv_general_dilated(
            x, w, stride, pads, rhs_dilation=dilation, dimension_numbers=axes
        )

    return Map(lambda x, w: ja.functional.conv2d(x, w, **options), plain, shapes)


MAPS = {
    "linear": Map(ja.functional.linear, jnp.dot, ((3, 5, 4), (4, 6))),
    "points": convolution(((3, 5, 4, 2), (1, 1, 2, 3))),
    "points-strided": convolution(((2, 5, 4, 2), (1, 1, 2, 3)), stride=2),
}
BY_MAP = pytest.mark.parametrize("case", MAPS.values(), ids=MAPS)


def of(case, dtype="float64"):
    """Return a row's input and weight."""
    rng = np.random.default_rng(0)
    return [jnp.asarray(rng.normal(size=shape), dtype) for shape in case.shapes]


def losses(case):
    """Return a scalar of ours and of the plain function, both of more than degree one."""
    return [lambda x, w, f=f: jnp.sin(f(x, w)).sum() for f in (case.ours, case.plain)]


@pytest.mark.parity
@BY_MAP
def test_derivatives_are_those_of_the_plain_function(case):
    """In both modes, of both operands, of second order, and for several inputs or weights."""
    x, w = of(case)
    ours, plain = losses(case)

    def derivatives(loss):
        gradient = jax.grad(loss, (0, 1))
        return {
            "reverse": gradient(x, w),
            "forward": jax.jvp(loss, (x, w), (w.sum() * x, x.sum() * w)),
            "forward over reverse": jax.jvp(gradient, (x, w), (x, w)),
            "reverse over reverse": jax.grad(
                lambda x, w: sum((g**3).sum() for g in gradient(x, w)), (0, 1)
            )(x, w),
            "inputs": jax.vmap(gradient, (0, None))(jnp.stack([x, 2 * x]), w),
            "weights": jax.vmap(gradient, (None, 0))(x, jnp.stack([w, 2 * w])),
        }

    found, expected = (jax.jit(derivatives, static_argnums=0)(loss) for loss in (ours, plain))
    for name in expected:
        for a, b in zip(*map(jax.tree.leaves, (found[name], expected[name])), strict=True):
            assert_close(a, b, tol.LAYER_FLOAT64_OF_MAX)


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
@BY_MAP
def test_programs_for_other_platforms_are_those_of_the_plain_function(case, platform):
    def text(loss, platform):
        traced = jax.jit(jax.value_and_grad(loss, (0, 1))).trace(*of(case, "float32"))
        return traced.lower(lowering_platforms=(platform,)).as_text()

    ours, plain = losses(case)
    assert text(ours, platform) == text(plain, platform)
    assert text(ours, "cpu") != text(plain, "cpu")


@BY_MAP
def test_what_a_compiler_spreads_over_devices_is_the_plain_function(case):
    """It would have to gather what a form of our own reshapes; in shard_map it spreads nothing."""
    mesh = jax.make_mesh((2,), ("x",), axis_types=(jax.sharding.AxisType.Auto,))
    rows, all_of_it = jax.P("x"), jax.P()
    x, w = of(case, "float32")
    x = jnp.concatenate([x, x])

    def spread(loss):
        placed = [jax.sharding.NamedSharding(mesh, spec) for spec in (rows, all_of_it)]
        return jax.jit(jax.grad(loss, 1), in_shardings=placed).lower(x, w).as_text()

    ours, plain = losses(case)
    assert spread(ours) == spread(plain)
    by_device = jax.shard_map(
        jax.grad(ours, 1), mesh=mesh, in_specs=(rows, all_of_it), out_specs=all_of_it
    )
    found = jax.jit(by_device)
    assert_close(found(x, w), jax.grad(plain, 1)(x, w), tol.LAYER_FLOAT32_OF_MAX)
    apart = jax.shard_map(
        jax.grad(plain, 1), mesh=mesh, in_specs=(rows, all_of_it), out_specs=all_of_it
    )
    assert found.lower(x, w).as_text() != jax.jit(apart).lower(x, w).as_text()


def products(jaxpr):
    """Count the products in a program, those of gradients among them."""
    own = sum(e.primitive.name in ("dot_general", "weight_gradient") for e in jaxpr.eqns)
    inner = (j for e in jaxpr.eqns for j in jaxprs_in_params(e.params))
    return own + sum(map(products, inner))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_policies_of_checkpoint_find_the_product(dtype):
    """One that keeps products keeps it, and the backward pass multiplies as if nothing was lost."""
    x, w = of(MAPS["linear"], dtype)

    def counted(wrap):
        layer = wrap(lambda x, w, b: jnp.sin(ja.functional.linear(x, w, b)).sum())
        return products(jax.make_jaxpr(jax.grad(layer, (0, 1, 2)))(x, w, w[0]).jaxpr)

    keeps = functools.partial(jax.checkpoint, policy=jax.checkpoint_policies.dots_saveable)
    assert counted(lambda layer: layer) == counted(keeps) == 3
    assert counted(jax.checkpoint) == 4


def test_a_matrix_product_copies_nothing_into_another_order():
    """Rows of several axes are one axis to the product that its gradient is."""
    x, w = jnp.ones((4, 6, 8), jnp.float32), jnp.ones((8, 16), jnp.float32)
    _, pullback = jax.vjp(lambda w: ja.functional.linear(x, w), w)
    text = jax.jit(pullback).lower(jnp.ones((4, 6, 16), jnp.float32)).compile().as_text()
    assert " copy" not in text
    assert " transpose(" not in text

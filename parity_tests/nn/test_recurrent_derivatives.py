"""What recurrent layers compute in their loops, and derivatives of both modes and second order."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.extend.core import jaxprs_in_params

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_close
from parity_tests.harness.compiled import FAST_COMPILE

KINDS = ["RNN", "LSTM", "GRU"]


def products(jaxpr, in_scan=False):
    """Return how many products of matrices there are outside of scans, and inside."""
    counts = np.zeros(2, int)
    for equation in jaxpr.eqns:
        counts[int(in_scan)] += equation.primitive.name in ("dot_general", "weight_gradient")
        inside = in_scan or equation.primitive.name == "scan"
        for inner in jaxprs_in_params(equation.params):
            counts += products(inner, inside)
    return counts


@pytest.mark.usefixtures("no_draws")
def test_the_products_that_wait_for_no_step_are_outside_of_the_scans():
    """Of the input, and of all gradients of weights; what waits is one product, and one back."""
    layer = ja.nn.GRU(5, 4, rngs=nnx.Rngs(0))
    graph, params = nnx.split(layer)
    x = jnp.ones((6, 3, 5), jnp.float32)

    def run(params, x):
        return nnx.merge(graph, params)(x)[0].sum()

    assert products(jax.make_jaxpr(run)(params, x).jaxpr).tolist() == [1, 1]
    backward = jax.jit(jax.grad(run, (0, 1))).trace(params, x).jaxpr
    assert products(backward.jaxpr).tolist() == [1 + 3, 2]


def by_hand(kind, layer, x, states, inside):
    """Return the outputs of a layer by the formulas, step after step in Python."""
    outputs = []
    for now, is_inside in zip(x, inside, strict=True):
        a = now @ layer["weight_ih_l0"] + layer["bias_ih_l0"][None]
        b = states[0] @ layer["weight_hh_l0"] + layer["bias_hh_l0"][None]
        if kind == "LSTM":
            i, f, g, o = jnp.split(a + b, 4, -1)
            c = jax.nn.sigmoid(f) * states[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
            new = ((jax.nn.sigmoid(o) * jnp.tanh(c)) @ layer["weight_hr_l0"], c)
        elif kind == "GRU":
            (ar, az, an), (br, bz, bn) = jnp.split(a, 3, -1), jnp.split(b, 3, -1)
            z = jax.nn.sigmoid(az + bz)
            new = ((1 - z) * jnp.tanh(an + jax.nn.sigmoid(ar + br) * bn) + z * states[0],)
        else:
            new = (jnp.tanh(a + b),)
        outputs.append(jnp.where(is_inside, new[0], 0))
        states = tuple(jnp.where(is_inside, n, s) for n, s in zip(new, states, strict=True))
    return jnp.stack(outputs)


@pytest.mark.parity
@pytest.mark.usefixtures("no_draws")
@pytest.mark.parametrize("kind", KINDS)
def test_derivatives_are_those_of_the_formulas(kind):
    """In both modes, of second order, and for several inputs at once."""
    projected = {"proj_size": 2} if kind == "LSTM" else {}
    layer = getattr(ja.nn, kind)(3, 4, dtype=jnp.float64, rngs=nnx.Rngs(0), **projected)
    graph, params = nnx.split(layer)
    rng = np.random.default_rng(0)
    x, inside = rng.normal(size=(3, 2, 3)), np.array([[1, 1], [1, 1], [1, 0]])[..., None] == 1
    h, c = (jnp.asarray(rng.normal(size=(2, size))) for size in (2 if projected else 4, 4))
    states = (h, c) if kind == "LSTM" else (h,)

    def ours(params, x):
        first = [state[None] for state in states]
        hx = tuple(first) if kind == "LSTM" else first[0]
        return jnp.sin(nnx.merge(graph, params)(x, hx, np.array([3, 2]))[0]).sum()

    def formulas(params, x):
        named = {name: value[...] for name, value in params.items()}
        return jnp.sin(by_hand(kind, named, x, states, inside)).sum()

    def derivatives(loss, params, x):
        gradient = jax.grad(loss, (0, 1))
        along = (params, x)
        return {
            "reverse": gradient(params, x),
            "forward": jax.jvp(loss, along, along),
            "forward over reverse": jax.jvp(gradient, along, along),
            "reverse over reverse": jax.grad(
                lambda *a: sum((g**3).sum() for g in jax.tree.leaves(gradient(*a))), (0, 1)
            )(params, x),
            "inputs": jax.vmap(gradient, (None, 0))(params, jnp.stack([x, 2 * x])),
        }

    compiled = jax.jit(derivatives, static_argnums=0, compiler_options=FAST_COMPILE)
    found, expected = compiled(ours, params, jnp.asarray(x)), compiled(formulas, params, x)
    for name in expected:
        for a, b in zip(*map(jax.tree.leaves, (found[name], expected[name])), strict=True):
            assert_close(a, b, tol.LAYER_FLOAT64_OF_MAX, 1.0)

"""The condition number of a loss, beside NumPy's eigenvalues of the whole Hessian."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxaccel as ja
from jaxaccel.monitoring._lanczos import ritz


def network(params, x, y):
    hidden = jnp.tanh(x @ params["in"])
    return jnp.mean((hidden @ params["out"] - y) ** 2)


def problem(seed=0):
    """Return the loss of a network of 18 parameters at random ones: indefinite, as a rule."""
    draw = np.random.default_rng(seed)
    x, y = draw.normal(size=(20, 4)), draw.normal(size=(20, 2))
    params = {
        "in": jnp.asarray(draw.normal(size=(4, 3))),
        "out": jnp.asarray(draw.normal(size=(3, 2))),
    }
    return lambda params: network(params, x, y), params


def dense(loss, params, preconditioner=None):
    """Return NumPy's eigenvalues of the Hessian."""
    flat, unravel = jax.flatten_util.ravel_pytree(params)
    hessian = np.asarray(jax.hessian(lambda flat: loss(unravel(flat)))(flat))
    if preconditioner is not None:
        root = np.sqrt(np.asarray(jax.flatten_util.ravel_pytree(preconditioner)[0]))
        hessian = root[:, None] * hessian * root
    return np.linalg.eigvalsh(hessian)


@pytest.mark.parity
def test_all_eigenvalues_of_a_small_network_are_numpys():
    loss, params = problem()
    diagonal = ja.optimizers.hessian_diagonal(loss, params)
    newton = jax.tree.map(lambda h: 1 / (jnp.abs(h) + 1e-3), diagonal)
    for preconditioner in (None, newton):
        found = ja.monitoring.condition_number(loss, params, preconditioner=preconditioner)
        wanted = dense(loss, params, preconditioner)
        scale = np.abs(wanted).max()
        assert wanted[0] < 0
        assert np.abs(found.eigenvalues - wanted).max() < 1e-12 * scale
        assert found.number == np.inf
        assert abs(found.smallest - wanted[0]) <= found.errors[0] < 1e-13 * scale
        ratio = found.magnitudes[1] / found.magnitudes[0]
        np.testing.assert_allclose(ratio, scale / np.abs(wanted).min(), rtol=1e-9)


@pytest.mark.parity
def test_a_known_spectrum_and_its_bounds():
    """From 1 to 1000: the bounds hold after few steps, and all is right in the end."""
    draw = np.random.default_rng(0)
    spectrum = np.geomspace(1, 1000, 80)
    rotation = np.linalg.qr(draw.normal(size=(80, 80)))[0]
    matrix = (rotation * spectrum) @ rotation.T

    def loss(w):
        return w @ matrix @ w / 2

    where = jnp.asarray(draw.normal(size=80))
    for steps in (8, 40, 80):
        found = ja.monitoring.condition_number(loss, where, steps=steps)
        assert len(found.eigenvalues) == steps
        assert np.abs(spectrum - found.smallest).min() <= found.errors[0]
        assert np.abs(spectrum - found.largest).min() <= found.errors[1]
        np.testing.assert_allclose(found.weights.sum(), 1)
        if steps >= 40:
            np.testing.assert_allclose(found.largest, 1000, rtol=1e-6)
            # One random direction: the share is as noisy as 80 squares of normal numbers.
            assert abs(np.mean(spectrum < found.quantile(0.5)) - 0.5) < 0.3
    np.testing.assert_allclose(found.number, 1000, rtol=1e-9)
    single = ja.monitoring.condition_number(
        lambda w: w @ jnp.asarray(matrix, jnp.float32) @ w / 2, where.astype(jnp.float32), steps=80
    )
    np.testing.assert_allclose(single.number, 1000, rtol=1e-3)


@pytest.mark.quick
def test_the_bounds_are_the_lengths_of_what_is_left():
    """Of a larger tridiagonal matrix, whose first rows these are: A v - value v, in full."""
    alphas, betas = np.array([3.0, -1.0, 4.0, 1.0]), np.array([2.0, 0.5, 1.5])
    whole = np.diag(alphas) + np.diag(betas, 1) + np.diag(betas, -1)
    found = ritz(alphas[:3], betas)
    values, vectors = np.linalg.eigh(whole[:3, :3])
    vectors = np.vstack([vectors, np.zeros(3)])
    np.testing.assert_allclose(found.values, values)
    np.testing.assert_allclose(found.weights, vectors[0] ** 2)
    np.testing.assert_allclose(
        found.errors, np.linalg.norm(whole @ vectors - vectors * values, axis=0)
    )


@pytest.mark.quick
def test_a_quantile_is_counted_from_below():
    numbers = np.array([1.0, 2.0, 4.0])
    found = ja.monitoring.Conditioning(4, 1, 4, (0, 0), (1, 4), numbers, np.array([0.5, 0.3, 0.2]))
    shares = [found.quantile(share) for share in (0.0, 0.25, 0.45, 0.65, 0.9, 1.0)]
    np.testing.assert_allclose(shares, [1, 1, 1.5, 2, 4, 4])


def test_another_key_is_another_direction():
    """One product: the quotient of Rayleigh of the first direction alone."""
    loss, params = problem()
    found = [
        ja.monitoring.condition_number(loss, params, steps=1, key=key)
        for key in (None, jax.random.key(0), jax.random.key(1))
    ]
    assert found[0].largest == found[1].largest != found[2].largest


def test_eigenvalues_that_are_equal_are_found_as_often_as_they_are():
    """The first direction of the identity is all there is: others begin anew."""
    curvature = np.array([2.0, 2.0, 2.0, 5.0])
    found = ja.monitoring.condition_number(lambda w: jnp.sum(curvature * w**2) / 2, jnp.ones(4))
    np.testing.assert_allclose(found.eigenvalues, curvature, rtol=1e-12)
    assert found.number == pytest.approx(2.5)
    flat = ja.monitoring.condition_number(lambda w: jnp.sum(w[:2] ** 2), jnp.ones(3))
    assert flat.number == np.inf
    assert flat.smallest == pytest.approx(0, abs=1e-14)
    linear = ja.monitoring.condition_number(jnp.sum, jnp.ones(3))  # nothing is ever left
    assert (linear.number, linear.eigenvalues.tolist()) == (np.inf, [0.0] * 3)


def test_half_precision_parameters_are_widened_and_custom_derivatives_differentiated():
    """Cross entropy and a LayerNorm, both with derivatives of their own."""
    x = jnp.asarray(np.random.default_rng(0).normal(size=(8, 3)))

    def loss(w):
        outputs = ja.functional.layer_norm(x.astype(w.dtype) @ w, (3,))
        return ja.functional.cross_entropy(outputs, jnp.arange(8) % 3)

    params = jnp.asarray(np.random.default_rng(1).normal(size=(3, 3)))
    wanted = dense(loss, params)
    found = ja.monitoring.condition_number(loss, params)
    np.testing.assert_allclose(found.eigenvalues, wanted, atol=1e-10)
    half = ja.monitoring.condition_number(loss, params.astype(jnp.bfloat16))
    assert half.largest == pytest.approx(wanted[-1], rel=0.1)


def test_what_cannot_be_conditioned_is_refused():
    loss, params = problem()
    number = ja.monitoring.condition_number
    zeros = jax.tree.map(jnp.zeros_like, params)
    for call, text in (
        (lambda: number(loss, params, steps=0), "steps"),
        (lambda: number(loss, params, preconditioner=zeros), "add a damping"),
        (lambda: number(lambda w: jnp.sum(jnp.sqrt(w)), jnp.zeros(2)), "is not finite"),
    ):
        with pytest.raises(ValueError, match=text):
            call()
    with pytest.raises(TypeError, match="real floating-point"):
        number(lambda w: jnp.sum(w * 1.0), jnp.arange(2))
    with pytest.raises(TypeError, match="like the parameters"):
        number(loss, params, preconditioner={"in": zeros["in"]})

"""What the rows of Adam's relatives cannot show, because PyTorch's own digits end there."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import jaxaccel as ja
from jaxaccel._math import Complement
from parity_tests import tolerances as tol
from parity_tests.optimizers.rows_adam_optimizers import RADAM, WHERE_RHO_ENDS_AT_FIVE

STEPS = 50


def scan(tx, params, grads):
    """Return the updates and states of every step, compiled."""

    def body(state, step_grads):
        updates, state = tx.update(step_grads, state, params)
        return state, (updates, state)

    _, moved = jax.jit(lambda grads: jax.lax.scan(body, tx.init(params), grads))(grads)
    return moved


def exact_rectification(beta2, step):
    """Return RAdam's factor in 50 digits; 1 where the step is not rectified."""
    with mpmath.workdps(50):
        beta2 = mpmath.mpf(beta2)
        rho_inf = 2 / (1 - beta2) - 1
        rho = rho_inf - 2 * step * beta2**step / (1 - beta2**step)
        if rho <= 5:
            return 1.0
        square = (rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)
        return float(mpmath.sqrt(square))


@pytest.mark.parametrize(
    ("x64", "share"), [(False, tol.FLOAT32_ONE_STEP), (True, tol.FLOAT64_OF_FIELD)]
)
@pytest.mark.parametrize("held", ["number", "complement"])
@pytest.mark.parametrize("beta2", [0.0, 0.7, 0.9, 0.999, 0.99999, 1 - 1e-7, 1 - 1e-10])
def test_rectification_is_exact(beta2, held, x64, share):
    """With constant gradients and eps 0 the update is the factor."""
    with jax.enable_x64(x64):
        one = jnp.ones(())
        given = beta2 if held == "number" else Complement(jnp.asarray(1 - beta2))
        tx = ja.optimizers.radam(lr=1.0, betas=(0.0, given), eps=0.0)
        updates, _ = scan(tx, one, jnp.ones(STEPS))
        found = -np.asarray(updates, np.float64)
    expected = np.array([exact_rectification(beta2, step + 1) for step in range(STEPS)])
    assert np.all(np.abs(found - expected) <= share * expected)


@pytest.mark.quick
@pytest.mark.parametrize(
    "case", [case for case in RADAM if case.why == WHERE_RHO_ENDS_AT_FIVE], ids=lambda case: case.id
)
def test_a_length_of_five_is_not_rectified(case):
    """In float32 it reaches five; with constant gradients the update is then plain momentum."""
    with jax.enable_x64(False):
        tx, one = ja.optimizers.radam(**case.kwargs), jnp.ones(())
        state = tx.init(one)._replace(step=jnp.int32(200), exp_avg=one, exp_avg_sq=one * 4)
        updates, _ = tx.update(one, state, one)
    assert abs(updates + case.kwargs["lr"]) <= tol.FLOAT32_ONE_STEP * case.kwargs["lr"]


@pytest.mark.parametrize("name", ["adam", "adamax", "nadam", "radam"])
def test_decay_factors_held_as_complements_lose_no_digits(name):
    """A float32 0.9999 is 3e-4 away from it, as seen from 1."""
    betas = (0.9995, 0.9999)
    arrays = tuple(Complement(jnp.float32(1 - beta)) for beta in betas)
    grads = jnp.asarray(np.random.default_rng(0).normal(size=(STEPS, 30)), jnp.float32)
    params = jnp.zeros(30, jnp.float32)
    with jax.enable_x64(False):
        expected, found = (
            np.asarray(scan(getattr(ja.optimizers, name)(betas=each), params, grads)[0])
            for each in (betas, arrays)
        )
    assert np.max(np.abs(found - expected)) <= tol.FLOAT32_ONE_STEP * np.max(np.abs(expected))


def test_a_nan_stays_in_adamaxs_maximum():
    grads = jnp.array([1.0, jnp.nan, 1.0])
    _, state = scan(ja.optimizers.adamax(), jnp.zeros(()), grads)
    assert np.array_equal(np.isnan(state.exp_inf), [False, True, True])


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32, jnp.float64, jnp.complex128])
def test_nadams_product_is_one_float32_that_starts_at_one(dtype):
    tx = ja.optimizers.nadam()
    params = {"a": jnp.ones(3, dtype), "b": jnp.ones((), dtype)}
    first = tx.init(params)
    _, second = tx.update(params, first, params)
    assert first.mu_product.dtype == second.mu_product.dtype == jnp.float32
    assert first.mu_product == 1
    assert second.mu_product.shape == ()

"""Autocast through every form of a program, and what it says of itself."""


import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.compiled import QUICK_COMPILE
from parity_tests.harness.errors import assert_no_faults
from parity_tests.precision.autocast_forms import FORMS

autocast, to = ja.precision.autocast, ja.precision.to


def _numbers():
    rng = np.random.default_rng(0)
    x, w, b = (rng.normal(size=shape).astype(np.float32) for shape in ((4, 8), (8, 8), (8,)))
    return jnp.asarray(x), jnp.asarray(w / 3), jnp.asarray(b / 3)


def _products(jaxpr):
    """Yield the dtypes of the operands and of the result of every product in a program."""
    for eqn in jaxpr.eqns:
        if eqn.primitive.name in ("dot_general", "conv_general_dilated"):
            yield (*(v.aval.dtype for v in eqn.invars), eqn.outvars[0].aval.dtype)
        for inner in jax.extend.core.jaxprs_in_params(eqn.params):
            yield from _products(inner)


@pytest.mark.parity
def test_every_form_is_cast_and_has_the_gradients_of_float32():
    """All forms in two programs: in float32, and under autocast; products are in half precision."""
    numbers = _numbers()

    def gradients(transform):
        def of_all(*numbers):
            return {
                name: jax.value_and_grad(transform(f), (0, 1, 2))(*numbers)
                for name, f in FORMS.items()
            }

        return of_all

    ours = gradients(lambda f: autocast(f, "tpu"))
    wide, half = (
        jax.jit(f, compiler_options=QUICK_COMPILE)(*numbers) for f in (gradients(lambda f: f), ours)
    )
    faults = []
    for name, f in FORMS.items():
        products = [*_products(jax.make_jaxpr(jax.grad(autocast(f, "tpu")))(*numbers).jaxpr)]
        if not products or {dtype for each in products for dtype in each} != {jnp.bfloat16}:
            faults.append((name, f"products in {products}"))
        for what, a, b in zip("lxwb", jax.tree.leaves(wide[name]), jax.tree.leaves(half[name])):
            error = float(jnp.max(jnp.abs(a - b.astype(a.dtype))) / (jnp.max(jnp.abs(a)) + 1e-6))
            if not error <= tol.AUTOCAST_BFLOAT16_OF_MAX:
                faults.append((name, f"{what} is off by {error:.3g}"))
            if what != "l" and b.dtype != jnp.float32:
                faults.append((name, f"gradient of {what} in {b.dtype}"))
    assert_no_faults(faults)
    assert len(FORMS) >= 30

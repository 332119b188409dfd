"""What a compiled program moves, computes and holds."""

import jax
import jax.numpy as jnp
import pytest

import jaxaccel as ja


def of(function, *args, **kwargs):
    return ja.aot.report(jax.jit(function, **kwargs).lower(*args).compile())


@pytest.mark.quick
def test_figures_are_those_of_the_program():
    x = jnp.ones((64, 32), jnp.float32)
    product = of(lambda x: x @ x.T, x)
    assert product.flops == 2 * 64 * 64 * 32
    assert product.argument_bytes == 4 * 64 * 32
    assert product.output_bytes == 4 * 64 * 64
    assert product.bytes_accessed >= product.argument_bytes + product.output_bytes
    chain = of(lambda x: jnp.dot(jnp.dot(x, x.T), x), x)
    assert chain.temporary_bytes >= 4 * 64 * 64, "the product in between"
    assert product.temporary_bytes < chain.temporary_bytes
    donated = of(lambda x: x + 1, x, donate_argnums=0)
    assert donated.output_bytes == donated.argument_bytes


@pytest.mark.quick
def test_what_is_needed_has_to_fit():
    """More than is held at once: temporary memory is one block, with gaps."""
    found = of(lambda x: jnp.dot(jnp.dot(x, x.T), x), jnp.ones((64, 32), jnp.float32))
    needed = found.argument_bytes + found.output_bytes + found.temporary_bytes
    assert found.needed_bytes == needed
    for capacity, fits in {needed: True, needed - 1: False, None: None}.items():
        report = found._replace(capacity_bytes=capacity, peak_bytes=1)
        assert report.fits is fits
        if fits is False:
            with pytest.raises(AssertionError, match=r"the program needs .* which is more than"):
                report.assert_fits()
    tight = found._replace(capacity_bytes=needed - 1, refuses=True)
    assert tight.fits, "a TPU's compiler has taken it"
    tight.assert_fits()
    found.assert_fits(needed)
    with pytest.raises(ValueError, match="how much memory a cpu has is not known"):
        found.assert_fits()


@pytest.mark.quick
def test_fusions_are_counted():
    text = of(lambda x: jnp.sin(x) + 1, jnp.ones(64))
    assert text.fusions == 1
    assert of(lambda x: x, jnp.ones(64)).fusions == 0


@pytest.mark.quick
def test_what_is_not_compiled_is_refused():
    for value in (jax.jit(abs), jax.jit(abs).lower(1.0), None):
        with pytest.raises(TypeError, match="compiled must be a program that is compiled"):
            ja.aot.report(value)

"""Autocast's numbers and programs: sums, masks, scalars; what is compiled, and what is reported."""

import io
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rich.console

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.compiled import QUICK_COMPILE
from parity_tests.harness.errors import assert_no_faults
from parity_tests.precision.autocast_forms import numbers

autocast, to = ja.precision.autocast, ja.precision.to


@pytest.fixture(autouse=True)
def promotion_as_users_have_it():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


# --- numbers ------------------------------------------------------------------------------------


def test_gradient_of_a_bias_is_summed_in_float32():
    """100,000 rows in bfloat16 stand still at 256: however the bias is added."""
    rows, w = 100_000, jnp.ones((1, 1), jnp.float32)
    x = jnp.ones((rows, 1), jnp.float32)
    ways = {
        "by hand": lambda b: x @ w + b,
        "an axis of length 1": lambda b: x @ w + b[None],
        "ours": lambda b: ja.functional.linear(x, w, b),
        "broadcast": lambda b: x @ w + jnp.broadcast_to(b, (rows, 1)),
        "of an earlier product": lambda b: jnp.tanh(x @ w) * (b[None] @ w),
        "vmapped": lambda b: jax.vmap(lambda row: row @ w + b)(x),
    }

    def gradients(b):
        return {
            name: jax.grad(autocast(lambda b, f=f: jnp.sum(f(b) / 1000), "tpu"))(b)
            for name, f in ways.items()
        }

    expected = dict.fromkeys(ways, rows / 1000) | {"of an earlier product": 76.16}
    found = jax.jit(gradients, compiler_options=QUICK_COMPILE)(jnp.ones(1, jnp.float32))
    faults = [
        (name, f"{found[name]} instead of {value}")
        for name, value in expected.items()
        if abs(float(found[name][0]) / value - 1) > tol.AUTOCAST_BFLOAT16_OF_MAX
    ]
    assert_no_faults(faults)


def test_a_mean_in_float16_does_not_overflow():
    """The sum is past 65,504 after 1,100 of the values; with either list."""
    x, one = jnp.full((20_000, 1), 60, jnp.float32), jnp.ones((1, 1), jnp.float32)
    for device in ("cpu", "cuda"):
        for mean in (jnp.mean, lambda x: x.mean(), lambda x: jnp.average(x)):
            found = autocast(lambda x, mean=mean: mean(x @ one), device, jnp.float16)(x)
            assert found.dtype == jnp.float16
            assert float(found) == 60


def test_a_mask_of_the_smallest_number_stays_finite():
    """Python reads ``finfo(float32).min``, which float16 does not have."""
    x, _, _ = numbers()
    masked = jnp.array([True, False, False, False])

    def f(x, low):
        scores = x @ x.T
        scores = jnp.where(masked[:, None], low(scores), scores)
        return scores, jax.nn.softmax(scores)

    for low in (lambda s: jnp.finfo(s.dtype).min, lambda s: -1e30, lambda s: -3e38 / 1):
        for device in ("cpu", "cuda"):
            call = autocast(lambda x, low=low: f(x, low), device, jnp.float16)
            scores, chances = call(x)
            assert scores.dtype == jnp.float16
            assert float(scores[0, 0]) == -65504
            np.testing.assert_allclose(chances[0], 0.25)
    infinite = autocast(lambda x: f(x, lambda s: -jnp.inf)[0], "cuda")(x)
    assert np.all(np.isneginf(infinite[0]))


def test_numbers_do_not_widen():
    x, w, _ = numbers()
    ways = {
        "a number": lambda h: h * 2 + 1,
        "zeros": lambda h: jnp.where(h > 0, h, 0.0),
        "zeros like it": lambda h: jnp.concatenate([h, jnp.zeros_like(h)]),
        "a scalar array": lambda h: h * jnp.float32(3),
        "a mean": lambda h: h - jnp.mean(h),
        "a mask": lambda h: h * (h > 0).astype(jnp.float32),
        "padding": lambda h: jnp.pad(h, 1),
        "a power of a number": lambda h: h * jnp.sqrt(jnp.float32(8)),
    }
    for name, way in ways.items():
        f = autocast(lambda x, way=way: way(x @ w), "tpu")
        assert jax.eval_shape(f, x).dtype == jnp.bfloat16, name
    f = autocast(lambda x: (x @ w) * x, "tpu")  # an array in float32 does, as in PyTorch
    assert jax.eval_shape(f, x).dtype == jnp.float32


# --- programs -----------------------------------------------------------------------------------


def test_plain_programs_are_untouched():
    """The same text before and after a region was traced, which traces the same functions."""
    x, w, b = numbers()

    def f(x, w, b):
        h = ja.functional.layer_norm(ja.functional.linear(x, w, b), (8,), b)
        return jnp.sum(ja.functional.softmax(ja.functional.gelu(h), -1) * x)

    def text():
        return jax.jit(jax.value_and_grad(f, (0, 1, 2))).lower(x, w, b).as_text()

    before = text()
    cast = jax.jit(jax.value_and_grad(autocast(f, "tpu"), (0, 1, 2))).lower(x, w, b).as_text()
    assert text() == before
    assert "bf16" in cast
    assert "bf16" not in before
    assert "jaxaccel" not in cast  # nor does a mark get into the program


def test_scopes_of_the_users_are_kept():
    x, w, b = numbers()

    def f(x, w, b):
        with jax.named_scope("mine"):
            h = ja.functional.linear(x, w, b)
            with jax.named_scope("inner"):
                return jnp.sum(jnp.tanh(h)) + jax.lax.cond(h[0, 0] > 0, jnp.sum, jnp.max, x)

    text = jax.jit(autocast(f, "tpu")).lower(x, w, b).as_text(debug_info=True)
    for scope in ("mine/dot_general", "mine/inner/tanh", "mine/inner/cond"):
        assert scope in text, scope


def test_a_weight_used_twice_is_cast_once():
    """PyTorch has a cache for it; here it is one operation of the compiled program."""
    x, w, _ = numbers()
    f = autocast(lambda x, w: jnp.tanh(x @ w) @ w, "tpu")
    text = jax.jit(f).lower(x, w).compile().as_text()
    casts = re.findall(r"bf16\[8,8\]\S* convert\(", text)
    assert len(casts) == 1


def test_excess_precision_is_xlas_to_keep_or_not():
    """Without it each cast rounds, as when it runs operation by operation; with it some do not."""
    rng = np.random.default_rng(0)
    x, w = (jnp.asarray(rng.normal(size=(64, 64)).astype(np.float32)) for _ in range(2))
    f = autocast(lambda x, w: jnp.exp(jnp.tanh(x @ w)), "cuda", jnp.bfloat16)
    options = {"xla_allow_excess_precision": False}
    exact = jax.jit(f, compiler_options=options)(x, w)
    np.testing.assert_array_equal(exact, f(x, w))
    judge = np.exp(np.tanh(np.float64(x) @ np.float64(w)))
    own, kept = (np.sqrt(np.mean((y - judge) ** 2)) for y in (exact, jax.jit(f)(x, w)))
    assert kept <= own


# --- the report ---------------------------------------------------------------------------------


def test_report_says_what_runs_in_which_dtype():
    x, w, b = numbers()

    def f(x, w, b):
        h = ja.functional.linear(x, w, b)
        h = jax.lax.scan(lambda c, t: (c, jnp.exp(t)), 0, h)[1]
        return jnp.mean(jax.nn.softmax(h, -1))

    call = jax.jit(jax.grad(autocast(f, "tpu")))
    report = ja.precision.dtype_report(call, x, w, b)
    found = [(row.operation, row.found, row.rule) for row in report.rows]
    assert found == [
        ("linear", "float32 -> bfloat16", "lower"),
        ("exp", "bfloat16 -> float32", "float32"),
        ("softmax", "float32 -> float32", "float32 by output"),
        ("mean", "float32 -> float32", "keep"),
    ]
    assert all(row.source.startswith("test_autocast_numbers.py:") for row in report.rows)
    assert {row.declared for row in report.rows} == {"float32 -> float32"}
    assert json.loads(report.to_json())[0]["rule"] == "lower"
    console = rich.console.Console(record=True, width=200, file=io.StringIO())
    console.print(report)
    for text in (str(report), console.export_text()):
        assert all(word in text for row in report.rows for word in row)
    with pytest.raises(ValueError, match="enters no region"):
        ja.precision.dtype_report(f, x, w, b)

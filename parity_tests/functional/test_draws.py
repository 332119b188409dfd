"""What draws and is no plain dropout: alpha dropouts, rrelu and the Gumbel softmax."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jaxaccel as ja
from parity_tests.functional.rows_dropout import WITHOUT_MASKS
from parity_tests.harness.compare import assert_close
from parity_tests.harness.layer import OF_MAX, channels_first, channels_last
from parity_tests.registry import lookup, oracle_of

KEY = jax.random.key(0)
F = ja.functional


@pytest.mark.parity
@pytest.mark.parametrize("case", WITHOUT_MASKS, ids=lambda case: case.id)
def test_equals_pytorch_where_nothing_is_drawn(case):
    x = np.random.default_rng(0).normal(size=case.options["shape"])
    theirs = torch.tensor(x, requires_grad=True)
    expected = oracle_of(case)(theirs, **case.kwargs)
    expected.sum().backward()
    function = lookup("jaxaccel", case.function)
    found, pullback = jax.vjp(
        lambda x: function(x, **case.kwargs), jnp.asarray(channels_last(x, case))
    )
    gradient = channels_first(pullback(jnp.ones_like(found))[0], case)
    assert_close(channels_first(found, case), expected, OF_MAX["float64"], what="output")
    assert_close(gradient, theirs.grad, OF_MAX["float64"], 1.0, "gradient")


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
@pytest.mark.parametrize("name", ["alpha_dropout", "feature_alpha_dropout"])
def test_alpha_dropout_has_pytorchs_two_lines(name, dtype):
    """What is kept lies on one line and what is dropped at one point, PyTorch's to the bit."""
    x = np.random.default_rng(0).normal(size=(40, 3, 50))
    given = jnp.asarray(x, dtype)
    theirs = getattr(torch.nn.functional, name)(
        torch.tensor(np.asarray(given, np.float64)).to(getattr(torch, dtype)).movedim(-1, 1),
        0.3,
        True,
    )
    theirs = theirs.movedim(1, -1).double().numpy()
    found = getattr(F, name)(given, 0.3, True, key=KEY)
    assert found.dtype == dtype
    found = np.asarray(found, np.float64)
    dropped, theirs_dropped = (
        values[counts.argmax()]
        for values, counts in (np.unique(y, return_counts=True) for y in (found, theirs))
    )
    assert dropped == theirs_dropped
    kept, theirs_kept = found != dropped, theirs != dropped
    both = kept & theirs_kept
    assert both.any()
    assert np.array_equal(found[both], theirs[both])
    if name == "feature_alpha_dropout":  # some that are kept are equal to what is dropped
        assert (kept == kept[:, :1]).mean() > 0.99
    drawn = kept.any(1) if name == "feature_alpha_dropout" else kept
    assert abs(drawn.mean() - 0.7) <= 4 * np.sqrt(0.21 / drawn.size)


def test_slopes_of_rrelu_are_spread_over_their_range():
    x = -jnp.ones(2000)
    slopes, pullback = jax.vjp(lambda x: F.rrelu(x, 0.25, 0.75, True, key=KEY), x)
    slopes = -np.asarray(slopes)
    assert 0.25 <= slopes.min() < 0.26
    assert 0.74 < slopes.max() <= 0.75
    assert abs(slopes.mean() - 0.5) <= 4 * 0.5 / np.sqrt(12 * len(x))
    assert np.array_equal(pullback(jnp.ones_like(x))[0], slopes)
    assert np.array_equal(F.rrelu(-x, training=True, key=KEY), -x)


def test_gumbel_softmax_chooses_by_probability_and_has_the_soft_gradient():
    logits = jnp.log(jnp.array([0.1, 0.2, 0.7]))
    many = jnp.broadcast_to(logits, (4000, 3))
    chosen = F.gumbel_softmax(many, hard=True, key=KEY)
    assert set(np.asarray(chosen).ravel().tolist()) <= {0.0, 1.0}
    share = np.asarray(chosen).mean(0)
    assert (np.abs(share - np.exp(logits)) <= 4 * np.sqrt(0.25 / len(many))).all()
    soft = F.gumbel_softmax(many, 0.5, key=KEY)
    assert np.array_equal(soft.argmax(-1), F.gumbel_softmax(many, 0.5, True, key=KEY).argmax(-1))
    weights = jnp.arange(3.0)
    for dim in (-1, 0):
        soft, hard = (
            jax.grad(
                lambda x, hard=hard, dim=dim: (
                    F.gumbel_softmax(x, 0.5, hard, dim=dim, key=KEY) @ weights
                ).sum()
            )(many[:5])
            for hard in (False, True)
        )
        assert_close(hard, soft, OF_MAX["float64"])


@pytest.mark.parametrize(
    "call",
    [
        lambda: F.alpha_dropout(jnp.ones(3), 0.5, True),
        lambda: F.feature_alpha_dropout(jnp.ones((3, 4)), 0.5, True),
        lambda: F.rrelu(jnp.ones(3), training=True),
        lambda: ja.nn.RReLU()(jnp.ones(3)),
        lambda: ja.nn.AlphaDropout()(jnp.ones(3)),
    ],
)
def test_a_key_is_needed(call):
    with pytest.raises(ValueError, match=r"needs (a key|rngs)"):
        call()


def test_errors_have_pytorchs_text():
    for function, arguments in (
        ("alpha_dropout", (1.5,)),
        ("feature_alpha_dropout", (-1.0,)),
        ("rrelu", (0.5, 0.1)),
        ("rrelu", (float("nan"), 0.1)),
        ("feature_alpha_dropout", (0.5, True)),
    ):
        with pytest.raises((ValueError, RuntimeError)) as expected:
            getattr(torch.nn.functional, function)(torch.ones(3), *arguments)
        with pytest.raises(ValueError) as found:
            getattr(F, function)(jnp.ones(3), *arguments)
        assert str(found.value).startswith(str(expected.value).splitlines()[0])


def test_layers_draw_in_training_alone():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3, 5)))
    from flax import nnx

    for layer in (
        ja.nn.AlphaDropout(rngs=nnx.Rngs(0)),
        ja.nn.FeatureAlphaDropout(rngs=nnx.Rngs(0)),
        ja.nn.RReLU(rngs=nnx.Rngs(0)),
    ):
        assert not np.array_equal(layer(x), layer(x))
        layer.eval()
        expected = F.rrelu(x) if isinstance(layer, ja.nn.RReLU) else x
        assert np.array_equal(layer(x), expected)

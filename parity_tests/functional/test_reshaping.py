"""Interpolation and padding: rounding, half precision, integers, pairs with two readings."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F

import jaxaccel as ja
from jaxaccel.functional._interpolate_taps import nearest_taps
from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_close

interpolate, pad = ja.functional.interpolate, ja.functional.pad


@pytest.mark.parametrize("scale_factor", [2.0, 0.7, 3.3, 1 / 3])
@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
def test_nearest_points_of_float32_are_pytorchs(mode, scale_factor):
    """At every length: an index is rounded, and half a bit decides."""
    for length in range(4, 60):
        x = np.arange(length, dtype=np.float32).reshape(1, 1, length)
        expected = F.interpolate(torch.tensor(x), scale_factor=scale_factor, mode=mode).numpy()
        found = nearest_taps(length, expected.size, scale_factor, mode == "nearest-exact", x.dtype)
        assert np.array_equal(found.points[0], expected[0, 0])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_interpolates_in_float32(dtype):
    kwargs = {"scale_factor": (1.6, 0.7), "mode": "bicubic"}
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 5, 4, 3)), dtype)
    exact = F.interpolate(torch.tensor(np.asarray(x, np.float64)).movedim(-1, 1), **kwargs)
    found = interpolate(x, **kwargs)
    assert found.dtype == dtype
    assert_close(found, exact.movedim(1, -1), tol.LAYER_BFLOAT16_OF_MAX)


def test_gradient_of_bicubic_that_keeps_the_sizes_is_its_own():
    """PyTorch then returns the cotangent, though a factor of 1.2 did move the points."""
    kwargs = {"scale_factor": 1.2, "mode": "bicubic"}
    x = np.random.default_rng(0).normal(size=(1, 1, 4, 3))
    input = torch.tensor(x, requires_grad=True)
    expected = F.interpolate(input, **kwargs)
    expected.sum().backward()
    x = jnp.asarray(np.moveaxis(x, 1, -1))
    found, pullback = jax.vjp(lambda x: interpolate(x, **kwargs), x)
    assert_close(np.moveaxis(found, -1, 1), expected.detach(), tol.LAYER_FLOAT64_OF_MAX)
    assert (input.grad == 1).all()
    (gradient,) = pullback(jnp.ones_like(found))
    assert_close(jnp.sum(gradient * x), expected.detach().sum(), tol.LAYER_FLOAT64_OF_MAX)


def test_nearest_takes_integers_and_the_others_do_not():
    x = jnp.arange(3).reshape(1, 3, 1)
    assert interpolate(x, scale_factor=2).ravel().tolist() == [0, 0, 1, 1, 2, 2]
    with pytest.raises(TypeError, match="floating point"):
        interpolate(x, scale_factor=2, mode="linear")


@pytest.mark.parametrize(
    ("shape", "pairs"),
    [((4, 6, 3), (1, 1, 2, 2)), ((2, 4, 6, 3), (0, 0, 0, 0, 1, 2)), ((2, 6, 3), (0, 0, 1, 0))],
    ids=["one image", "channels of images", "embeddings"],
)
def test_a_constant_pair_with_two_readings_is_refused_with_both_remedies(shape, pairs):
    """PyTorch's third pair of images is for their channels, but of one volume for its depth."""
    with pytest.raises(ValueError, match=r"For the channels.*channel_axis=None.* pad x\[None\]"):
        pad(jnp.ones(shape), pairs)


def test_the_remedies_are_what_pytorch_does():
    image, images = (np.random.default_rng(0).normal(size=s) for s in ((3, 4, 6), (2, 3, 4, 6)))
    expected = F.pad(torch.tensor(image), (1, 1, 2, 2)).numpy()
    found = pad(jnp.asarray(np.moveaxis(image, 0, -1))[None], (1, 1, 2, 2))[0]
    assert np.array_equal(np.moveaxis(found, -1, 0), expected)
    expected = F.pad(torch.tensor(images), (0, 0, 0, 0, 1, 2)).numpy()
    found = pad(jnp.asarray(np.moveaxis(images, 1, -1)), (1, 2), channel_axis=None)
    assert np.array_equal(np.moveaxis(found, -1, 1), expected)


@pytest.mark.parametrize(
    ("dtype", "value"), [("int32", 2), ("int32", 2.5), ("bool", True), ("bfloat16", 0.1)]
)
def test_padding_keeps_the_dtype(dtype, value):
    x = torch.ones(3, dtype=getattr(torch, dtype))
    expected = F.pad(x, (1, 2), value=value)
    found = pad(jnp.ones(3, dtype), (1, 2), value=value)
    assert found.dtype == dtype
    assert np.array_equal(found.astype(float), expected.double())
    for mode in ("reflect", "replicate", "circular"):
        assert pad(jnp.ones((3, 1), dtype), (1, 2), mode).dtype == dtype


def test_another_channel_axis_is_refused():
    with pytest.raises(ValueError, match="channel_axis must be -1, 1 or None, but got 2"):
        pad(jnp.ones((2, 3, 4)), (1, 1), channel_axis=2)


def test_constant_pads_of_other_axes_are_refused():
    """PyTorch counts from the last axis, whatever stands there; here the channels do."""
    for kind in ("Zero", "Constant"):
        for axes, shape in ((1, (4,)), (2, (4, 4)), (3, (4, 4, 4)), (1, (1, 2, 3, 4))):
            value = {"value": 0.5} if kind == "Constant" else {}
            theirs = getattr(torch.nn, f"{kind}Pad{axes}d")(1, **value)(torch.ones(shape))
            assert theirs.ndim == len(shape)
            with pytest.raises(ValueError, match=f"expected {axes + 1}D or {axes + 2}D input"):
                getattr(ja.nn, f"{kind}Pad{axes}d")(1, **value)(jnp.ones(shape))

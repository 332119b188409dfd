"""What a JAX key draws, in pieces: JAX's own bits, in one program for all shapes."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxaccel as ja
from jaxaccel import _filled
from jaxaccel.init import _draw, _pieces
from parity_tests.harness.compilations import count_compilations

SHAPES = [(_pieces._LENGTH + 5,), (3, 5), ()]
"""More than a piece, less, and a scalar."""

KEYS = {
    "typed": lambda: jax.random.key(7),
    "raw": lambda: jax.random.PRNGKey(7),
    "of NumPy": lambda: np.asarray(jax.random.PRNGKey(7)),
}


def uniform_of_jax(key, shape, dtype, low, high):
    wide = np.promote_types(dtype, np.float32)
    value = jax.random.uniform(key, shape, wide, low, high).astype(dtype)
    return jnp.where(value == jnp.asarray(high, dtype), jnp.asarray(low, dtype), value)


def normal_of_jax(key, shape, dtype, mean, std):
    wide = np.promote_types(dtype, np.float32)
    value = jax.random.normal(key, shape, wide)
    return (value * jnp.asarray(std, wide) + jnp.asarray(mean, wide)).astype(dtype)


def trunc_normal_of_jax(key, shape, dtype, mean, std, a, b):
    """Of a range whose middle is the mean."""
    wide = np.promote_types(dtype, np.float32)
    low, high = (0.5 * math.erfc((mean - end) / std / math.sqrt(2)) for end in (a, b))
    value = jax.scipy.special.ndtri(jax.random.uniform(key, shape, wide, low, high))
    value = value * jnp.asarray(std, wide) + jnp.asarray(mean, wide)
    return jnp.clip(value, jnp.asarray(a, wide), jnp.asarray(b, wide)).astype(dtype)


@pytest.mark.parity
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64, jnp.bfloat16])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_pieces_have_the_bits_of_jax(shape, dtype):
    key = jax.random.key(7)
    for ours, theirs, numbers in (
        (_draw.uniform, uniform_of_jax, (-0.3, 0.7)),
        (_draw.normal, normal_of_jax, (0.1, 0.02)),
        (lambda *args: _draw.trunc_normal(*args, "torch"), trunc_normal_of_jax, (1, 0.5, 0, 2)),
    ):
        got, expected = ours(key, shape, dtype, *numbers), theirs(key, shape, dtype, *numbers)
        np.testing.assert_array_equal(got, expected)
        assert (got.dtype, got.weak_type, got.committed) == (dtype, False, False)


@pytest.mark.parametrize("kind", KEYS)
def test_keys_of_every_kind_draw_in_pieces(kind):
    key, shape = KEYS[kind](), (3, 5)
    assert kind == "of NumPy" or _pieces.draws_in_pieces(key, shape, np.dtype(np.float32))
    got = _draw.uniform(key, shape, jnp.float32, 0.0, 1.0)
    np.testing.assert_array_equal(got, jax.random.uniform(jax.random.key(7), shape, jnp.float32))


def test_other_streams_and_places_draw_as_jax_does():
    """A stream that is not cut in pieces, a key on another device, one on a mesh, a large array."""
    shape, dtype = (3, 5), jnp.float32
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    spread = jax.NamedSharding(mesh, jax.P())
    for key in (
        jax.random.key(7, impl="rbg"),
        jax.device_put(jax.random.key(7), jax.devices()[3]),
        jax.device_put(jax.random.key(7), spread),
    ):
        got, expected = (
            _draw.uniform(key, shape, dtype, 0.0, 1.0),
            jax.random.uniform(key, shape, dtype),
        )
        np.testing.assert_array_equal(got, expected)
        assert got.sharding == expected.sharding
        assert got.committed == expected.committed
    with jax.threefry_partitionable(False):
        np.testing.assert_array_equal(
            _draw.uniform(jax.random.key(7), shape, dtype, 0.0, 1.0),
            jax.random.uniform(jax.random.key(7), shape, dtype),
        )
    assert not _pieces.draws_in_pieces(
        jax.random.key(7), (_filled.MOST_ON_HOST + 1,), np.dtype(dtype)
    )


def test_traced_draws_hold_no_numbers():
    """A key that is at hand makes no constant of a program, and an abstract model no array."""
    key = jax.random.key(7)
    init = ja.init.normal()
    for make in (lambda: init(key, (1000,), jnp.float32), lambda: ja.init.ones()(None, (1000,))):
        assert all(np.size(const) < 10 for const in jax.make_jaxpr(make)().consts)
    in_jit = jax.jit(lambda: init(key, (1000,), jnp.float32))()
    np.testing.assert_allclose(in_jit, init(key, (1000,), jnp.float32), rtol=1e-6, atol=0)
    keys = jax.random.split(key, 2)
    mapped = jax.vmap(lambda key: init(key, (7,), jnp.float32))(keys)
    np.testing.assert_allclose(mapped[1], init(keys[1], (7,), jnp.float32), rtol=1e-6, atol=0)
    model = nnx.eval_shape(lambda: ja.models.resnet10(width=4, rngs=nnx.Rngs(0)))
    leaves = jax.tree.leaves(nnx.state(model))
    assert leaves
    assert all(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in leaves)


@pytest.mark.parametrize("rngs", [lambda: nnx.Rngs(0), lambda: ja.random.manual_seed(0)])
def test_a_model_of_other_shapes_compiles_nothing(rngs):
    def build(width):
        model = ja.models.resnet10(width=width, rngs=rngs())
        _, params, model_state = ja.training.split_model(model)
        ja.training.train_state(params, ja.optimizers.adamw(), model_state, key=jax.random.key(1))

    for _ in range(2):  # the first may import parts of JAX that programs are kept apart by
        build(4)
    for width in (3, 5):
        assert count_compilations(lambda width=width: build(width)) == 0


def test_new_arrays_live_where_jax_puts_them():
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    numbers = np.arange(16.0)
    places = (None, jax.devices()[2], jax.NamedSharding(mesh, jax.P("data")))
    for leaf in [jax.device_put(numbers, place) for place in places]:
        for ours, theirs in ((_filled.zeros_like, jnp.zeros_like), (_filled.copied, jnp.copy)):
            got, expected = ours(leaf), theirs(leaf)
            np.testing.assert_array_equal(got, expected)
            assert got.sharding == expected.sharding
            assert (got.dtype, got.committed) == (expected.dtype, expected.committed)
            for part, old in zip(got.addressable_shards, leaf.addressable_shards, strict=True):
                assert part.data.unsafe_buffer_pointer() != old.data.unsafe_buffer_pointer()
    with jax.set_mesh(mesh):
        assert _filled.filled((4,), 1, jnp.float32).sharding == jnp.ones(4, jnp.float32).sharding
        assert _filled.on_device(numbers).sharding == jnp.asarray(numbers).sharding
    assert _filled.filled((2,), 1e300, jnp.float32).tolist() == [math.inf] * 2

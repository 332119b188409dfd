"""Forms of a program, each a scalar loss of (x, w, b), whose products autocast must find."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.ad_checkpoint import checkpoint_name
from jax.experimental.pallas import pallas_call
from jax.sharding import PartitionSpec as P

import jaxaccel as ja

FORMS = {}


def numbers():
    """Return x, w and b."""
    rng = np.random.default_rng(0)
    x, w, b = (rng.normal(size=shape).astype(np.float32) for shape in ((4, 8), (8, 8), (8,)))
    return jnp.asarray(x), jnp.asarray(w / 3), jnp.asarray(b / 3)


def form(function):
    """Name a form by its function."""
    FORMS[function.__name__.strip("_")] = function
    return function


def _layer(x, w, b):
    return jnp.tanh(x @ w + b)


@form
def plain(x, w, b):
    return jnp.mean(_layer(_layer(x, w, b), w, b) ** 2)


@form
def compiled(x, w, b):
    layer = jax.jit(_layer)  # twice: transformed once
    return jnp.sum(layer(layer(x, w, b), w, b))


@form
def compiled_inside_compiled(x, w, b):
    return jax.jit(lambda x: jnp.sum(jax.jit(_layer)(x, w, b)))(x)


@form
def scan(x, w, b):
    def body(h, t):
        h = _layer(h + t, w, b)
        return h, jnp.sum(h)

    h, sums = jax.lax.scan(body, jnp.zeros_like(x), jnp.stack([x, x + 1]))
    return jnp.sum(h) + jnp.sum(sums)


@form
def scan_of_layers(x, w, b):
    layers = jnp.stack([w, w.T]), jnp.stack([b, -b])
    h, _ = jax.lax.scan(lambda h, layer: (_layer(h, *layer), None), x, layers, unroll=2)
    return jnp.sum(h)


@form
def scan_backwards(x, w, b):
    h, _ = jax.lax.scan(lambda h, t: (_layer(h, w, b) + t, None), x[0], x, reverse=True)
    return jnp.sum(h)


@form
def fori(x, w, b):
    return jnp.sum(jax.lax.fori_loop(0, 3, lambda _, h: _layer(h, w, b), x))


@form
def mapped(x, w, b):
    return jnp.sum(jax.lax.map(lambda row: _layer(row, w, b), x))


@form
def associative_scan(x, w, b):
    return jnp.sum(jax.lax.associative_scan(jnp.add, _layer(x, w, b)))


@form
def cond(x, w, b):
    return jnp.sum(jax.lax.cond(x[0, 0] > 0, lambda h: _layer(h, w, b), lambda h: h, x))


@form
def switch(x, w, b):
    branches = [lambda h: h, lambda h: h @ w, lambda h: _layer(h, w, b)]
    return jnp.sum(jax.lax.switch(jnp.argmax(x[0]) % 3, branches, x))


@form
def platform_dependent(x, w, b):
    layer = lambda h: _layer(h, w, b)  # noqa: E731
    return jnp.sum(jax.lax.platform_dependent(x, cpu=layer, cuda=jnp.sin, default=layer))


@form
def remat(x, w, b):
    return jnp.sum(jax.checkpoint(_layer)(x, w, b))


@form
def remat_by_names(x, w, b):
    @functools.partial(
        jax.checkpoint, policy=jax.checkpoint_policies.save_only_these_names("h"), prevent_cse=False
    )
    def layer(x):
        return jnp.sin(checkpoint_name(_layer(x, w, b), "h"))

    return jnp.sum(layer(x))


@jax.custom_jvp
def _straight_through(x):
    return jnp.round(4 * x) / 4


_straight_through.defjvp(lambda x, t: (_straight_through(*x), t[0]))


@form
def custom_jvp(x, w, b):
    return jnp.sum(jax.nn.relu(_straight_through(_layer(x, w, b))) * x)


@jax.custom_vjp
def _product(x, w, scale):
    return scale * (x @ w)


def _product_forward(x, w, scale):
    return _product(x, w, scale), (x, w, jnp.float32(scale))


def _product_backward(kept, g):
    x, w, scale = kept
    return scale * (g @ w.T), scale * (x.T @ g), None


_product.defvjp(_product_forward, _product_backward)


@form
def custom_vjp(x, w, b):
    return jnp.sum(jnp.tanh(_product(_product(x, w, 2), w, 1)) + b[None])


@form
def vmap(x, w, b):
    return jnp.sum(jax.vmap(lambda row: ja.functional.softmax(row @ w, 0) * row + b)(x))


@form
def vmap_of_weights(x, w, b):
    return jnp.sum(jax.vmap(lambda x, w: _layer(x, w, b), (None, 0))(x, jnp.stack([w, w.T])))


@form
def inner_gradient(x, w, b):
    """A penalty on a gradient, as in WGAN-GP."""
    slope = jax.grad(lambda x: jnp.sum(_layer(x, w, b)))(x)
    return jnp.mean(slope**2)


@form
def inner_jvp(x, w, b):
    return jnp.sum(jax.jvp(lambda x: _layer(x, w, b), (x,), (x,))[1])


@form
def inner_gradient_of_marks(x, w, b):
    """Of what is one operation, and of a cast that Python does not see."""

    def value(x):
        h = ja.functional.softmax(ja.functional.linear(x, w, b), -1)
        return jnp.sum(ja.precision.to(h, jnp.float32) ** 2)

    slope = jax.checkpoint(jax.grad(value))(x)
    return jnp.mean(slope**2) + jnp.sum(jax.jvp(value, (x,), (x,))[1])


@form
def references(x, w, b):
    ref = jax.new_ref(jnp.zeros_like(x))

    def add(index, _):
        ref[index] += _layer(x[index], w, b)
        return _

    jax.lax.fori_loop(0, len(x), add, 0)
    ref[0] = ref[1] * 2
    return jnp.sum(jax.freeze(ref) @ w)


@form
def kernel(x, w, b):
    def double(h, out):
        out[...] = h[...] * 2

    h = jax.lax.stop_gradient(x @ w)
    like = jax.ShapeDtypeStruct(h.shape, h.dtype)
    return jnp.sum(pallas_call(double, out_shape=like, interpret=True)(h) * _layer(x, w, b))


@form
def shard_map(x, w, b):
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))

    def local(x, w, b):
        return jax.lax.pmean(jnp.mean(_layer(x, w, b)), "data")

    specs = P("data"), P(), P()
    return jax.shard_map(local, mesh=mesh, in_specs=specs, out_specs=P())(x, w, b)


@form
def shard_map_unchecked(x, w, b):
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))

    def local(x, w, b):
        return jax.lax.psum(jnp.sum(_layer(x, w, b)), "data")

    return jax.shard_map(
        local, mesh=mesh, in_specs=(P("data"), P(), P()), out_specs=P(), check_vma=False
    )(x, w, b)


@form
def debug_print(x, w, b):
    h = _layer(x, w, b)
    jax.debug.callback(lambda h: None, h)
    return jnp.sum(h)


@form
def pure_callback(x, w, b):
    h = jax.lax.stop_gradient(x @ w)
    like = jax.ShapeDtypeStruct(h.shape, h.dtype)
    return jnp.sum(jax.pure_callback(lambda h: np.asarray(h) * 2, like, h) * _layer(x, w, b))


@form
def dropout(x, w, b):
    kept = jax.random.bernoulli(jax.random.key(0), 0.5, x.shape)
    return jnp.sum(jnp.where(kept, _layer(x, w, b) * 2, 0.0))


@form
def sorted_rows(x, w, b):
    values, _ = jax.lax.top_k(_layer(x, w, b), 2)
    return jnp.sum(values) + jnp.sum(jnp.sort(x @ w, axis=0)[0])


@form
def indexed(x, w, b):
    h = _layer(x, w, b)
    h = h.at[0].set(h[1]).at[jnp.array([1, 1])].add(h[:2]).at[2].mul(h[0])
    return jnp.sum(jax.lax.dynamic_update_slice(h, h[:1], (1, 0)) ** 2)


@form
def solve(x, w, b):
    return jnp.sum(jnp.linalg.solve(w @ w.T + jnp.eye(len(w), dtype=w.dtype), b))


@form
def fft(x, w, b):
    return jnp.sum(jnp.abs(jnp.fft.rfft(x @ w)) ** 2) / x.size


@form
def keywords_and_statics(x, w, b):
    inner = ja.precision.autocast(
        lambda x, *, weights, kind, sign: sign * _layer(x, **weights) if kind == "on" else x, "tpu"
    )
    return jnp.sum(inner(x, weights={"w": w, "b": b}, kind="on", sign=2))


@form
def closed_over(x, w, b):
    return jnp.sum(ja.precision.autocast(lambda: _layer(x, w, b), "tpu")())


@form
def strings_of_axes(x, w, b):
    return jnp.sum(jnp.einsum("ni,ij->nj", x, w) * jax.nn.one_hot(jnp.arange(4), 8, dtype=x.dtype))


@form
def convolution(x, w, b):
    out = jax.lax.conv_general_dilated(x[:, :, None], w[:3, None, :], (1,), "SAME",
                                       dimension_numbers=("NWC", "WIO", "NWC"))  # fmt: skip
    return jnp.mean(out + b)


@form
def named_scope(x, w, b):
    with jax.named_scope("mine"):
        return jnp.sum(_layer(x, w, b))

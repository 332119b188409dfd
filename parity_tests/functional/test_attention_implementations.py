"""The ways to compute attention: blocks against PyTorch, kernels lowered, memory, sharding."""

import functools
import re
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from jax.experimental.pallas import tpu as pltpu
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import jaxaccel as ja
from jaxaccel.functional import _attention_blocks, _scaled_dot_product_attention
from parity_tests import tolerances as tol
from parity_tests.functional.rows_attention import FUNCTION
from parity_tests.harness.attention import (
    assert_dropout_of_weights,
    assert_same_function,
    assert_same_layer,
)
from parity_tests.harness.compare import assert_close
from parity_tests.harness.compiled import FAST_COMPILE
from parity_tests.nn.rows_attention import ATTENTION

FLOAT32_ROWS = ("defaults", "causal more queries", "seven queries masks")
LAYER_ROWS = (
    "other keys no weights",
    "mask and padding no weights",
    "mask hides all no weights",
    "bias kv masks no weights",
    "causal hint no weights bias kv",
)
attend = ja.functional.scaled_dot_product_attention


def rows(cases):
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.id)


@pytest.fixture
def small_blocks(monkeypatch):
    """Let blocks have two queries, so that every row has several and some have one to fill up."""
    monkeypatch.setattr(_attention_blocks, "QUERIES", 2)
    monkeypatch.setattr(_scaled_dot_product_attention, "SHORT", 0)


def draw(*shapes, dtype="float64", seed=0):
    rng = np.random.default_rng(seed)
    return [jnp.asarray(rng.normal(size=shape), dtype) for shape in shapes]


def step_of(implementation=None, **kwargs):
    """Return a function of query, key, value and cotangent: the output and three gradients."""

    def step(query, key, value, cotangent):
        call = functools.partial(attend, implementation=implementation, **kwargs)
        output, pullback = jax.vjp(call, query, key, value)
        return output, *pullback(cotangent)

    return step


def compiled(step, *arrays):
    return jax.jit(step, compiler_options=FAST_COMPILE).lower(*arrays).compile()


# --- blocks against PyTorch ---------------------------------------------------------------------


@pytest.mark.usefixtures("small_blocks")
@rows(FUNCTION)
def test_float64_blocks_equal_pytorch(case):
    assert_same_function(case, "float64")


@pytest.mark.usefixtures("small_blocks")
@rows([case for case in FUNCTION if case.why in FLOAT32_ROWS])
def test_float32_blocks_equal_pytorch(case):
    assert_same_function(case, "float32")


@pytest.mark.usefixtures("small_blocks")
@rows([case for case in ATTENTION if case.why in LAYER_ROWS])
def test_float64_blocks_of_the_layer_equal_pytorch(case):
    assert_same_layer(case, "float64")


@pytest.mark.usefixtures("small_blocks")
def test_bfloat16_blocks_are_as_near_as_pytorchs():
    """Gradients of keys and values are sums over 16 blocks."""
    squares = np.zeros((2, 4))
    run = jax.jit(step_of(is_causal=True))
    for seed in range(5):
        shapes = [(1, 2, length, 8) for length in (32, 24, 24, 32)]
        arrays = draw(*shapes, dtype="bfloat16", seed=seed)

        def theirs(dtype, arrays=arrays):
            *moving, cotangent = [torch.tensor(np.asarray(x, float)).to(dtype) for x in arrays]
            moving = [x.requires_grad_() for x in moving]
            output = torch.nn.functional.scaled_dot_product_attention(*moving, is_causal=True)
            found = [output, *torch.autograd.grad(output, moving, cotangent)]
            return [x.detach().double().numpy() for x in found]

        judges = theirs(torch.float64)
        for i, side in enumerate((run(*arrays), theirs(torch.bfloat16))):
            for j, (found, judge) in enumerate(zip(side, judges, strict=True)):
                squares[i, j] += np.sum((np.asarray(found, np.float64) - judge) ** 2)
    assert (squares[0] <= tol.OWN_ERROR_RATIO**2 * squares[1]).all(), np.sqrt(squares)


# --- blocks against the same formula at once ----------------------------------------------------


@pytest.mark.parametrize("kwargs", [{}, {"is_causal": True}, {"scale": 0.3}])
def test_blocks_of_their_own_size_equal_the_whole(kwargs):
    """300 queries: three blocks of 100; 257: three of 86, and a row to fill up."""
    for length in (300, 257):
        arrays = draw((2, length, 4), (2, 70, 4), (2, 70, 3), (2, length, 3))
        names = "plain", "blockwise"
        whole, blocks = (jax.jit(step_of(name, **kwargs))(*arrays) for name in names)
        for found, judge in zip(blocks, whole, strict=True):
            assert_close(found, judge, tol.LAYER_FLOAT64_OF_MAX)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("special", [-np.inf, np.inf, np.nan])
def test_special_numbers_go_where_they_go_at_once(special):
    """An infinite key that every score makes -inf of has a finite gradient, if nothing is added."""
    q, k, v, cotangent = draw((5, 4), (7, 4), (7, 3), (5, 3))
    q, k = jnp.abs(q), k.at[6, 2].set(special)
    for is_causal in (False, True):
        whole, blocks = (
            jax.jit(step_of(name, is_causal=is_causal))(q, k, v, cotangent)
            for name in ("plain", None)
        )
        for found, judge in zip(blocks, whole, strict=True):
            assert np.array_equal(np.isfinite(found), np.isfinite(judge))
            finite = np.isfinite(judge)
            assert_close(found[finite], judge[finite], tol.LAYER_FLOAT64_OF_MAX)
        assert special != -np.inf or np.isfinite(blocks[2]).all()


def test_blocks_outside_of_a_jit_are_traced_once(monkeypatch):
    traced = []
    original = _attention_blocks.attend
    monkeypatch.setattr(
        _attention_blocks, "attend", lambda *args: traced.append(1) or original(*args)
    )
    for _ in range(2):
        attend(*draw((150, 2), (3, 2), (3, 2)), scale=np.float64(0.5), implementation="blockwise")
        assert len(traced) == 1


@pytest.mark.usefixtures("small_blocks")
def test_forward_mode_and_second_derivatives():
    arrays = draw((5, 4), (6, 4), (6, 3))
    tangents = draw((5, 4), (6, 4), (6, 3), seed=1)

    def derivatives(implementation):
        def loss(*arrays):
            return jnp.sum(attend(*arrays, is_causal=True, implementation=implementation) ** 2)

        gradient = jax.grad(loss, argnums=(0, 1, 2))
        return jax.jit(lambda a, t: jax.jvp(gradient, a, t)[1])(tuple(arrays), tuple(tangents))

    for found, judge in zip(derivatives("blockwise"), derivatives("plain"), strict=True):
        assert_close(found, judge, tol.LAYER_FLOAT64_OF_MAX)


def test_dropout_of_blocks(monkeypatch):
    """Rates and scaling; and the backward pass draws the masks of the forward pass again."""
    monkeypatch.setattr(_attention_blocks, "QUERIES", 8)
    monkeypatch.setattr(_scaled_dot_product_attention, "SHORT", 0)
    assert_dropout_of_weights()
    v = jnp.eye(40)
    q, k = jnp.zeros((40, 4)), jnp.zeros((40, 4))
    run = jax.jit(step_of(dropout_p=0.5, dropout_key=jax.random.key(3)))
    weights, *_, of_value = run(q, k, v, v)
    assert_close(of_value, weights.T, tol.LAYER_FLOAT64_OF_MAX)
    masks = {np.asarray(weights[block::5] != 0).tobytes() for block in range(5)}
    assert len(masks) == 5


# --- memory and sharding ------------------------------------------------------------------------


def temporary(step, *shapes):
    arrays = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    return compiled(step, *arrays).memory_analysis().temp_size_in_bytes


def test_memory_is_linear_in_the_length():
    """Eight times the length."""

    def growth(implementation):
        step = step_of(implementation, is_causal=True)
        short, long = (temporary(step, *[(2, n, 16)] * 4) for n in (512, 4096))
        return long / short

    assert growth("plain") > 40
    assert growth("blockwise") < 8.5


def test_few_keys_are_seen_by_all_queries_at_once():
    """The choice is by the keys: beyond 512 of them their weights would be most of a layer."""
    for keys, loops in ((512, False), (513, True)):
        arrays = draw((600, 4), (keys, 4), (keys, 4), (600, 4))
        for kwargs in ({}, {"is_causal": True}):
            text = jax.jit(step_of(**kwargs)).lower(*arrays).as_text()
            assert ("stablehlo.while" in text) == loops


def test_memory_of_the_layer_is_linear_without_weights():
    layer = ja.nn.MultiheadAttention(16, 2, batch_first=True, rngs=ja.random.manual_seed(0))

    def growth(need_weights):
        def loss(x):
            return jnp.sum(layer(x, x, x, None, need_weights)[0])

        short, long = (temporary(jax.grad(loss), (1, n, 16)) for n in (1024, 4096))
        return long / short

    assert growth(True) > 10
    assert growth(False) < 4.5


SPECS = {
    "batch": P("devices"),
    "heads": P(None, "devices"),
    "queries": P(None, None, "devices"),
}


@pytest.mark.parametrize("axis", SPECS)
def test_eight_devices_equal_one(axis, monkeypatch):
    """Batches and heads meet nowhere; only gradients of keys are sums over devices' queries."""
    monkeypatch.setattr(_attention_blocks, "QUERIES", 8)
    mesh = jax.make_mesh((8,), ("devices",), axis_types=(AxisType.Auto,))
    arrays = draw((8, 8, 16, 4), (8, 8, 9, 4), (8, 8, 9, 4), (8, 8, 16, 4))
    judges = step_of("plain", is_causal=True)(*arrays)
    own, whole = NamedSharding(mesh, SPECS[axis]), NamedSharding(mesh, P())
    of_keys = whole if axis == "queries" else own
    placed = [
        jax.device_put(x, sharding)
        for x, sharding in zip(arrays, (own, of_keys, of_keys, own), strict=True)
    ]
    program = compiled(step_of("blockwise", is_causal=True), *placed)
    names = set(re.findall(r"(all-\w+|collective-\w+|reduce-scatter)\(", program.as_text()))
    assert names == ({"all-reduce"} if axis == "queries" else set())
    for found, judge in zip(program(*placed), judges, strict=True):
        assert_close(found, judge, tol.DEVICES_FLOAT64_OF_MAX)


# --- kernels ------------------------------------------------------------------------------------


def lowered(step, platform, *arrays):
    return jax.jit(step).trace(*arrays).lower(lowering_platforms=(platform,)).as_text()


@pytest.fixture
def with_cudnn(monkeypatch):
    """Let this process believe that it has cuDNN, which is enough to lower for it."""
    from jax._src.cudnn import fused_attention_stablehlo

    versions = SimpleNamespace(cudnn_get_version=lambda: 91000)
    monkeypatch.setattr(fused_attention_stablehlo, "cuda_versions", versions)
    monkeypatch.setattr(_scaled_dot_product_attention, "runs_on_cudnn", lambda: True)


HALF = draw(*[(2, 3, 16, 8)] * 4, dtype="bfloat16")


@pytest.mark.usefixtures("with_cudnn")
def test_a_gpu_is_given_cudnns_kernel():
    calls = ["__cudnn$fmhaSoftmax", "__cudnn$fmhaSoftmaxBackward"]
    for step in (step_of(is_causal=True), step_of("cudnn", scale=0.3)):
        text = lowered(step, "cuda", *HALF)
        assert re.findall(r"@(__cudnn\$\w+)\(", text) == calls
    for platform in ("cpu", "tpu", "rocm"):
        assert "__cudnn" not in lowered(step_of(is_causal=True), platform, *HALF)
    found, judges = (jax.jit(step_of(name))(*HALF) for name in (None, "plain"))
    assert all(map(np.array_equal, found, judges))


@pytest.mark.usefixtures("with_cudnn")
def test_what_cudnn_cannot_do_goes_in_blocks():
    for arrays, kwargs in [
        (draw(*[(2, 3, 16, 8)] * 4), {}),
        (HALF, {"attn_mask": jnp.ones((16, 16), bool)}),
        (HALF, {"dropout_p": 0.5, "dropout_key": jax.random.key(0)}),
        (draw(*[(3, 16, 8)] * 4, dtype="bfloat16"), {}),
        (draw(*[(2, 3, 16, 12)] * 4, dtype="bfloat16"), {}),
    ]:
        assert "__cudnn" not in lowered(step_of(**kwargs), "cuda", *arrays)


def test_a_process_without_gpus_needs_no_cudnn():
    assert "__cudnn" not in lowered(step_of(is_causal=True), "cuda", *HALF)


def test_the_kernel_for_tpus_equals_plain_attention():
    """In the interpreter; without x64, which Pallas' kernel does not compile with."""
    with jax.enable_x64(False):
        arrays = draw(
            (1, 1, 128, 8), (1, 1, 256, 8), (1, 1, 256, 8), (1, 1, 128, 8), dtype="float32"
        )
        judges = jax.jit(step_of("plain", is_causal=True, scale=0.7))(*arrays)
        with pltpu.force_tpu_interpret_mode():
            found = compiled(step_of("flash", is_causal=True, scale=0.7), *arrays)(*arrays)
        for own, judge in zip(found, judges, strict=True):
            assert_close(own, judge, tol.LAYER_FLOAT32_OF_MAX)
        assert lowered(step_of("flash"), "tpu", *arrays).count("@tpu_custom_call") == 3


LONG = [(2, 3, 128, 64)] * 3


@pytest.mark.parametrize(
    ("implementation", "shapes", "dtype", "kwargs", "text"),
    [
        ("pallas", LONG, "bfloat16", {}, "must be None, 'plain', .* but got 'pallas'"),
        ("cudnn", LONG, "float32", {}, "takes bfloat16 or float16, but got float32"),
        (
            "cudnn",
            [(2, 3, 128, 136)] * 3,
            "float16",
            {},
            "a multiple of 8 up to 128, but got query",
        ),
        ("cudnn", [(3, 8, 64)] * 3, "float16", {}, r"takes \(N, heads, L, E\) of one N"),
        ("flash", LONG, "float16", {}, "takes bfloat16 or float32, but got float16"),
        ("flash", [(2, 3, 100, 64)] * 3, "float32", {}, "positive multiples of 128, but got query"),
        ("flash", [(2, 3, 128, 192)] * 3, "float32", {}, "up to 128 or a multiple of it, but"),
        ("flash", [*LONG[:2], (2, 3, 128, 32)], "float32", {}, "takes vectors of one length"),
        ("flash", [LONG[0], *[(1, 3, 128, 64)] * 2], "float32", {}, "of one N and as many heads"),
        ("flash", LONG, "float32", {"dropout_p": 0.5}, "has no dropout, but got dropout_p=0.5"),
        ("flash", LONG, "float32", {"attn_mask": (128, 128)}, "no attn_mask, only is_causal; impl"),
    ],
)
def test_errors_say_what_a_kernel_cannot_do(implementation, shapes, dtype, kwargs, text):
    kwargs = dict(kwargs)
    if "attn_mask" in kwargs:
        kwargs["attn_mask"] = jnp.ones(kwargs["attn_mask"], bool)
    kwargs |= {"implementation": implementation, "dropout_key": jax.random.key(0)}
    arrays = [jnp.zeros(shape, dtype) for shape in shapes]
    with jax.enable_x64(False), pytest.raises(ValueError, match=text):
        attend(*arrays, **kwargs)


def test_the_kernel_for_tpus_says_that_it_has_no_x64():
    with pytest.raises(ValueError, match="does not compile with jax_enable_x64; implementation="):
        attend(*[jnp.zeros(shape, "float32") for shape in LONG], implementation="flash")

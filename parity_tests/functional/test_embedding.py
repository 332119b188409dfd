"""Embeddings against PyTorch: tables in place, ties, traces, forward mode, half precision."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from jax.sharding import PartitionSpec as P

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.functional.rows_embedding import RENORM
from parity_tests.harness.compare import assert_close
from parity_tests.harness.function import arrays_of, constants_of
from parity_tests.registry import lookup, oracle_of

embedding, embedding_bag = ja.functional.embedding, ja.functional.embedding_bag


def bags_of_embedding(input, weight, mode, scale_grad_by_freq, per_sample_weights=None):
    """Return bags of one length by ``embedding``, which divides by the right frequencies."""
    rows = F.embedding(input, weight, scale_grad_by_freq=scale_grad_by_freq)
    if per_sample_weights is not None:
        rows = rows * per_sample_weights[..., None]
    return {"sum": torch.sum, "mean": torch.mean}[mode](rows, 1)


@pytest.mark.parity
@pytest.mark.parametrize("case", RENORM, ids=lambda case: case.id)
def test_renormalized_table_is_what_pytorch_leaves(case):
    """And its gradient is that of the table before."""
    table, indices = arrays_of(case)["input"], constants_of(case)["indices"]
    expected = torch.tensor(table)
    oracle_of(case)(expected, torch.tensor(indices), **case.kwargs)
    function = lookup("jaxaccel", case.function)
    found, pullback = jax.vjp(lambda t: function(t, indices, **case.kwargs), jnp.asarray(table))
    assert_close(np.asarray(found), expected.numpy(), tol.LAYER_FLOAT64_OF_MAX)
    assert not np.array_equal(found, table)
    assert np.array_equal(pullback(found)[0], found)


def test_a_table_looked_up_twice_has_the_gradient_of_both():
    table = np.random.default_rng(0).normal(size=(5, 3))
    first, second = np.array([0, 3]), np.array([3, 4])
    weight = torch.tensor(table, requires_grad=True)
    (F.embedding(torch.tensor(first), weight).sum()
     + 2 * F.embedding(torch.tensor(second), weight).sum()).backward()  # fmt: skip
    gradient = jax.grad(lambda w: embedding(first, w).sum() + 2 * embedding(second, w).sum())(
        jnp.asarray(table)
    )
    assert_close(np.asarray(gradient), weight.grad.numpy(), tol.LAYER_FLOAT64_OF_MAX)


def test_nan_is_kept_out_of_the_padding_row():
    """Rows that nothing reaches have no gradient, whatever arrives there."""
    ids, cotangent = np.array([0, 2, 0]), np.full((3, 2), np.nan)
    weight = torch.ones(4, 2, dtype=torch.float64, requires_grad=True)
    F.embedding(torch.tensor(ids), weight, 0).backward(torch.tensor(cotangent))
    _, pullback = jax.vjp(lambda w: embedding(jnp.asarray(ids), w, 0), jnp.ones((4, 2)))
    (gradient,) = pullback(jnp.asarray(cotangent))
    assert np.array_equal(gradient, weight.grad, equal_nan=True)


@pytest.mark.parametrize("options", [{}, {"scale_grad_by_freq": True, "padding_idx": 3}])
def test_forward_mode(options):
    """The derivative along a direction is the gradient's product with it."""
    ids = jnp.array([3, 1, 1, 5])
    rng = np.random.default_rng(0)
    weight, direction = (jnp.asarray(rng.normal(size=(6, 3))) for _ in range(2))
    cotangent = jnp.asarray(rng.normal(size=(4, 3)))

    def call(weight):
        return embedding(ids, weight, **options)

    _, tangent = jax.jvp(call, (weight,), (direction,))
    (gradient,) = jax.vjp(call, weight)[1](cotangent)
    along, product = (tangent * cotangent).sum(), (gradient * direction).sum()
    assert_close(np.asarray(along), np.asarray(product), tol.LAYER_FLOAT64_OF_MAX)


def test_each_device_of_a_mapped_axis_scales_the_rows_that_it_looks_up():
    """Inside ``shard_map``, where devices share the table: the rows, and the gradients of all."""
    ids, table = np.array([[0, 2], [3, 2]]), np.random.default_rng(0).normal(size=(4, 3))
    weights = [torch.tensor(table, requires_grad=True) for _ in ids]
    expected = [
        F.embedding(torch.tensor(own), w * 1, max_norm=0.7)
        for own, w in zip(ids, weights, strict=True)
    ]
    sum((rows**2).sum() for rows in expected).backward()

    def loss(weight, ids):
        rows = embedding(ids[0], weight, max_norm=0.7)
        return jax.lax.psum((rows**2).sum(), "data"), rows

    run = jax.shard_map(
        jax.grad(loss, has_aux=True),
        mesh=jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,)),
        in_specs=(P(), P("data")),
        out_specs=(P(), P("data")),
    )
    gradient, rows = jax.jit(run)(jnp.asarray(table), jnp.asarray(ids))
    assert_close(np.asarray(rows), torch.cat(expected).detach().numpy(), tol.LAYER_FLOAT64_OF_MAX)
    whole = sum(weight.grad for weight in weights)
    assert_close(np.asarray(gradient), whole.numpy(), tol.LAYER_FLOAT64_OF_MAX)


@pytest.mark.parametrize("index", [-1, 5, 2**31 - 1])
def test_an_integer_outside_is_nan_without_a_gradient_where_it_is_not_known(index):
    options = {"max_norm": 0.1, "scale_grad_by_freq": True}
    ids, weight = jnp.array([1, index], jnp.int32), jnp.ones((5, 2))

    @jax.jit
    def run(ids, weight):
        rows, pullback = jax.vjp(lambda w: embedding(ids, w, **options), weight)
        return rows, pullback(jnp.ones((2, 2)))[0]

    rows, gradient = run(ids, weight)
    assert np.isnan(rows[1]).all()
    assert np.isfinite(rows[0]).all()
    assert gradient.tolist() == [[0, 0], [1, 1], [0, 0], [0, 0], [0, 0]]
    table = ja.functional.embedding_renorm(weight, ids, 0.1, 2.0)
    assert np.array_equal(np.delete(table, 1, 0), np.delete(weight, 1, 0))


def test_frequencies_in_bfloat16_are_counted_beyond_256():
    ids = jnp.zeros(1024, int).at[1000:].set(1)
    cotangent = jnp.zeros((1024, 1), jnp.bfloat16).at[5].set(1)
    weight = jnp.ones((2, 1), jnp.bfloat16)
    rows, pullback = jax.vjp(lambda w: embedding(ids, w, scale_grad_by_freq=True), weight)
    assert rows.dtype == jnp.bfloat16
    assert pullback(cotangent)[0][0, 0] == jnp.asarray(1 / 1000, jnp.bfloat16)


# --- bags ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_ties_infinities_and_nan_in_a_bag(mode):
    """Of equal maxima the first row takes the gradient; NaN is never lost, as in a sum."""
    table = np.zeros((6, 2))
    table[1:4, 0], table[4], table[5] = 2.0, -np.inf, np.nan
    input, offsets = np.array([0, 3, 1, 2, 4, 4, 1]), np.array([0, 4, 6])
    weight = torch.tensor(table, requires_grad=True)
    expected = F.embedding_bag(torch.tensor(input), weight, torch.tensor(offsets), mode=mode)
    expected.sum().backward()
    input, offsets = jnp.asarray(input), jnp.asarray(offsets)
    bag = jax.jit(functools.partial(embedding_bag, mode=mode))
    found, pullback = jax.vjp(lambda w: bag(input, w, offsets), jnp.asarray(table))
    assert np.array_equal(found, expected.detach().numpy())
    gradient = np.asarray(pullback(jnp.ones((3, 2)))[0])
    assert np.allclose(gradient, weight.grad.numpy(), rtol=0, atol=0)
    poisoned = bag(jnp.array([1, 5, 0, 1]), jnp.asarray(table), jnp.array([0, 3]))
    assert np.isnan(poisoned[0]).all()
    assert np.isfinite(poisoned[1]).all()


def test_what_follows_the_last_offset_is_in_no_bag():
    """As PyTorch documents it; its kernels do not agree with each other there."""
    input, weight = (
        jnp.array([1, 2, 4, 5]),
        jnp.asarray(np.random.default_rng(0).normal(size=(10, 3))),
    )
    offsets = jnp.array([0, 2, 3])
    for mode in ("sum", "mean", "max"):
        options = {"mode": mode, "include_last_offset": True}
        found = embedding_bag(input, weight, offsets, **options)
        assert np.array_equal(found, embedding_bag(input[:3], weight, offsets, **options))


def test_under_a_trace_bags_are_the_same_and_bad_integers_are_nan():
    weight = jnp.asarray(np.random.default_rng(0).normal(size=(10, 3)))
    run, offsets = jax.jit(embedding_bag), jnp.array([0, 2, 2])
    for input in (jnp.array([1, 2, 3]), jnp.array([1, 2, 3], jnp.int32)):
        found, expected = run(input, weight, offsets), embedding_bag(input, weight, offsets)
        assert_close(np.asarray(found), np.asarray(expected), tol.LAYER_FLOAT64_OF_MAX)
    found = run(jnp.array([1, 10, -1]), weight, offsets)
    assert np.array_equal(np.isnan(found).all(1), [True, False, True])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_half_precision_is_rounded_once(mode, dtype):
    """A thousand ones are a thousand, which no sum in bfloat16 reaches."""
    found = embedding_bag(jnp.zeros((1, 1000), jnp.int32), jnp.ones((2, 3), dtype), mode=mode)
    assert found.dtype == dtype
    assert (found == (1000 if mode == "sum" else 1)).all()


def test_other_errors_of_bags():
    weight, flat, two = jnp.ones((10, 3)), jnp.array([1, 2, 3]), jnp.array([[1, 2, 3]])
    with pytest.raises(ValueError, match="if input is 2D, then offsets has to be None"):
        F.embedding_bag(torch.tensor([[1]]), torch.ones(10, 3), torch.tensor([0]))
    with pytest.raises(ValueError, match="if input is 2D, then offsets has to be None"):
        embedding_bag(two, weight, jnp.array([0]))
    with pytest.raises(TypeError, match="weight and per_sample_weights to have the same dtype"):
        embedding_bag(two, weight, mode="sum", per_sample_weights=jnp.ones((1, 3), jnp.bfloat16))
    with pytest.raises(TypeError, match=r"argument #1 'indices'.*arguments for embedding_bag"):
        embedding_bag(flat, weight, jnp.array([0.0]))
    with pytest.raises(TypeError, match=r"argument #1 'indices'.*arguments for embedding_bag"):
        embedding_bag(flat.astype(jnp.int16), weight, jnp.array([0]))
    for offsets, text in (([0, 2, 1], "must not fall"), ([], "at least one number")):
        with pytest.raises(ValueError, match=text):
            embedding_bag(flat, weight, jnp.array(offsets, jnp.int32))


def test_a_table_without_rows_gives_nan_under_a_trace():
    table, ids = jnp.ones((0, 3), jnp.float32), jnp.array([[0, 1]])
    found = jax.jit(ja.functional.embedding)(ids, table)
    assert found.shape == (1, 2, 3)
    assert jnp.isnan(found).all()
    assert ja.functional.embedding_renorm(table, ids, 1.0, 2.0).shape == (0, 3)
    bags = jax.jit(lambda i: ja.functional.embedding_bag(i, table))(ids)
    assert jnp.isnan(bags).all()

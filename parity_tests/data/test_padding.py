"""Batches of a few sizes: pad_sequence beside PyTorch's, buckets, masks."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jaxaccel as ja

pytestmark = pytest.mark.quick

LENGTHS = (3, 0, 5, 1)


@pytest.mark.parametrize("shape", [(), (2,), (2, 3)], ids=str)
def test_pad_sequence_is_pytorchs(shape):
    rng = np.random.default_rng(0)
    for dtype in (np.float32, np.float64, np.int64, np.uint8, np.complex64, np.bool_):
        sequences = [rng.integers(1, 9, (length, *shape)).astype(dtype) for length in LENGTHS]
        for batch_first, value, side in itertools.product(
            (False, True), (0.0, 7.0), ("right", "left")
        ):
            ours = ja.data.pad_sequence(sequences, batch_first, value, side)
            theirs = torch.nn.utils.rnn.pad_sequence(
                [torch.from_numpy(sequence) for sequence in sequences], batch_first, value, side
            )
            assert ours.dtype == dtype
            np.testing.assert_array_equal(ours, theirs.numpy())


def test_a_longer_length_adds_padding_on_the_chosen_side():
    for side, kept in (("right", slice(0, 3)), ("left", slice(5, 8))):
        padded = ja.data.pad_sequence([np.ones(3)], True, -100, side, length=8)
        assert padded.shape == (1, 8)
        assert np.all(padded[0, kept] == 1)
        assert padded.sum() == 3 - 5 * 100


def test_bucket_sizes():
    powers = [ja.data.bucket_size(length) for length in (0, 1, 2, 3, 4, 5, 1023, 1024, 1025)]
    assert powers == [1, 1, 2, 4, 4, 8, 1024, 1024, 2048]
    assert [ja.data.bucket_size(n, (16, 4, 9)) for n in (0, 4, 5, 9, 10, 16)] == [
        4,
        4,
        9,
        9,
        16,
        16,
    ]


def test_a_batch_is_padded_and_its_mean_is_unmoved():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(5, 3)).astype(np.float32), rng.integers(0, 3, 5)
    batch, mask = ja.data.pad_to_bucket({"x": x, "y": y, "scale": np.float32(2)}, sizes=(4, 8))
    assert batch["x"].shape == (8, 3)
    assert batch["x"].dtype == x.dtype
    assert batch["scale"] == 2
    assert mask.tolist() == [True] * 5 + [False] * 3
    np.testing.assert_array_equal(batch["y"][:5], y)
    losses = ja.functional.cross_entropy(jnp.asarray(batch["x"]), batch["y"], reduction="none")
    np.testing.assert_allclose(
        jnp.mean(losses, where=mask),
        ja.functional.cross_entropy(jnp.asarray(x), y),
        rtol=1e-6,
    )


def test_padding_along_the_steps_leaves_what_has_no_such_axis():
    batch, mask = ja.data.pad_to_bucket((np.ones((2, 5)), np.arange(2)), axis=1, padding_value=3)
    assert batch[0].shape == (2, 8)
    assert batch[1].tolist() == [0, 1]
    assert batch[0][:, 5:].tolist() == [[3.0] * 3] * 2
    assert mask.sum() == 5


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: ja.data.pad_sequence([]), ValueError, "received an empty list of sequences"),
        (lambda: ja.data.pad_sequence(3), TypeError, "Expected iterable for input sequences"),
        (
            lambda: ja.data.pad_sequence([1.0]),
            ValueError,
            r"sequences\[0\] has shape \(\)",
        ),
        (lambda: ja.data.pad_sequence(["ab"]), TypeError, r"sequences\[0\] must be an array"),
        (
            lambda: ja.data.pad_sequence([np.ones((2, 3)), np.ones((2, 4))]),
            ValueError,
            r"sequences\[1\] has shape \(2, 4\)",
        ),
        (
            lambda: ja.data.pad_sequence([np.ones(2)], padding_side="top"),
            ValueError,
            "Expected padding_side to be one of left or right, but got top.",
        ),
        (
            lambda: ja.data.pad_sequence([np.ones(5)], length=4),
            ValueError,
            "the longest sequence has 5 elements",
        ),
        (lambda: ja.data.bucket_size(-1), ValueError, "at least 0, got -1"),
        (lambda: ja.data.bucket_size(9, (4, 8)), ValueError, "the largest of sizes is 8"),
        (lambda: ja.data.bucket_size(9, ()), ValueError, "one or more positive integers"),
        (lambda: ja.data.bucket_size(9, (0, 16)), ValueError, "one or more positive integers"),
        (
            lambda: ja.data.pad_to_bucket((np.ones(3), np.ones(4))),
            ValueError,
            r"2 sizes along axis 0, \[3, 4\]",
        ),
        (lambda: ja.data.pad_to_bucket(np.ones(3), axis=1), ValueError, "0 sizes along axis 1"),
        (lambda: ja.data.pad_to_bucket(np.ones(3), axis=-1), ValueError, "axis must be at least 0"),
    ],
)
def test_what_cannot_be_padded_is_said(call, error, match):
    with pytest.raises(error, match=match):
        call()

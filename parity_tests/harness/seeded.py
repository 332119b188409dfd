"""A layer or model of a seed, beside PyTorch's of the same seed."""

import jax.numpy as jnp
import numpy as np
import torch

import jaxaccel as ja
from parity_tests.harness.optimizer import TORCH


def assert_same_drawn(ours, theirs):
    """Assert that a model has PyTorch's names, and every array PyTorch's bits."""
    found, expected = ja.nn.state_dict(ours), theirs.state_dict()
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        # NumPy has no bfloat16 to ask a tensor for.
        same = np.array_equal(
            found[name].reshape(-1).view(np.uint8), tensor.reshape(-1).view(torch.uint8).numpy()
        )
        assert found[name].shape == tuple(tensor.shape), name
        assert same, name


def assert_built_alike(function, oracle, kwargs, dtype, seed):
    """Assert that one seed builds the same layer or model here and in PyTorch."""
    torch.manual_seed(seed)
    theirs = oracle(**kwargs, dtype=TORCH[dtype])
    generator = ja.random.manual_seed(seed)
    ours = function(**kwargs, dtype=jnp.dtype(dtype), rngs=generator)
    assert_same_drawn(ours, theirs)
    assert np.array_equal(generator.get_state(), torch.get_rng_state().numpy())

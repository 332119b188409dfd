"""A file of safetensors goes into a model, whichever of its readers has read it."""

import numpy as np
import pytest
import safetensors.flax
import safetensors.numpy
import safetensors.torch
import torch
from flax import nnx

import jaxaccel as ja

LOADERS = {
    "NumPy": safetensors.numpy.load_file,
    "flax": safetensors.flax.load_file,
    "torch": safetensors.torch.load_file,
}


def model(nn, list_of, dtype, **options):
    """Return a model with a tied weight: a file has it under one name."""
    layers = list_of(
        [
            nn.Embedding(5, 4, dtype=dtype, **options),
            nn.Linear(4, 5, bias=False, dtype=dtype, **options),
            nn.BatchNorm1d(4, dtype=dtype),
        ]
    )
    layers[1].weight = layers[0].weight
    return layers


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_file_goes_into_a_model(dtype, tmp_path):
    theirs = model(torch.nn, torch.nn.ModuleList, getattr(torch, dtype))
    theirs[2].running_mean.uniform_()
    safetensors.torch.save_model(theirs, tmp_path / "model.safetensors")
    for read in LOADERS.values():
        ours = model(ja.nn, nnx.List, dtype, rngs=nnx.Rngs(0))
        ja.nn.load_state_dict(ours, read(tmp_path / "model.safetensors"))
        state = ja.nn.state_dict(ours)
        assert list(state) == list(theirs.state_dict())
        for name, tensor in theirs.state_dict().items():
            assert np.array_equal(np.float64(state[name]), tensor.double().numpy()), name

"""A file of safetensors as PyTorch's own ``save_model`` writes it, read by PyTorch and here."""

import errno
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors
import safetensors.flax
import safetensors.numpy
import safetensors.torch
import torch
from flax import nnx

import jaxaccel as ja
from torch_ref import models as torch_models

write = ja.interop.save_safetensors


def pair(nn, list_of, dtype, is_tied, **options):
    """Return a model of many layouts: kernels with axes behind, groups, buffers, tied weights."""
    layers = list_of(
        [
            nn.Embedding(5, 4, dtype=dtype, **options),
            nn.Conv2d(4, 6, (3, 2), groups=2, dtype=dtype, **options),
            nn.ConvTranspose1d(3, 4, 3, dtype=dtype, **options),
            nn.BatchNorm1d(4, dtype=dtype),
            nn.LSTM(3, 2, 2, dtype=dtype, **options),
            nn.Linear(4, 5, dtype=dtype, **options),
        ]
    )
    if is_tied:
        layers[5].weight = layers[0].weight
    return layers


@pytest.mark.parametrize("is_tied", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
def test_pytorch_reads_what_it_would_have_written(dtype, is_tied, tmp_path):
    theirs = pair(torch.nn, torch.nn.ModuleList, getattr(torch, dtype), is_tied)
    theirs[3].running_mean.uniform_()
    ours = pair(ja.nn, nnx.List, dtype, is_tied, rngs=nnx.Rngs(0))
    ja.nn.load_state_dict(ours, theirs.state_dict())
    path, by_torch = tmp_path / "ours.safetensors", tmp_path / "theirs.safetensors"
    write(ours, path)
    safetensors.torch.save_model(theirs, by_torch)

    # the same names, shapes, dtypes, bits and metadata as in PyTorch's own file
    new, old = safetensors.torch.load_file(path), safetensors.torch.load_file(by_torch)
    assert sorted(new) == sorted(old)
    for name, tensor in old.items():
        assert new[name].dtype == tensor.dtype
        assert torch.equal(new[name], tensor), name
    with safetensors.safe_open(path, "np") as one, safetensors.safe_open(by_torch, "np") as other:
        assert one.metadata() == other.metadata()

    # into PyTorch's model
    model = pair(torch.nn, torch.nn.ModuleList, getattr(torch, dtype), is_tied)
    if is_tied:
        assert safetensors.torch.load_model(model, path) == (set(), [])
    else:
        model.load_state_dict(safetensors.torch.load_file(path))
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor), name

    # and back into ours, by one line
    again = pair(ja.nn, nnx.List, dtype, is_tied, rngs=nnx.Rngs(1))
    ja.nn.load_state_dict(again, safetensors.flax.load_file(path))
    for name, array in ja.nn.state_dict(ours).items():
        np.testing.assert_array_equal(ja.nn.state_dict(again)[name], array)


def test_a_trained_run_is_written(tmp_path):
    """Of a run it is the model that ``merge`` puts the parameters into."""
    model = ja.models.simple_cnn(rngs=ja.random.manual_seed(0))
    _, params, model_state = ja.training.split_model(model)
    state = ja.training.train_state(params, ja.optimizers.sgd(0.1), model_state)
    ja.training.merge(model, jax.tree.map(lambda p: p + 1, state.params), state.model_state)
    write(model, tmp_path / "m.safetensors")
    theirs = torch_models.simple_cnn()
    theirs.load_state_dict(safetensors.torch.load_file(tmp_path / "m.safetensors"))
    for name, array in ja.nn.state_dict(model).items():
        np.testing.assert_array_equal(theirs.state_dict()[name].numpy(), array)


def test_the_layers_of_a_stack_are_all_there(tmp_path):
    """One array holds a weight of every layer, and is not one that layers share."""
    config = ja.models.GPTConfig(vocab_size=7, block_size=4, n_layer=2, n_head=1, n_embd=4)
    model = ja.models.gpt(config, rngs=nnx.Rngs(0), scan_layers=True)
    write(model, tmp_path / "m.safetensors")
    found = safetensors.torch.load_file(tmp_path / "m.safetensors")
    with safetensors.safe_open(tmp_path / "m.safetensors", "np") as file:
        tied = file.metadata()
    arrays = ja.nn.state_dict(model)
    assert {*found} == {*arrays} - {*tied}
    assert len(tied) == 1
    name = "transformer.h.1.attn.c_attn.weight"
    np.testing.assert_array_equal(found[name], arrays[name])


def test_names_of_ones_own_and_metadata(tmp_path):
    path = tmp_path / "m.safetensors"
    shared = jnp.arange(6.0).reshape(2, 3).T
    turned = np.arange(6.0).reshape(2, 3).T
    state = {"b": shared, "a": shared, "n": jnp.int8(3), "t": turned}
    write(state, path, metadata={"format": "pt"})
    with safetensors.safe_open(path, "np") as file:
        assert file.metadata() == {"format": "pt", "b": "a"}
        assert sorted(file.keys()) == ["a", "n", "t"]
        np.testing.assert_array_equal(file.get_tensor("t"), turned)
        np.testing.assert_array_equal(file.get_tensor("a"), np.arange(6.0).reshape(2, 3).T)
        assert file.get_tensor("n").shape == ()


def test_what_cannot_be_written_changes_nothing(tmp_path, monkeypatch):
    path = tmp_path / "m.safetensors"
    write({"a": jnp.ones(2)}, path)
    before = path.read_bytes()
    for state, error, text in (
        ({"a": jnp.ones(2, jnp.complex128)}, TypeError, "complex128.*\n.*cast"),
        ({"a": "text"}, TypeError, "a must be an array of numbers"),
    ):
        with pytest.raises(error, match=text):
            write(state, path)
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(FileNotFoundError, match="no is not a folder; make it first"):
        write({"a": jnp.ones(2)}, tmp_path / "no" / "m.safetensors")

    def full(arrays, new, metadata):
        new.write_bytes(b"a part")
        text = "Error while serializing: I/O error: No space left on device (os error 28)"
        raise safetensors.SafetensorError(text)

    with monkeypatch.context() as patch:
        patch.setattr(safetensors.numpy, "save_file", full)
        with pytest.raises(OSError, match="No space left") as caught:
            write({"a": jnp.zeros(2)}, path)
    assert caught.value.errno == errno.ENOSPC
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "jaxaccel\[interop\]"'):
        write({"a": jnp.ones(2)}, path)

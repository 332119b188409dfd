"""Checkpoints of torchvision's ResNets and Hugging Face's GPT-2: names, layouts and logits."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
import torch
from flax import nnx

import jaxaccel as ja
from parity_tests import tolerances as tol
from parity_tests.harness.compare import assert_close
from parity_tests.harness.compiled import FAST_COMPILE
from parity_tests.harness.torchvision import models
from parity_tests.interop.gpt2_by_transformers import FOLDER, SIZES

CONFIG = ja.models.GPTConfig(
    SIZES["n_positions"], SIZES["vocab_size"], SIZES["n_layer"], SIZES["n_head"], SIZES["n_embd"]
)
FILE = FOLDER / "model.safetensors"


def shapes_of(make):
    """Return a model without numbers, which loading gives it."""
    return nnx.eval_shape(make)


def gpt(**options):
    return shapes_of(lambda: ja.models.gpt(CONFIG, jnp.float64, rngs=nnx.Rngs(0), **options))


def called(model, x):
    """Return a model's outputs, compiled."""
    graph, state = nnx.split(model)
    program = jax.jit(lambda state, x: nnx.merge(graph, state)(x), compiler_options=FAST_COMPILE)
    return program(state, x)


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_torchvisions_resnets_load_by_their_own_names(name):
    torch.manual_seed(0)
    theirs = getattr(models, name)().double().eval()
    for buffer_name, buffer in theirs.named_buffers():
        if buffer.is_floating_point():
            buffer.uniform_(0.5, 1.5) if "var" in buffer_name else buffer.normal_(std=0.1)
    make = getattr(ja.models, name)
    ours = shapes_of(
        lambda: make(num_classes=1000, small_images=False, dtype=jnp.float64, rngs=nnx.Rngs(0))
    )
    ja.nn.load_state_dict(ours, theirs.state_dict())
    ours.eval()
    back = ja.nn.state_dict(ours)
    assert list(back) == list(theirs.state_dict())
    for key, tensor in theirs.state_dict().items():
        assert np.array_equal(back[key], tensor.numpy()), key
    x = np.random.default_rng(0).normal(size=(2, 40, 40, 3))
    with torch.no_grad():
        expected = theirs(torch.from_numpy(np.moveaxis(x, -1, 1).copy()))
    assert_close(called(ours, x), expected, tol.MODEL_FLOAT64_OF_MAX, what="logits")


@pytest.mark.parametrize("options", [{}, {"scan_layers": True}], ids=["layers", "a stack"])
def test_hugging_faces_gpt2_loads_by_its_map(options):
    kept = np.load(FOLDER / "logits.npz")
    checkpoint = safetensors.numpy.load_file(FILE)
    model = gpt(**options)
    found = ja.nn.load_state_dict(model, ja.interop.from_transformers_gpt2(checkpoint))
    assert found == ([], [])
    logits = called(model, kept["tokens"].astype(np.int32))
    assert_close(logits, kept["logits"], tol.MODEL_FLOAT64_OF_MAX, what="logits")


def test_every_form_of_a_gpt2_file_is_one():
    """Names without ``transformer.``, masks of older versions, the head by name, and tensors."""
    checkpoint = safetensors.numpy.load_file(FILE)
    expected = ja.interop.from_transformers_gpt2(checkpoint)
    older = {
        name.removeprefix("transformer."): torch.from_numpy(a) for name, a in checkpoint.items()
    }
    for layer in range(SIZES["n_layer"]):
        older[f"h.{layer}.attn.bias"] = torch.ones(1, 1, 8, 8, dtype=torch.bool)
        older[f"h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
    found = ja.interop.from_transformers_gpt2(older)
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[name], expected[name]) for name in expected)
    head = {**checkpoint, "lm_head.weight": checkpoint["transformer.wte.weight"]}
    ja.nn.load_state_dict(gpt(), ja.interop.from_transformers_gpt2(head))


def test_gpt2_goes_back_to_hugging_face(tmp_path):
    """The same arrays under the same names, in a file with what ``from_pretrained`` asks for."""
    checkpoint = safetensors.numpy.load_file(FILE)
    model = shapes_of(lambda: ja.models.gpt(CONFIG, rngs=nnx.Rngs(0)))
    ja.nn.load_state_dict(model, ja.interop.from_transformers_gpt2(checkpoint))
    for source in (model, ja.nn.state_dict(model)):
        found = ja.interop.to_transformers_gpt2(source)
        assert found.keys() == {*checkpoint, "lm_head.weight"}
        assert all(np.array_equal(found[name], checkpoint[name]) for name in checkpoint)
        assert np.array_equal(found["lm_head.weight"], checkpoint["transformer.wte.weight"])
    path = Path(tmp_path) / "model.safetensors"
    ja.interop.save_safetensors(found, path, metadata={"format": "pt"})
    with safetensors.safe_open(path, "np") as file:
        assert file.metadata()["format"] == "pt"


def test_what_does_not_fit_is_named():
    checkpoint = safetensors.numpy.load_file(FILE)
    renamed = dict(checkpoint)
    renamed["transformer.h.0.ln_1.scale"] = renamed.pop("transformer.h.0.ln_1.weight")
    with pytest.raises(ValueError, match="Missing") as raised:
        ja.nn.load_state_dict(gpt(), ja.interop.from_transformers_gpt2(renamed))
    assert 'Missing key(s) in state_dict: "transformer.h.0.ln_1.weight"' in str(raised.value)
    assert 'Unexpected key(s) in state_dict: "transformer.h.0.ln_1.scale"' in str(raised.value)
    flat = {"h.0.mlp.c_fc.weight": np.zeros(3)}
    with pytest.raises(ValueError, match=r"h\.0\.mlp\.c_fc\.weight of GPT-2 must be a matrix"):
        ja.interop.from_transformers_gpt2(flat)
    both = {"wte.weight": np.zeros((2, 2)), "transformer.wte.weight": np.zeros((2, 2))}
    with pytest.raises(ValueError, match=r"two arrays are 'transformer\.wte\.weight'"):
        ja.interop.from_transformers_gpt2(both)

"""Whole models under autocast, beside the same models under ``torch.autocast("cpu")``."""

import copy

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

import jaxaccel as ja
import torch_ref
from parity_tests import tolerances as tol
from parity_tests.harness.compiled import QUICK_COMPILE

EXACT = {**QUICK_COMPILE, "xla_allow_excess_precision": False}
"""What rounds where the program says so."""

GPT = ja.models.GPTConfig(16, 32, 2, 2, 16)
VIT = {"in_channels": 2, "image_size": 8, "patch_size": 4, "width": 16, "depth": 2, "heads": 2}


class UNet(nnx.Module):
    """Down, up, and a skip between: joined, added, upsampled."""

    def __init__(self, rngs):
        self.down = ja.nn.Conv2d(3, 8, 3, padding=1, rngs=rngs)
        self.norm = ja.nn.GroupNorm(2, 8)
        self.low = ja.nn.Conv2d(8, 8, 3, padding=1, rngs=rngs)
        self.up = ja.nn.ConvTranspose2d(8, 8, 2, stride=2, rngs=rngs)
        self.last = ja.nn.Conv2d(16, 10, 1, rngs=rngs)

    def __call__(self, x):
        skip = ja.functional.silu(self.norm(self.down(x)))
        low = ja.functional.relu(self.low(ja.functional.max_pool2d(skip, 2)))
        again = ja.functional.interpolate(low, scale_factor=2.0, mode="nearest")
        joined = jnp.concatenate([self.up(low) + again, skip], -1)
        return jnp.mean(self.last(joined), (1, 2))


class TorchUNet(torch.nn.Module):
    """The same in PyTorch."""

    def __init__(self):
        super().__init__()
        self.down = torch.nn.Conv2d(3, 8, 3, padding=1)
        self.norm = torch.nn.GroupNorm(2, 8)
        self.low = torch.nn.Conv2d(8, 8, 3, padding=1)
        self.up = torch.nn.ConvTranspose2d(8, 8, 2, stride=2)
        self.last = torch.nn.Conv2d(16, 10, 1)

    def forward(self, x):
        skip = torch.nn.functional.silu(self.norm(self.down(x)))
        low = torch.relu(self.low(torch.nn.functional.max_pool2d(skip, 2)))
        again = torch.nn.functional.interpolate(low, scale_factor=2.0, mode="nearest")
        joined = torch.cat([self.up(low) + again, skip], 1)
        return self.last(joined).mean((2, 3))


MODELS = {
    "resnet10": (
        lambda rngs: ja.models.resnet10(width=4, rngs=rngs),
        lambda: torch_ref.models.resnet10(width=4),
        (8, 3, 8, 8),
    ),
    "lstm": (
        lambda rngs: ja.models.lstm_classifier(6, 16, rngs=rngs),
        lambda: torch_ref.models.lstm_classifier(6, 16),
        (8, 5, 6),
    ),
    "gpt": (
        lambda rngs: ja.models.gpt(GPT, rngs=rngs),
        lambda: torch_ref.models.gpt(GPT),
        (4, 12),
    ),
    "vit": (
        lambda rngs: ja.models.vit_tiny(**VIT, rngs=rngs),
        lambda: torch_ref.models.vit_tiny(**VIT),
        (8, 2, 8, 8),
    ),
    "unet": (lambda rngs: UNet(rngs), TorchUNet, (4, 3, 8, 8)),
}


def _batch(shape):
    rng = np.random.default_rng(0)
    if len(shape) == 2:
        return rng.integers(0, 32, shape), rng.integers(0, 32, shape)
    return rng.normal(size=shape).astype(np.float32), rng.integers(0, 10, shape[:1])


def _theirs(model, batch, dtype):
    """Return PyTorch's logits, loss and gradients, under autocast unless in double precision."""
    model, (x, labels) = copy.deepcopy(model), map(torch.tensor, batch)
    if dtype == torch.float64:
        model = model.double()
        x = x.double() if x.is_floating_point() else x
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float64):
        logits = model(x)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, -2), labels.flatten())
    loss.backward()
    return logits, loss, {name: p.grad.double().numpy() for name, p in model.named_parameters()}


def _ours(model, batch, dtype, options):
    """Return the same of ours."""
    apply, params, model_state = ja.training.split_model(model)
    x, labels = batch
    x = np.moveaxis(x, 1, -1) if x.ndim == 4 else x

    def loss_fn(params, x, labels):
        logits, _ = apply(params, model_state, x, training=True)
        return ja.functional.cross_entropy(logits, labels), logits

    step = jax.value_and_grad(ja.precision.autocast(loss_fn, "cpu", dtype), has_aux=True)
    (loss, logits), gradients = jax.jit(step, compiler_options=options)(params, x, labels)
    named = nnx.clone(model)
    nnx.update(named, gradients)
    return logits, loss, {name: np.float64(g) for name, g in ja.nn.state_dict(named).items()}


def _distance(a, b):
    """Return the 2-norm over all gradients of the difference, as a share of ``b``'s."""
    squares = [(np.sum((a[name] - b[name]) ** 2), np.sum(b[name] ** 2)) for name in b]
    return np.sqrt(sum(s for s, _ in squares) / sum(s for _, s in squares))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_model_is_as_good_as_pytorchs_under_autocast(name, dtype):
    make, make_theirs, shape = MODELS[name]
    torch.manual_seed(0)
    theirs, model, batch = make_theirs(), make(nnx.Rngs(0)), _batch(shape)
    ja.nn.load_state_dict(model, theirs.state_dict())
    judge = _theirs(theirs, batch, torch.float64)
    logits, loss, gradients = _theirs(theirs, batch, getattr(torch, dtype))
    own = _distance(gradients, judge[2])
    for options in (QUICK_COMPILE, EXACT) if dtype == "bfloat16" else (EXACT,):
        our_logits, our_loss, ours = _ours(model, batch, getattr(jnp, dtype), options)
        assert str(our_logits.dtype) == str(logits.dtype).removeprefix("torch.")
        assert str(our_loss.dtype) == str(loss.dtype).removeprefix("torch.")
        error, apart = _distance(ours, judge[2]), _distance(ours, gradients)
        print(f"{name} {dtype} {own:.5f} {error:.5f} {apart:.5f}")
        assert error <= tol.OWN_ERROR_RATIO * own
        if options is EXACT:
            assert apart <= tol.OWN_ERROR_RATIO * own

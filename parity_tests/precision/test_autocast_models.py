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
from parity_tests.harness.compiled import FAST_COMPILE, QUICK_COMPILE

EXACT = {**FAST_COMPILE, "xla_allow_excess_precision": False}
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


BATCHES = dict.fromkeys(MODELS, 16) | {"unet": 64}
"""How many batches' errors count together. Where one rectifier or maximum falls on the other side,
an error is many times as large as without, on whichever side it happens: of the single batches of
the U-Net in bfloat16 the ratio to PyTorch's error is .1 to 11, of four pools of 16 it is .8 to 1.3.
Numbers and seeds were fixed before any of these batches was computed."""

FIRST_SEED = 1000


def _batch(shape, seed):
    rng = np.random.default_rng(seed)
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


def _ours(model, dtype, options):
    """Return a compiled function of a batch that returns the same of ours."""
    apply, params, model_state = ja.training.split_model(model)

    def loss_fn(params, x, labels):
        logits, _ = apply(params, model_state, x, training=True)
        return ja.functional.cross_entropy(logits, labels), logits

    step = jax.value_and_grad(ja.precision.autocast(loss_fn, "cpu", dtype), has_aux=True)
    step = jax.jit(step, compiler_options=options)

    def run(batch):
        x, labels = batch
        x = np.moveaxis(x, 1, -1) if x.ndim == 4 else x
        (loss, logits), gradients = step(params, x, labels)
        named = nnx.clone(model)
        nnx.update(named, gradients)
        return logits, loss, {name: np.float64(g) for name, g in ja.nn.state_dict(named).items()}

    return run


def _distance(pairs):
    """Return the 2-norm of the differences of all gradients, as a share of the second ones'."""
    every = [(a[name] - b[name], b[name]) for a, b in pairs for name in b]
    return np.sqrt(sum(np.sum(d**2) for d, _ in every) / sum(np.sum(b**2) for _, b in every))


NOT_IN_PYTORCH = ("lstm", "float16")


@pytest.mark.parametrize(
    ("name", "dtype"),
    [(n, d) for d in ("bfloat16", "float16") for n in MODELS if (n, d) != NOT_IN_PYTORCH],
)
def test_model_is_as_good_as_pytorchs_under_autocast(name, dtype):
    """Exactly rounded both are the same but for noise; as compiled by default ours is no worse."""
    make, make_theirs, shape = MODELS[name]
    torch.manual_seed(0)
    theirs, model = make_theirs(), make(nnx.Rngs(0))
    ja.nn.load_state_dict(model, theirs.state_dict())
    batches = [_batch(shape, FIRST_SEED + index) for index in range(BATCHES[name])]
    judges = [_theirs(theirs, batch, torch.float64)[2] for batch in batches]
    found = [_theirs(theirs, batch, getattr(torch, dtype)) for batch in batches]
    own = _distance([(each[2], judge) for each, judge in zip(found, judges, strict=True)])
    for options in (QUICK_COMPILE, EXACT) if dtype == "bfloat16" else (EXACT,):
        run = _ours(model, getattr(jnp, dtype), options)
        ours = [run(batch) for batch in batches]
        for (logits, loss, _), (their_logits, their_loss, _) in zip(ours, found, strict=True):
            assert f"torch.{logits.dtype}" == str(their_logits.dtype)
            assert f"torch.{loss.dtype}" == str(their_loss.dtype)
        error = _distance([(each[2], judge) for each, judge in zip(ours, judges, strict=True)])
        apart = _distance([(a[2], b[2]) for a, b in zip(ours, found, strict=True)])
        print(f"{name} {dtype} {own:.5f} {error:.5f} {apart:.5f}")
        assert error <= tol.OWN_ERROR_RATIO * own
        if options is EXACT:
            assert apart <= tol.OWN_ERROR_RATIO * own


def test_pytorch_has_no_lstm_in_float16_on_cpus():
    """The one that cannot be compared; when it can, its row is to come back."""
    theirs = torch_ref.models.lstm_classifier(6, 16)
    with pytest.raises(RuntimeError):
        _theirs(theirs, _batch((8, 5, 6), 0), torch.float16)

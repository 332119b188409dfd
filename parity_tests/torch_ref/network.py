"""One small network in both packages: its loss, and a training loop in each."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch

from parity_tests import tolerances as tol
from parity_tests.harness.compiled import FAST_COMPILE

STEPS = 30


def weights():
    """Return {name: array}: a convolution's kernel, two matrices and biases, in PyTorch's order."""
    rng = np.random.default_rng(0)
    shapes = {"conv": (4, 2, 3, 3), "shift": (4,), "kernel": (5, 16), "bias": (5,), "last": (1, 5)}
    return {name: 0.5 * rng.normal(size=shape) for name, shape in shapes.items()}


def batches():
    """Return (inputs, targets) of every step."""
    rng = np.random.default_rng(1)
    return [(rng.normal(size=(8, 2, 4, 4)), rng.normal(size=(8, 1))) for _ in range(STEPS)]


def loss_fn(params, batch, convolve, xp):
    """Return the mean square error of the network."""
    x, y = batch
    hidden = xp.tanh(convolve(x, params["conv"]) + params["shift"][None, :, None, None])
    hidden = hidden.reshape(len(x), -1)
    hidden = xp.tanh(hidden @ params["kernel"].T + params["bias"][None])
    return xp.mean((hidden @ params["last"].T - y) ** 2)


def torch_loss(params, batch):
    """Return the loss of PyTorch's parameters."""
    batch = [torch.as_tensor(part) for part in batch]
    return loss_fn(params, batch, torch.nn.functional.conv2d, torch)


def jax_loss(params, batch):
    """Return the loss of JAX' parameters, in PyTorch's layout."""

    def convolve(x, kernel):
        return jax.lax.conv(x, kernel, (1, 1), "VALID")

    return loss_fn(params, batch, convolve, jnp)


def torch_parameters():
    """Return fresh parameters in PyTorch."""
    return {name: torch.nn.Parameter(torch.tensor(w)) for name, w in weights().items()}


def train_torch(optimizer, params, *, steps=range(STEPS), scheduler=None, extra=lambda batch: {}):
    """Run PyTorch's loop; return the parameters after every step."""
    moved = []
    for batch in [batches()[step] for step in steps]:
        optimizer.zero_grad()
        torch_loss(params, batch).backward()
        optimizer.step(**extra(batch))
        if scheduler is not None:
            scheduler.step()
        moved.append({name: p.detach().numpy().copy() for name, p in params.items()})
    return moved


def train_jax(tx, extra=lambda params, batch: {}):
    """Run jaxaccel's transformation as one compiled scan; return the parameters by step."""
    inputs, targets = (jnp.asarray(np.stack(part)) for part in zip(*batches(), strict=True))

    def step(carry, batch):
        params, state = carry
        grads = jax.grad(jax_loss)(params, batch)
        updates, state = tx.update(grads, state, params, **extra(params, batch))
        params = optax.apply_updates(params, updates)
        return (params, state), params

    start = {name: jnp.asarray(w) for name, w in weights().items()}
    run = jax.jit(lambda: jax.lax.scan(step, (start, tx.init(start)), (inputs, targets))[1])
    moved = run.lower().compile(compiler_options=FAST_COMPILE)()
    return [{name: np.asarray(p[t]) for name, p in moved.items()} for t in range(STEPS)]


def assert_same_path(found, expected):
    """Assert equal parameters after every step, but for the roundings of two libraries."""
    for t, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
        for name, p in theirs.items():
            error = np.max(np.abs(ours[name] - p))
            allowed = (t + 1) * tol.LAYER_FLOAT64_OF_MAX * np.max(np.abs(p))
            assert error <= allowed, f"{name} after step {t + 1}: {error:.1e} > {allowed:.1e}"


def assert_bit_equal(found, expected):
    """Assert the same parameters after every step, to the bit."""
    for ours, theirs in zip(found, expected, strict=True):
        for name, p in theirs.items():
            assert np.array_equal(ours[name], p), name

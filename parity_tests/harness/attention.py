"""What the tests of attention share: masks, inputs, PyTorch's outputs, gradients and errors."""

import re

import numpy as np
import pytest
import torch

from parity_tests.harness.errors import raised_by


def mask_of(kind, shape, rng):
    """Return a mask: floating numbers are added, of a boolean one a layer hides what is True."""
    hide = rng.random(shape) < 0.4
    hide[..., 0] = False
    if kind == "causal":
        return ~np.tri(*shape, dtype=bool)
    if kind.startswith("hidden"):
        hide[..., 1, :] = True
    if kind.endswith("float"):
        return np.where(hide, -np.inf if kind.startswith("hidden") else 0.0, rng.normal(size=shape))
    return hide


def inputs_of(case, dtype):
    """Return a row's arrays and masks in float64, as a run in ``dtype`` has them."""
    rng = np.random.default_rng(1)
    arrays = [rng.normal(size=shape).astype(dtype) for shape in case.options["shapes"]]
    masks = {
        name: mask_of(kind, shape, rng)
        for name, (kind, shape) in case.options.get("masks", {}).items()
    }
    masks = {k: m.astype(dtype) if m.dtype != bool else m for k, m in masks.items()}
    return arrays, masks


def run_torch(call, params, arrays, masks, cotangents):
    """Return PyTorch's outputs, and gradients of parameters, arrays and floating masks."""
    moving = [torch.tensor(a).double().requires_grad_() for a in arrays]
    masks = {k: torch.tensor(m) for k, m in masks.items()}
    masks = {
        k: m if m.dtype == torch.bool else m.double().requires_grad_() for k, m in masks.items()
    }
    outputs = call(moving, masks)
    cotangents = [c.astype(np.float64) for c in cotangents(outputs)]
    floating = {k: m for k, m in masks.items() if m.requires_grad}
    gradients = torch.autograd.grad(
        outputs,
        [*params.values(), *moving, *floating.values()],
        [torch.tensor(c) for c in cotangents],
        allow_unused=True,
    )
    names = [*params, *range(len(moving)), *floating]
    found = {
        name: None if gradient is None else gradient.numpy()
        for name, gradient in zip(names, gradients, strict=True)
    }
    return [output.detach().numpy() for output in outputs], found


def cotangents_of(dtype):
    """Return a function of outputs that draws what is multiplied with the Jacobian."""

    def draw(outputs):
        rng = np.random.default_rng(2)
        return [rng.normal(size=tuple(output.shape)).astype(dtype) for output in outputs]

    return draw


def assert_same_text(call, ours, theirs, length=None):
    """Assert that ``call`` of our side raises PyTorch's text, or its first so many letters."""
    with pytest.raises((RuntimeError, ValueError, TypeError, AssertionError)) as raised:
        call(theirs)
    expected = re.sub(r"torch\.Size\(\[(.*?)\]\)", r"(\1)", str(raised.value))
    assert raised_by(lambda: call(ours))[1][:length] == expected[:length]

"""ASGD: gradient descent with a falling step size, and the average of where it has been."""

import torch

from torch_ref._math import is_zero


def _update_leaf(param, grad, ax, *, eta, mu, lambd, weight_decay, maximize):
    """Return the update of one tensor and its new average."""
    grad = -grad if maximize else grad
    if not is_zero(weight_decay):
        grad = grad + weight_decay * param

    update = -eta * (grad + lambd * param)
    moved = param + update
    ax = moved if mu == 1 else ax + mu * (moved - ax)
    return update, ax


def _next_eta(step, lr, lambd, alpha):
    """Return the learning rate of the next step."""
    return torch.as_tensor(lr / (1 + lambd * lr * step) ** alpha, dtype=torch.float32)


def _next_mu(step, t0):
    """Return the weight of the next parameters in the average."""
    return torch.as_tensor(1 / max(step - t0, 1), dtype=torch.float32)

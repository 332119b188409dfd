"""Muon: a step along the momentum's nearest orthogonal matrix, for matrices only."""

from torch_ref._math import ema, is_zero, newton_schulz


def _update_leaf(
    param, grad, momentum_buffer, lr_ratio, *,
    lr, weight_decay, momentum, nesterov, ns_coefficients, eps, ns_steps,
):  # fmt: skip
    """Return the update of one matrix and its new momentum buffer."""
    momentum_buffer = ema(momentum_buffer, grad, momentum)
    direction = ema(momentum_buffer, grad, momentum) if nesterov else momentum_buffer
    orthogonal = newton_schulz(direction, ns_coefficients, ns_steps, eps)

    update = -(lr * lr_ratio) * orthogonal
    if not is_zero(weight_decay):
        update = update - lr * weight_decay * param
    return update, momentum_buffer, lr_ratio

"""SGD: a step along the gradient, with momentum, dampening and Nesterov's look ahead."""

from torch_ref._math import is_zero


def _update_leaf(
    param, grad, momentum_buffer, step, *,
    lr, momentum, dampening, weight_decay, nesterov, maximize,
):  # fmt: skip
    """Return the update of one tensor and its new momentum buffer."""
    grad = -grad if maximize else grad
    if not is_zero(weight_decay):
        grad = grad + weight_decay * param
    if momentum_buffer is None:
        return -lr * grad, None

    damped = momentum * momentum_buffer + (1 - dampening) * grad
    momentum_buffer = grad if step == 1 else damped
    direction = grad + momentum * momentum_buffer if nesterov else momentum_buffer
    return -lr * direction, momentum_buffer

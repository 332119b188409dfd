"""NAdam: Adam with Nesterov's look ahead, and a momentum that warms up."""

import torch

from torch_ref._math import bias_correction, ema, ema_of_square, is_zero


def _momentum(mu_product, step, *, beta1, momentum_decay):
    """Return the new product, and the shares of gradient and first moment in the step."""

    def coefficient(t):
        return beta1 * (1 - 0.5 * 0.96 ** (t * momentum_decay))

    mu, mu_next = coefficient(step), coefficient(step + 1)
    mu_product = mu_product * torch.as_tensor(mu, dtype=torch.float32)
    product = mu_product.item()
    grad_share = (1 - mu) / (1 - product)
    exp_avg_share = mu_next / (1 - product * mu_next)
    return mu_product, grad_share, exp_avg_share


def _update_leaf(
    param, grad, exp_avg, exp_avg_sq, step, *,
    lr, beta1, beta2, eps, weight_decay, grad_share, exp_avg_share,
    maximize, decoupled_weight_decay,
):  # fmt: skip
    """Return the update of one tensor and its new moments."""
    grad = -grad if maximize else grad
    if not is_zero(weight_decay) and not decoupled_weight_decay:
        grad = grad + weight_decay * param

    exp_avg = ema(exp_avg, grad, beta1)
    exp_avg_sq = ema_of_square(exp_avg_sq, grad, beta2)
    denom = torch.sqrt(exp_avg_sq) / bias_correction(beta2, step) ** 0.5 + eps
    update = -lr * ((grad_share * grad + exp_avg_share * exp_avg) / denom)
    if not is_zero(weight_decay) and decoupled_weight_decay:
        update = update - lr * weight_decay * param
    return update, exp_avg, exp_avg_sq

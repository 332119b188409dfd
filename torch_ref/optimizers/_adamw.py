"""AdamW: Adam whose weight decay shrinks the parameters and leaves the gradient alone."""

from torch_ref.optimizers._adam import adam


def adamw(
    lr=1e-3,
    betas=(0.9, 0.999),
    eps=1e-8,
    weight_decay=1e-2,
    amsgrad=False,
    *,
    maximize=False,
):
    """Adam with decoupled weight decay, as in PyTorch."""
    return adam(
        lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled_weight_decay=True
    )

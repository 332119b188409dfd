"""Losses of ``torch.nn.functional`` as pure functions; classes last."""

from jaxaccel.losses._binary_cross_entropy_with_logits import binary_cross_entropy_with_logits
from jaxaccel.losses._cross_entropy import cross_entropy
from jaxaccel.losses._huber_loss import huber_loss
from jaxaccel.losses._kl_div import kl_div
from jaxaccel.losses._l1_loss import l1_loss
from jaxaccel.losses._mse_loss import mse_loss
from jaxaccel.losses._nll_loss import nll_loss
from jaxaccel.losses._smooth_l1_loss import smooth_l1_loss

__all__ = [
    "cross_entropy",
    "nll_loss",
    "binary_cross_entropy_with_logits",
    "kl_div",
    "mse_loss",
    "l1_loss",
    "smooth_l1_loss",
    "huber_loss",
]

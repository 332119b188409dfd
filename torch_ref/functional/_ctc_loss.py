"""The loss of sequences without alignment: connectionist temporal classification."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from torch_ref._math import compute_dtype
from torch_ref.functional._ctc_alignments import log_likelihood
from torch_ref.functional._reduction import reduced


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Tensor | Sequence[int],
    target_lengths: Tensor | Sequence[int],
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """Return the negative log-likelihood of label sequences, over all their alignments."""
    wide = log_probs.to(compute_dtype(log_probs.dtype))
    wide = wide if wide.ndim == 3 else wide[:, None]
    lengths, of_targets = (torch.as_tensor(n).reshape(-1) for n in (input_lengths, target_lengths))
    labels = _labels(targets, of_targets, wide.shape[1])
    loss = _losses(wide, labels, lengths, of_targets, blank, zero_infinity)
    if reduction == "mean":
        loss = loss / of_targets.clamp_min(1).to(loss.dtype)
    loss = loss if log_probs.ndim == 3 or reduction != "none" else loss[0]
    return reduced(loss, reduction).to(log_probs.dtype)


def _losses(
    log_probs: Tensor,
    labels: Tensor,
    lengths: Tensor,
    of_targets: Tensor,
    blank: int,
    zero_infinity: bool,
) -> Tensor:
    """Return the loss of each sequence, with PyTorch's gradient."""
    steps, _, _ = log_probs.shape
    loss = -log_likelihood(log_probs, labels, lengths, of_targets, blank)
    # Added to the gradient of the loss, the probabilities make it that of the logits.
    inside = (torch.arange(steps)[:, None] < lengths[None])[:, :, None]
    total = torch.sum(
        torch.where(inside, torch.exp(log_probs), torch.zeros_like(log_probs)), (0, 2)
    )
    if not zero_infinity:
        total = total * torch.where(torch.isinf(loss), torch.nan, torch.ones_like(loss))
    loss = _WithGradientOf.apply(loss + total, loss.detach())
    if zero_infinity:
        loss = torch.where(torch.isinf(loss), torch.zeros_like(loss), loss)
    return loss


class _WithGradientOf(torch.autograd.Function):
    """A value with the derivative of another one."""

    @staticmethod
    def forward(ctx, carrier, value):
        return value.clone()

    @staticmethod
    def backward(ctx, *grad_outputs):
        return *grad_outputs, None


def _labels(targets: Tensor, lengths: Tensor, batch: int) -> Tensor:
    """Return targets as (N, S), whichever way they are given."""
    if targets.ndim == 2:
        return targets
    starts = torch.cumsum(lengths, 0) - lengths
    place = starts[:, None] + torch.arange(int(lengths.max()))[None]
    return torch.cat([targets, targets.new_zeros(1)])[place.clamp(max=len(targets))]

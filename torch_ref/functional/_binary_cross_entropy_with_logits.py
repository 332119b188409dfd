"""The cross entropy of independent yes and no decisions."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from torch_ref.functional._reduction import as_pair, reduced, result_dtype, times


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """Return the cross entropy between probabilities and sigmoids of the input."""
    x, y = as_pair(input, target)
    positive = F.logsigmoid(x)
    if pos_weight is not None:
        # p y + (1 - y), the weight of both logarithms in what follows.
        positive = positive * (times(y, pos_weight.to(y.dtype) - 1) + 1)
    loss = (1 - y) * x - positive
    loss = loss if weight is None else times(loss, weight)
    return reduced(loss, reduction).to(result_dtype(input, target, weight, pos_weight))

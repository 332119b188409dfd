"""The loss of a wrong order."""

from __future__ import annotations

from torch import Tensor

from torch_ref.functional._reduction import at_least_zero, in_one_shape, reduced, result_dtype


def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    reduction: str = "mean",
) -> Tensor:
    """Return by how much two scores are in the wrong order."""
    a, b, y = in_one_shape(input1, input2, target)
    loss = at_least_zero(-y * (a - b) + margin)
    return reduced(loss, reduction).to(result_dtype(input1, input2, target))

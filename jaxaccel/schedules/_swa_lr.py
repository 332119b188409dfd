"""SWALR."""

from __future__ import annotations

from typing import Any, Literal

from jaxaccel._call_repr import shows_call
from jaxaccel._checked import checked_after
from jaxaccel._types import Count, Scalar, Schedule
from jaxaccel.schedules._anneal import anneal
from jaxaccel.schedules._inputs import any_traced, given_lr, given_number, plain
from jaxaccel.schedules._schedule import Curve, Group, Next, Scheduler, Start, make_schedule


@shows_call
@checked_after
def swa_lr(
    lr: Scalar,
    swa_lr: Scalar,
    anneal_epochs: Count = 10,
    anneal_strategy: Literal["cos", "linear"] = "cos",
) -> Schedule:
    r"""Anneal the learning rate to a fixed one, for averaging weights there.

    .. math::
        \eta_k = \alpha_k\, \eta_{\text{swa}} + (1 - \alpha_k)\, \eta, \qquad
        \alpha_k = \tfrac{1}{2} (1 - \cos \pi t_k) \text{ or } t_k, \quad
        t_k = \min(1, k / n)

    As a later member of ``sequential_lr`` it starts from the learning rate that it finds.

    Args:
        lr: The optimizer's learning rate :math:`\eta`, at least 0.
        swa_lr: The learning rate :math:`\eta_{\text{swa}}` that is reached and kept.
        anneal_epochs: The number of steps :math:`n` to it, an int of at least 0; with 0 it is
            there at once.
        anneal_strategy: ``"cos"`` or ``"linear"``.

    Returns:
        A schedule ``step -> learning rate``: a Python int gives a float, a NumPy array float64
        values of its shape, a JAX array values of its shape in JAX's default float.

    Raises:
        ValueError: An argument is out of its range.
        TypeError: A learning rate is not a number.

    PyTorch:
        ``torch.optim.swa_utils.SWALR``, equal at every step. A loop that steps SWALR in the place
        of another scheduler from some step on is ``sequential_lr([other, swa_lr(...)], [step])``
        but for one step: SequentialLR spends that of the milestone on SWALR's own step 0, at which
        the learning rate stays. Left out: ``last_epoch``, and lists (one schedule a group).

    Example:
        >>> import jaxaccel as ja
        >>> schedule = ja.schedules.swa_lr(0.4, swa_lr=0.2, anneal_epochs=4)
        >>> [round(schedule(k), 4) for k in range(6)]
        [0.4, 0.3707, 0.3, 0.2293, 0.2, 0.2]

    References:
        Izmailov, Podoprikhin, Garipov, Vetrov, Wilson. Averaging Weights Leads to Wider Optima and
        Better Generalization. 2018. https://arxiv.org/abs/1803.05407
    """
    lr = given_lr(lr)
    swa_lr = given_number("swa_lr", swa_lr)
    if anneal_strategy not in ("cos", "linear"):
        raise ValueError(
            f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}"
        )
    anneal_epochs = plain(anneal_epochs)
    if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
        raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")

    def between(xp: Any, first: Any, last: Any, k: Any) -> Any:
        if anneal_epochs == 0:
            return xp.full(k.shape, last)
        done = xp.clip(k, 0, anneal_epochs)
        left = (anneal_epochs - done).astype(float) / anneal_epochs
        return anneal(xp, anneal_strategy, first, last, done.astype(float) / anneal_epochs, left)

    def values(start: Start) -> Curve:
        return lambda xp, k: between(xp, start.lr, start.group.swa_lr, k)

    def next_lr(start: Start) -> Next:
        target = start.group.swa_lr

        def step(xp: Any, k: Any, lr: Any) -> Any:
            # PyTorch recovers the lr at the start from the one it finds, and anneals from there.
            share = between(xp, 1.0, 0.0, k - 1)
            arrived = (share == 0.0) | (anneal_epochs == 0)
            first = xp.where(arrived, target, lr - (1.0 - share) * target)
            first = first / xp.where(arrived, 1.0, share)
            return between(xp, first, target, k)

        return step

    return make_schedule(
        Scheduler(
            lr,
            values,
            next_lr,
            "affine",
            writes=Group(swa_lr=swa_lr),
            goes_on=True,
            counts_calls=True,
            is_traced=any_traced(lr, swa_lr),
        )
    )

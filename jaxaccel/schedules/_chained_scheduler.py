"""ChainedScheduler."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxaccel._call_repr import shows_call
from jaxaccel._checked import checked_after
from jaxaccel._types import Count, Schedule
from jaxaccel.schedules._combine import InChain, Node, members_of, shared_lr, starts_of
from jaxaccel.schedules._inputs import known_total_steps
from jaxaccel.schedules._recursion import recursive_curve
from jaxaccel.schedules._schedule import Curve, Scheduler, joint_schedule


@shows_call
@checked_after
def chained_scheduler(schedulers: Sequence[Any], *, total_steps: Count | None = None) -> Schedule:
    r"""Let several schedules change the learning rate in turns, all of them at every step.

    .. math::
        \eta_k = f_m(k, \dots f_2(k, f_1(k, \eta_{k-1})))

    Where every step :math:`f_i` multiplies, that is the product of the schedules, and where one
    of them sets the learning rate, what came before it does not count: these have a closed form.
    A cosine among others is neither (``cosine_annealing_lr`` adds, past its end or with an
    ``eta_min``): a known step then runs the recursion, in double precision, and a traced one reads
    a table of the first ``total_steps`` values. A table of more than 64 kB becomes polynomials of
    its pieces, within 1e-6 of each value (5e-13 with x64), where they take less.

    Args:
        schedulers: The schedules, at least one, in the order of their construction. Those that
            take a learning rate must be given the same one: in PyTorch they share an optimizer.
        total_steps: The number of steps of the training, which traced steps need when there is no
            closed form; beyond it they hold the last value. Otherwise it is not read.

    Returns:
        A schedule ``step -> learning rate``: a Python int gives a float, a NumPy array float64
        values of its shape, a JAX array values of its shape in JAX's default float.

    Raises:
        ValueError: No schedule is given, the members' learning rates differ, or a traced step met
            no ``total_steps``.
        TypeError: A member is not callable, or a number is traced where there is no closed form.

    PyTorch:
        ``torch.optim.lr_scheduler.ChainedScheduler`` of schedulers that were constructed in the
        order of the list, equal at every step, with their side effects (a OneCycleLR replaces the
        optimizer's learning rate for itself and for those constructed after it). Plain callables
        set the learning rate. ``total_steps`` is new.

    Example:
        >>> import jaxaccel as ja
        >>> warmup = ja.schedules.constant_lr(0.8, factor=0.5, total_iters=2)
        >>> decay = ja.schedules.exponential_lr(0.8, gamma=0.5)
        >>> schedule = ja.schedules.chained_scheduler([warmup, decay])
        >>> [round(schedule(k), 4) for k in range(4)]
        [0.4, 0.2, 0.2, 0.1]
    """
    members = members_of("ChainedScheduler", schedulers)
    if not members:
        raise ValueError(
            "ChainedScheduler expects at least one scheduler to be chained, but got no scheduler."
        )
    lr = shared_lr("ChainedScheduler", members)
    total_steps = known_total_steps(total_steps)
    node = InChain(_flat(members))
    curve = _closed_form(node.members, lr)
    if curve is None:
        curve = recursive_curve("chained_scheduler", node, lr, total_steps)
    return joint_schedule(curve, node)


def _flat(members: Sequence[Node]) -> tuple[Node, ...]:
    """Return the members with those of inner chains in their place: they step in that order."""
    inner = [_flat(each.members) if isinstance(each, InChain) else (each,) for each in members]
    return tuple(member for group in inner for member in group)


def _closed_form(members: Sequence[Node], lr: Any) -> Curve | None:
    """Return the curve of a chain of pure factors, behind one that sets the lr or behind none."""
    leaves = [member for member in members if isinstance(member, Scheduler)]
    absolute = [index for index, leaf in enumerate(leaves) if leaf.kind == "absolute"]
    factors = leaves[absolute[-1] + 1 :] if absolute else leaves
    alone = len(leaves) == 1
    if len(leaves) < len(members) or not (alone or all(f.kind == "factor" for f in factors)):
        return None
    starts = starts_of(leaves, lr)
    first = absolute[-1] if absolute else 0

    def constructed(xp: Any, k: Any) -> Any:
        value = leaves[first].values(starts[first]._replace(lr=lr))(xp, k)
        for leaf, start in zip(leaves[first + 1 :], starts[first + 1 :], strict=True):
            value = leaf.values(start._replace(lr=value))(xp, k)
        return value

    def stepped(xp: Any, k: Any) -> Any:
        value = leaves[first].values(starts[first])(xp, k)
        for leaf, start in zip(leaves[first + 1 :], starts[first + 1 :], strict=True):
            value = leaf.next(start)(xp, k, value)
        return value

    def curve(xp: Any, k: Any) -> Any:
        if xp is np:
            for leaf, start in zip(leaves[:first], starts[:first], strict=True):
                if leaf.last_step < math.inf:
                    leaf.values(start)(np, k)  # raises, though its value does not count
            if not k.any():
                return constructed(np, k)
        later = stepped(xp, xp.maximum(k, 1))
        return xp.where(k == 0, constructed(xp, xp.zeros_like(k)), later)

    return curve if absolute else constructed

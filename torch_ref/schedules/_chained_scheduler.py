"""ChainedScheduler."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch_ref.schedules._combine import InChain, Node, members_of, shared_lr, starts_of
from torch_ref.schedules._inputs import known_total_steps
from torch_ref.schedules._recursion import recursive_curve
from torch_ref.schedules._schedule import Curve, Schedule, Scheduler, joint_schedule


def chained_scheduler(
    schedulers: Sequence[Schedule], *, total_steps: int | None = None
) -> Schedule:
    """Let several schedules change the learning rate in turns, all of them at every step."""
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


def _closed_form(members: Sequence[Node], lr: float | None) -> Curve | None:
    """Return the curve of a chain of pure factors, behind one that sets the lr or behind none."""
    leaves = [member for member in members if isinstance(member, Scheduler)]
    absolute = [index for index, leaf in enumerate(leaves) if leaf.kind == "absolute"]
    factors = leaves[absolute[-1] + 1 :] if absolute else leaves
    alone = len(leaves) == 1
    if len(leaves) < len(members) or not (alone or all(f.kind == "factor" for f in factors)):
        return None
    starts = starts_of(leaves, lr)
    first = absolute[-1] if absolute else 0

    def constructed(k: int) -> float:
        value = leaves[first].values(starts[first]._replace(lr=lr))(k)
        for leaf, start in zip(leaves[first + 1 :], starts[first + 1 :], strict=True):
            value = leaf.values(start._replace(lr=value))(k)
        return value

    def stepped(k: int) -> float:
        value = leaves[first].values(starts[first])(k)
        for leaf, start in zip(leaves[first + 1 :], starts[first + 1 :], strict=True):
            value = leaf.next(start)(k, value)
        return value

    def curve(k: int) -> float:
        for leaf, start in zip(leaves[:first], starts[:first], strict=True):
            if leaf.last_step < math.inf:
                leaf.values(start)(k)  # raises, though its value does not count
        return constructed(k) if k == 0 else stepped(k)

    return curve if absolute else constructed

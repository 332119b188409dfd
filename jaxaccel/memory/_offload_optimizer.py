"""An optimizer whose state waits in the host's memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import optax
from jax.extend.core import Literal, Var

from jaxaccel._call_repr import shows_call
from jaxaccel._checked import checked_but
from jaxaccel._equations import evaluated, number_of
from jaxaccel._functions import check_transformation
from jaxaccel._tree import takes_shapes
from jaxaccel._types import Params, State, Updates

_AHEAD = 2
"""Arrays that may be on their way back when the next one is fetched."""


@shows_call
@checked_but("tx")
def offload_optimizer(
    tx: optax.GradientTransformation,
) -> optax.GradientTransformationExtraArgs:
    """Keep an optimizer's state in pinned memory of the host, on the device a few arrays at a time.

    Between steps the device holds none of it. The program of the update is read: an array of the
    state is fetched in front of its first use, sent back when its new value is there, and the next
    one waits for that. So a step needs the memory of a few arrays, and the time in which the state
    comes and goes. Single numbers stay on the device. The numbers are those of ``tx``.

    Args:
        tx: The optimizer. One that computes with all parameters at once (LBFGS), or inside of one
            choice (``accumulate_gradients``), fetches all.

    Returns:
        A transformation with the state of ``tx``. ``training.train_state`` keeps it in the host's
        memory, in the shares that a placement says.

    Raises:
        TypeError: ``tx`` is not a transformation.

    PyTorch:
        DeepSpeed's ``"offload_optimizer": {"device": "cpu"}`` and the part of FSDP's ``CPUOffload``
        that speaks of the optimizer; there the host computes the update, here the device does.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> tx = ja.memory.offload_optimizer(ja.optimizers.adamw(lr=0.1))
        >>> state = ja.training.train_state({"w": jnp.ones(2)}, tx)
        >>> print(state.opt_state.exp_avg["w"].sharding.memory_kind)
        pinned_host

    References:
        Ren et al. ZeRO-Offload: Democratizing Billion-Scale Model Training. 2021.
        https://arxiv.org/abs/2101.06840
    """
    check_transformation("offload_optimizer", tx)
    inner = optax.with_extra_args_support(tx)

    @takes_shapes
    def init(params: Params) -> State:
        return jax.tree.map(lambda x: _sent(x) if x.ndim else x, inner.init(params))

    def update(
        updates: Updates, state: State, params: Params | None = None, **extra: object
    ) -> tuple[Updates, State]:
        leaves, of_state = jax.tree.flatten(state)
        others, of_others = jax.tree.flatten((updates, params))

        def flat(leaves: Sequence[Any], others: Sequence[Any]) -> Any:
            updates, params = of_others.unflatten(others)
            return inner.update(updates, of_state.unflatten(leaves), params, **extra)

        shapes = [jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves]
        program, found = jax.make_jaxpr(flat, return_shape=True)(shapes, others)
        moves = len(jax.tree.leaves(found[0]))
        results = _run(program, leaves, others, moves)
        return jax.tree.structure(found).unflatten(results)

    return optax.GradientTransformationExtraArgs(init, update)


class _Transfers(NamedTuple):
    """What is on the host, and what of it the device has."""

    held: dict[Any, Any]
    """Variable -> array of the host."""
    known: dict[Any, Any]
    """Variable -> array of the device."""
    returned: dict[Any, Any]
    """Variable -> array of the host, in the order in which they were sent back."""

    def value(self, atom: Any) -> Any:
        """Return an array of the device, fetched if it must be once others were sent back."""
        if isinstance(atom, Literal):
            return number_of(atom)
        if atom not in self.known:
            array, sent = self.held[atom], [*self.returned.values()]
            if len(sent) > _AHEAD:
                array, _ = jax.lax.optimization_barrier((array, sent[-1 - _AHEAD]))
            self.known[atom] = jax.device_put(array, jax.memory.Space.Device)
        return self.known[atom]


def _run(program: Any, state: Sequence[Any], others: Sequence[Any], moves: int) -> list[Any]:
    """Return the results of an update's program: its first ones stay, the others go back."""
    jaxpr = program.jaxpr
    of_state, rest = jaxpr.invars[: len(state)], jaxpr.invars[len(state) :]
    pairs = [*zip(of_state, state, strict=True)]
    known = dict(zip([*jaxpr.constvars, *rest], [*program.consts, *others], strict=True))
    known |= {v: array for v, array in pairs if not array.ndim}
    transfers = _Transfers({v: array for v, array in pairs if array.ndim}, known, {})
    kept = jaxpr.outvars[moves:]
    arrays = {v for v in kept if isinstance(v, Var) and v.aval.ndim}  # pyright: ignore
    for equation in jaxpr.eqns:
        results = evaluated(equation, [transfers.value(v) for v in equation.invars])
        known.update(zip(equation.outvars, results, strict=True))
        for v in arrays.intersection(equation.outvars):
            transfers.returned[v] = _sent(known[v])
    on_host = {**transfers.held, **transfers.returned}
    stay = [transfers.value(v) for v in jaxpr.outvars[:moves]]
    back = [
        transfers.value(v) if v not in arrays else on_host[v] if v in on_host else _sent(known[v])
        for v in kept
    ]
    return [*stay, *back]


def _sent(array: Any) -> jax.Array:
    """Return an array in the host's pinned memory."""
    return jax.device_put(array, jax.memory.Space.Host)

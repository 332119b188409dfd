"""Where PyTorch keeps the fields of a state: said by the state's own class."""

from __future__ import annotations

from typing import NamedTuple


class TorchFields(NamedTuple):
    """Which fields of a state ``torch.optim.X.state_dict()["state"]`` has, and how.

    A state that PyTorch has says so in its class, and :func:`state_dict` and
    :func:`load_state_dict` read it there. The names are the same on both sides, and fields that
    are not named are not in PyTorch's state. Your own state takes part in the same way:

    .. code-block:: python

        class LionState(NamedTuple):
            step: jax.Array
            exp_avg: Any
            torch_fields = ja.optimizers.TorchFields(("exp_avg",), shared=("step",))
    """

    per_parameter: tuple[str, ...]
    """Trees like the parameters: each parameter has its own leaf."""
    shared: tuple[str, ...] = ()
    """One number here, a float32 tensor with every parameter there."""
    shared_integers: tuple[str, ...] = ()
    """One number here, a Python int with every parameter there."""
    switches: tuple[str, ...] = ()
    """Keys of PyTorch's ``param_groups`` that say how and not what."""
    group_has: tuple[str, ...] = ()
    """Arguments by which PyTorch's groups are known from an optimizer's of the same state."""
    group_lacks: tuple[str, ...] = ()
    """Arguments of an optimizer of the same state that PyTorch's groups do not have."""
    factors: tuple[str, str] | tuple[()] = ()
    """A field of means over the last axis and one over the last but one: of a matrix that is kept
    transposed each has what the other has there, and the numbers are the same."""


class FlatFields(NamedTuple):
    """The same for LBFGS, which keeps everything with its first parameter."""

    integers: tuple[str, ...]
    """Numbers here, Python ints there."""
    numbers: tuple[str, ...]
    """Numbers here, Python floats there."""
    arrays: tuple[str, ...]
    """Vectors and numbers here, tensors there."""
    lists: tuple[str, ...]
    """Rings here, lists with the oldest pair first there."""
    switches: tuple[str, ...] = ()
    group_has: tuple[str, ...] = ()
    group_lacks: tuple[str, ...] = ()

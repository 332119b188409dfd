"""Activation checkpointing of layers that are called one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from jaxaccel._checked import checked
from jaxaccel.memory._checkpoint import checkpoint
from jaxaccel.memory._checkpoint_policies import Policy


@checked
def checkpoint_sequential(
    functions: Iterable[Callable[..., Any]],
    segments: int,
    input: Any,
    *,
    policy: Policy | None = None,
    names: Sequence[str] | None = None,
    offload: bool = False,
    preserve_rng_state: bool = True,
) -> Any:
    """Call layers one after the other, with a checkpoint around each segment but the last.

    Args:
        functions: The layers: an ``nn.Sequential``, an ``nnx.List``, or any functions of one
            argument.
        segments: How many parts they are divided into, of ``len(functions) // segments`` layers
            each; the last one has what is left, and keeps its activations.
        input: What the first layer is given.
        policy: As of :func:`checkpoint`.
        names: As of :func:`checkpoint`.
        offload: As of :func:`checkpoint`.
        preserve_rng_state: As of :func:`checkpoint`.

    Returns:
        What the last layer returns.

    Raises:
        ValueError: there are fewer layers than segments, or less than one segment.

    PyTorch:
        ``torch.utils.checkpoint.checkpoint_sequential``: the same segments. Left out:
        ``use_reentrant``.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> def loss(x):
        ...     return ja.memory.checkpoint_sequential([jnp.sin] * 4, 2, x)
        >>> print(f"{jax.grad(loss)(1.0):.6f}")
        0.205935
    """
    layers = list(functions)
    if not 1 <= segments <= len(layers):
        raise ValueError(
            f"segments must be between 1 and the number of functions, {len(layers)}, got {segments}"
        )
    size = len(layers) // segments
    options = {"policy": policy, "names": names, "offload": offload}
    for index in range(segments - 1):
        part = layers[index * size : (index + 1) * size]
        input = checkpoint(_in_order, **options)(part, input)
    return _in_order(layers[(segments - 1) * size :], input)


def _in_order(layers: Sequence[Callable[..., Any]], input: Any) -> Any:
    """Return what the last of some layers returns."""
    for layer in layers:
        input = layer(input)
    return input

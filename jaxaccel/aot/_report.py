"""What a compiled program moves, computes and holds, by its compiler's own count."""

from __future__ import annotations

import re
from typing import Any, NamedTuple, cast

from jax.stages import Compiled

from jaxaccel._checked import checked_but


class Report(NamedTuple):
    """What :func:`report` returns; figures of one device."""

    bytes_accessed: int | None
    """Read and written by all operations together; None where the compiler does not say (GPUs)."""
    flops: int | None
    """Floating-point operations; None where the compiler does not say (GPUs)."""
    temporary_bytes: int
    """Held beside arguments and results."""
    argument_bytes: int
    """Held by the arguments."""
    output_bytes: int
    """Held by the results, those included that take a donated argument's place."""
    fusions: int
    """Fused operations, of which each reads its inputs from memory and writes its results there."""


@checked_but("compiled")
def report(compiled: Compiled) -> Report:
    """Return what a compiled program moves, computes and holds.

    These are the compiler's figures, from the program alone: exact, the same on every run, and not
    times. The body of a loop counts once, however often it runs.

    Args:
        compiled: ``jax.jit(f).lower(...).compile()``, for devices that are here or for those of
            :func:`topology_devices`.

    Returns:
        The figures, of one device.

    Raises:
        TypeError: ``compiled`` is not a compiled program.

    PyTorch:
        ``torch.utils.flop_counter.FlopCounterMode`` and ``torch.cuda.memory_stats``, which count
        while a program runs.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> compiled = jax.jit(jnp.dot).lower(jnp.ones((8, 16)), jnp.ones((16, 4))).compile()
        >>> print(ja.aot.report(compiled).flops)  # 2 * 8 * 16 * 4
        1024
    """
    if not isinstance(compiled, Compiled):
        raise TypeError(
            "compiled must be a program that is compiled, such as "
            f"jax.jit(f).lower(x).compile(), got {compiled!r}"
        )
    costs, memory = compiled.cost_analysis() or {}, cast(Any, compiled.memory_analysis())
    moved, flops = costs.get("bytes accessed"), costs.get("flops")
    return Report(
        bytes_accessed=None if moved is None else int(moved),
        flops=None if flops is None else int(flops),
        temporary_bytes=memory.temp_size_in_bytes,
        argument_bytes=memory.argument_size_in_bytes,
        output_bytes=memory.output_size_in_bytes,
        fusions=len(re.findall(r"[\s)]fusion\(", compiled.as_text() or "")),
    )

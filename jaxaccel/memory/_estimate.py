"""What a training step needs in memory, part by part, from the compiled program."""

from __future__ import annotations

import collections
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from jaxaccel import aot
from jaxaccel._checked import checked
from jaxaccel._hlo import read
from jaxaccel._lowering import compiled, with_own_lines
from jaxaccel.memory._live_buffers import Buffer, live_buffers
from jaxaccel.memory._memory_report import LargeBuffers, MemoryReport
from jaxaccel.memory._programs import (
    check_step,
    devices_of,
    idle_devices,
    local_shape,
    nbytes_of,
    shapes,
)
from jaxaccel.memory._sources import Sources, calling_line, lines_of, sources_of
from jaxaccel.memory._zero import ZeroFormula


@checked
def report(
    step: Callable[..., Any], state: Any, batch: Any, *, topology: str | None = None
) -> MemoryReport:
    """Return what a training step needs in memory, part by part, before it has run.

    The step is compiled, for this machine or another, and nothing runs. What the arguments are is
    known from ``state`` and ``batch``; how many bytes they, the results and the temporaries need,
    from the compiler. Which arrays are alive when most bytes are, and where they come from, is read
    off the program's text, operation by operation in the compiler's own order:

    - **gradients**: results of the backward pass in the shape of a parameter, whatever they are: a
      batch of as many rows as a layer is wide makes its activations' gradients count here;
    - **activations**: results of the forward pass, or of what is recomputed of it;
    - **temporaries**: everything else, such as what is passed backward from layer to layer;
    - **gaps**: what the compiler's block of temporary memory has beyond these; less than nothing
      where arrays share a place with a donated argument, which the table then says.

    The moment at which most is held is mostly that between the passes: many activations, and no or
    few gradients. So gradients may need less than the formula says, which adds all of them up.

    Args:
        step: ``(state, batch) -> ...``, as ``training.train_step`` returns it, or any function. One
            that is compiled (``jax.jit(f, donate_argnums=0)``) keeps what it donates; another one
            is compiled without donation.
        state: Arrays or ``jax.ShapeDtypeStruct``, under the names ``params`` and ``opt_state``: a
            ``TrainState``, another object with these fields, or a mapping. All else in it counts as
            other state.
        batch: Arrays or shapes too.
        topology: A machine that is not here, as in :func:`jaxaccel.aot.topology_devices`, of which
            one device is meant; for several give shapes whose shardings are over a mesh of its
            devices. Default: the device of the arrays.

    Returns:
        A :class:`MemoryReport`, in bytes on each device: ``print(report)`` is a table,
        ``report.to_json()`` is JSON, ``report.assert_fits(bytes)`` is for a test.

    Raises:
        TypeError: ``state`` has no ``params``, ``step`` is not a function of a state and a batch,
            or a leaf is neither array nor shape.
        ValueError: There is no such topology, or a shape has a ``PartitionSpec`` without a mesh.
        jax.errors.JaxRuntimeError: The compiler refused the program; a TPU's does so where memory
            does not suffice (:func:`max_batch_size` finds what it takes).

    PyTorch:
        Nothing that knows before running. ``torch.cuda.memory_summary()`` and
        ``torch.cuda.memory._snapshot()`` tell after a step what it took, and
        ``torch.distributed._tools`` while a model runs on fake tensors; DeepSpeed's
        ``estimate_zero2_model_states_mem_needs`` is the formula alone, without activations.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> def loss_fn(params, model_state, batch):
        ...     return jnp.mean((batch @ params["w"]) ** 2), (model_state, {})
        >>> tx = ja.optimizers.adam()
        >>> step = ja.training.train_step(ja.training.gradients(loss_fn), tx)
        >>> state = ja.training.train_state({"w": jnp.ones((64, 32))}, tx)
        >>> report = ja.memory.report(step, state, jnp.ones((16, 64)))
        >>> print(report.parameters, report.optimizer_state, report.batch)
        8192 16388 4096
        >>> print(report.formula)
        (4 + 4 + 8.002) x 2,048

    References:
        Rajbhandari, Rasley, Ruwase, He. ZeRO: Memory Optimizations Toward Training Trillion
        Parameter Models. 2020. https://arxiv.org/abs/1910.02054
    """
    if _field(state, "params") is None:
        raise TypeError(
            f"state must have its parameters under the name params, got {type(state).__name__}; "
            "pass a TrainState, or {'params': ..., 'opt_state': ..., ...}"
        )
    check_step("memory.report", step)
    given, of_batch = shapes(state, topology, "state"), shapes(batch, topology, "batch")
    with with_own_lines():
        program = compiled(step, given, of_batch)
    found, text = aot.report(program), program.as_text() or ""
    params, opt_state = _field(given, "params"), _field(given, "opt_state", ())
    of_params, of_optimizer, in_batch = map(nbytes_of, (params, opt_state, of_batch))
    other = nbytes_of(given) - of_params - of_optimizer
    of_weights = {_essential(local_shape(leaf)) for leaf in jax.tree.leaves(params)} - {()}
    alive = [(_part_of(each, of_weights), each) for each in live_buffers(read(text))]
    sizes = {part: sum(b.array.padded for p, b in alive if p == part) for part in _PARTS}
    return MemoryReport(
        parameters=of_params,
        optimizer_state=of_optimizer,
        other_state=other,
        batch=in_batch,
        padding=found.argument_bytes - of_params - of_optimizer - other - in_batch,
        outputs=found.output_bytes - found.alias_bytes,
        **sizes,
        gaps=found.temporary_bytes - sum(sizes.values()),
        peak=found.peak_bytes,
        capacity=found.capacity_bytes,
        device=found.device,
        formula=_formula(params, opt_state),
        largest=_largest(alive, sources_of(text)),
        fits=found.fits,
        idle=idle_devices(topology, found.devices),
    )


_PARTS = ("gradients", "activations", "temporaries")


def _field(state: Any, name: str, default: Any = None) -> Any:
    """Return a part of a state by its name."""
    if isinstance(state, Mapping):
        return state.get(name, default)
    return getattr(state, name, default)


def _part_of(buffer: Buffer, of_weights: set[tuple[int, ...]]) -> str:
    """Return what an array is for, by the pass that it comes from and by a parameter's shape."""
    path = buffer.operation.path
    if "rematted_computation" in path:
        return "activations"
    if "transpose(" in path:
        return "gradients" if _essential(buffer.array.dims) in of_weights else "temporaries"
    return "activations" if "jvp(" in path else "temporaries"


def _essential(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the sizes of a shape that compilers keep: in any order, without axes of one."""
    return tuple(sorted(size for size in shape if size != 1))


def _formula(params: Any, opt_state: Any) -> ZeroFormula:
    """Return the formula with a state's own numbers: a gradient is of its parameter's dtype."""
    count = sum(math.prod(np.shape(leaf)) for leaf in jax.tree.leaves(params))
    each = nbytes_of(params, on_all=True) / max(1, count)
    of_optimizer = nbytes_of(opt_state, on_all=True) / max(1, count)
    return ZeroFormula(count, devices_of(params), each, each, of_optimizer)


def _largest(alive: list[tuple[str, Buffer]], sources: Sources) -> tuple[LargeBuffers, ...]:
    """Return the arrays together that one line makes for one purpose, the largest first."""
    together = collections.defaultdict(list)
    for part, buffer in alive:
        line = calling_line(lines_of(buffer.operation, sources))
        together[part, line].append(buffer)
    rows = []
    for (part, line), buffers in together.items():
        most = max(buffers, key=lambda each: each.array.padded)
        shape = ", ".join(map(str, most.array.dims))
        operation = most.operation.path.rpartition("/")[2] or most.operation.kind
        nbytes = sum(each.array.padded for each in buffers)
        array = f"{most.array.dtype}[{shape}]"
        rows.append(LargeBuffers(nbytes, len(buffers), array, part, operation, line))
    return tuple(sorted(rows, key=lambda each: -each.nbytes))

"""A step compiled for a machine that is not here, and what its compiler says."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import jax
from jax.sharding import Mesh

from jaxaccel._checked import checked
from jaxaccel._lowering import compiled
from jaxaccel.aot._capacity import capacity_of
from jaxaccel.aot._placed import mesh_for, placed
from jaxaccel.aot._report import Report, report
from jaxaccel.aot._topology import topology_devices


@checked
def compile_for(
    step: Callable[..., Any],
    *shapes: Any,
    topology: str,
    mesh: Mesh | Mapping[str, int] | None = None,
    options: Mapping[str, Any] | None = None,
    keep_hlo: bool = False,
) -> Report:
    """Compile a step for a machine that is not here, and report what its compiler says.

    Whether it fits, what it computes and moves, and every collective. Nothing runs and no array is
    made: a model of any size takes the memory of its program. A report proves that the step
    compiles and what the program is, not numbers nor speed on the chip. For GPUs the compiler
    cannot try out kernels, as it would on the machine, and takes those it thinks best.

    Args:
        step: What :func:`jaxaccel.training.train_step` returns, anything with ``lower``
            (``jax.jit(f, donate_argnums=0)``), or a function of arrays.
        shapes: Its arguments: trees of ``jax.ShapeDtypeStruct`` (``jax.eval_shape`` makes them) or
            of arrays, of which only shapes and dtypes count. A leaf lies where its ``sharding``
            says, a ``PartitionSpec`` or a ``NamedSharding`` with axes of ``mesh``; one without is
            whole on every device.
        topology: As :func:`topology_devices` takes it.
        mesh: The devices' axes: ``{axis name: number}``, of which one may be -1, or a mesh of the
            topology's own devices, for a step that was made with it; default: one axis ``"data"``
            over all.
        options: Options of the compiler, which refuses those that it does not know.
        keep_hlo: Keep the program's text in the report, ``report.hlo``.

    Returns:
        The report. It is also returned for a program that does not fit: a TPU's compiler refuses
        it (``report.refusal``), a GPU's does not, so that its needs are compared with the memory.

    Raises:
        ValueError: There is no such topology; the mesh does not fit it; an axis does not divide;
            an option is unknown to the compiler.
        TypeError: ``step`` is not a function, or a leaf is neither array nor shape.
        ModuleNotFoundError: The compiler is not installed, as in :func:`topology_devices`.

    PyTorch:
        Nothing: ``torch.compile`` and ``torch.export`` compile for a device that is there.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from jax.sharding import PartitionSpec as P
        >>> import jaxaccel as ja
        >>> x = jax.ShapeDtypeStruct((64, 256), jnp.float32, sharding=P("data"))
        >>> w = jax.ShapeDtypeStruct((256, 128), jnp.float32)
        >>> report = ja.aot.compile_for(lambda x, w: (x @ w).sum(), x, w, topology="tpu:v5e:2x2")
        >>> print(report.devices, report.argument_bytes, report.collectives[0].kind)
        4 147456 all-reduce
    """
    devices = topology_devices(topology)
    axes = mesh_for(devices, mesh, topology)
    arguments = [placed(f"shapes[{index}]", tree, axes) for index, tree in enumerate(shapes)]
    try:
        program = compiled(step, *arguments, options=options)
    except jax.errors.JaxRuntimeError as error:
        return _refused(error, arguments, devices, options)
    found = report(program)
    return found._replace(hlo=program.as_text()) if keep_hlo else found


_SIZE = r"\(([\d.]+)([KMGT]?)\)"


def _refused(
    error: Exception,
    arguments: list[Any],
    devices: list[Any],
    options: Mapping[str, Any] | None,
) -> Report:
    """Return the report of a program that does not fit; raise for what is wrong otherwise."""
    text = str(error)
    if options and "INVALID_ARGUMENT" in text:
        raise ValueError(
            f"the compiler does not take options {dict(options)!r}: {text.splitlines()[0]:.300}"
        ) from error
    used = re.search(rf"{_SIZE} exceeds available HBM {_SIZE}", text)
    if "RESOURCE_EXHAUSTED" not in text or used is None:
        raise error
    peak, capacity = (_bytes(used[index], used[index + 1]) for index in (1, 3))
    held = sum(
        leaf.dtype.itemsize * math.prod(leaf.sharding.shard_shape(leaf.shape))
        for leaf in jax.tree.leaves(arguments)
        if isinstance(leaf, jax.ShapeDtypeStruct)
    )
    return Report(
        **dict.fromkeys(
            ("bytes_accessed", "bytes_of_choices", "flops", "temporary_bytes", "output_bytes"), 0
        ),
        **dict.fromkeys(("alias_bytes", "code_bytes", "fusions", "open_loops"), 0),
        argument_bytes=held,
        peak_bytes=peak,
        capacity_bytes=capacity_of(devices[0]) or capacity,
        collectives=(),
        estimated_cycles=None,
        uncounted={},
        device=devices[0].device_kind,
        devices=len(devices),
        refusal=text,
        refuses=True,
    )


def _bytes(number: str, unit: str) -> int:
    """Return what a compiler writes as ``27.03G``."""
    return int(float(number) * 1024 ** " KMGT".index(unit or " "))

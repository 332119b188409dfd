"""The largest batch that fits, by the compiled program's own figures or by running it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from jaxaccel._checked import checked
from jaxaccel._text_table import columns, size_name
from jaxaccel.memory._batch_search import search
from jaxaccel.memory._batch_trials import Candidate, compiling, following, running
from jaxaccel.memory._programs import check_step, devices_of, idle_devices, of_idle, shapes


class BatchSize(NamedTuple):
    """What :func:`max_batch_size` returns; printed, it is a table of all that was tried."""

    batch_size: int
    """The largest that fits; 0 where none does."""
    stopped: str
    """Where the search stopped, and why."""
    budget: int | None
    """Bytes on a device that a program was allowed; None where the device itself decided."""
    device: str
    """The kind of device."""
    candidates: tuple[Candidate, ...]
    """All that was tried, in this order."""
    idle: int = 0
    """Devices of the topology that have no part in the program: nothing lies on them."""

    def __str__(self) -> str:
        rows = [("batch", "fits", "bytes", "FLOPs", "seconds"), *map(_row, self.candidates)]
        limit = "" if self.budget is None else f" with {size_name(self.budget)}"
        lines = "\n".join(columns(rows))
        idle = f"\n{of_idle(self.idle)}" if self.idle else ""
        return f"{lines}\n{self.batch_size} on a {self.device}{limit}: {self.stopped}{idle}"

    def to_json(self) -> str:
        """Return all of it as JSON: one object."""
        tried = [each._asdict() for each in self.candidates]
        return json.dumps(self._asdict() | {"candidates": tried})


def _row(each: Candidate) -> tuple[str, ...]:
    return (
        str(each.batch_size),
        "yes" if each.fits else "no",
        "?" if each.nbytes is None else size_name(each.nbytes),
        "?" if each.flops is None else f"{each.flops:.4g}",
        f"{each.seconds:.1f}",
    )


@checked
def max_batch_size(
    step: Callable[..., Any],
    make_batch: Callable[[int], Any],
    state: Any,
    *,
    topology: str | None = None,
    budget: float | None = None,
    start: int = 16,
    limit: int | None = None,
    multiple_of: int = 1,
    run: bool = False,
    steps: int = 3,
) -> BatchSize:
    """Find the largest batch with which a step fits into memory: without running it, or by running.

    By default each candidate is compiled, for this machine or another, and what the compiler says
    that the program needs is compared with the budget; a compiler that refuses a program (a TPU's)
    has decided. Two candidates tell what a row of a batch needs, that predicts the largest batch,
    and the search goes on between what fits and what does not until they are neighbours: the batch
    that is returned was compiled and fits, the next was compiled and does not. A larger batch is
    taken to need more memory.

    With ``run=True`` the step runs on this device, three times for each candidate, the batch is
    doubled until memory runs out and then bisected, and the search survives each out-of-memory: for
    devices that do not say what they have, and for what else is on the device.

    Args:
        step: ``(state, batch) -> ...``, as ``training.train_step`` returns it, or any function. One
            that is compiled (``jax.jit(f, donate_argnums=0)``) keeps what it donates; another one
            is compiled without donation.
        make_batch: ``(batch_size) -> batch``, arrays; shapes (``jax.ShapeDtypeStruct``) suffice
            unless ``run``. Over several devices: with shardings over their mesh.
        state: The state, arrays or shapes; arrays where it is to run, which stay as they are. A
            state on the host (``jax.device_get(state)``) leaves the device to the step.
        topology: A machine that is not here, as in :func:`jaxaccel.aot.topology_devices`, of which
            one device is meant. Default: the device of the arrays.
        budget: Bytes on each device that the program may need, arguments and results included.
            Default: what the device has. JAX itself takes only three quarters of a GPU unless
            ``XLA_PYTHON_CLIENT_MEM_FRACTION`` says otherwise.
        start: The batch to try first; where it does not fit, smaller ones are tried.
        limit: The largest batch to try, such as the number of rows there are. Default: 2**20.
        multiple_of: Try multiples of this alone: the number of devices, of accumulated parts, or
            8 for a TPU's tiles.
        run: Whether the step is to run, on this device.
        steps: How often it runs for each candidate.

    Returns:
        A :class:`BatchSize`: ``batch_size``, which is 0 where not even ``multiple_of`` rows fit,
        all ``candidates`` with bytes and floating-point operations, and where the search
        ``stopped`` and why.

    Raises:
        ValueError: ``start``, ``limit``, ``multiple_of`` or ``steps`` is not positive, the limit is
            below ``multiple_of``, a budget or topology is given where the step is to run, it is
            not known how much memory the device has, ``make_batch`` returns the same shapes for
            twice as many rows, or there is no such topology.
        TypeError: ``step`` is not a function of a state and a batch.
        jax.errors.JaxRuntimeError: A step fails for another reason than memory.

    PyTorch:
        Lightning's ``Tuner.scale_batch_size(mode="binsearch", steps_per_trial=3)``, which is
        ``run=True``; there a trial that fails may leave a process whose memory is in pieces, and
        the search ends after 25 trials. Nothing there knows before running.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> def step(w, batch):
        ...     return w, jnp.tanh(batch @ w) @ w.T
        >>> found = ja.memory.max_batch_size(
        ...     step,
        ...     lambda n: jax.ShapeDtypeStruct((n, 64), jnp.float32),
        ...     jax.ShapeDtypeStruct((64, 64), jnp.float32),
        ...     budget=1_000_000,
        ...     multiple_of=100,
        ... )
        >>> print(found.batch_size)
        1200
    """
    check_step("max_batch_size", step)
    if budget is not None and not float(budget).is_integer():
        raise ValueError(f"max_batch_size: budget must be whole bytes, got {budget}")
    budget = None if budget is None else int(budget)
    numbers = {"start": start, "limit": limit, "multiple_of": multiple_of, "steps": steps}
    for name, value in numbers.items():
        if value is not None and value < 1:
            raise ValueError(f"max_batch_size: {name} must be at least 1, got {value}")
    if limit is not None and limit < multiple_of:
        raise ValueError(
            f"max_batch_size: limit must be at least multiple_of={multiple_of}, got {limit}"
        )
    if run and (budget is not None or topology is not None):
        raise ValueError(
            f"max_batch_size: with run=True the device decides, got budget={budget} and "
            f"topology={topology!r}; leave both out"
        )
    make_batch = following(make_batch)
    trial = running(step, make_batch, state, steps)
    if not run:
        trial = compiling(step, make_batch, state, topology, budget)
    most = (1 << 20 if limit is None else limit) // multiple_of
    size, tried = search(trial, min(max(1, start // multiple_of), most), most, multiple_of)
    budgets = [each.budget for each in tried if each.budget is not None]
    refused = [each for each in tried if each.batch_size == size + multiple_of and not each.fits]
    stopped = refused[0].reason if refused else f"the limit of {most * multiple_of} is reached"
    allowed = budgets[0] if budgets else None
    used = 0 if topology is None else devices_of(shapes((state, make_batch(multiple_of)), topology))
    idle = idle_devices(topology, used)
    return BatchSize(size, stopped, allowed, tried[-1].device, tuple(tried), idle)

"""What a compiled program moves, computes, holds and sends, by its compiler's own count."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import jax
from jax.sharding import Mesh, NamedSharding
from jax.stages import Compiled

from jaxaccel._checked import checked_but
from jaxaccel._hlo import read
from jaxaccel._text_table import size_name
from jaxaccel.aot._capacity import capacity_of
from jaxaccel.aot._collectives import Collective, check_kind, collectives_of
from jaxaccel.aot._count import cost_of
from jaxaccel.aot._table import table_of


class Report(NamedTuple):
    """Figures of one device, in bytes and operations of one run; printed, it is a table."""

    bytes_accessed: int
    """Read and written by all operations together, loops as often as they run."""
    bytes_of_choices: int
    """Of them, what the costliest branches move more than the cheapest: a step that takes the
    cheap ones, as nearly every step does for a ``lax.cond`` on what is rare, moves so much less."""
    flops: int
    """Floating-point operations, loops as often as they run."""
    temporary_bytes: int
    """Held beside arguments and results."""
    argument_bytes: int
    """Held by the arguments."""
    output_bytes: int
    """Held by the results, those included that take a donated argument's place."""
    alias_bytes: int
    """Of results that take a donated argument's place."""
    code_bytes: int
    """Held by the program itself; 0 where the compiler does not say."""
    peak_bytes: int
    """The most that is held at once, arguments, results and temporaries together: by the compiler,
    a TPU's with what it keeps on the chip itself, and without the gaps between arrays."""
    capacity_bytes: int | None
    """What a program may hold on such a device; None where that is not known."""
    fusions: int
    """Fused operations, of which each reads its inputs from memory and writes its results there."""
    collectives: tuple[Collective, ...]
    """What the devices send each other."""
    estimated_cycles: int | None
    """The compiler's estimate for its fusions, one after the other, without collectives: not a
    measurement. None where it gives none (all but TPUs)."""
    uncounted: dict[str, int]
    """Hand-written kernels that do not say what they compute, and how often each is called: their
    operations are missing in ``flops``."""
    open_loops: int
    """Loops whose turns the data decide: their body counts once."""
    device: str
    """The kind of device."""
    devices: int
    """How many run the program together."""
    refusal: str | None = None
    """What the compiler said if it refused a program that does not fit; then only the memory's
    peak and capacity, arguments and devices are known, and all else is 0."""
    hlo: str | None = None
    """The program's text, where :func:`compile_for` was asked to keep it."""
    refuses: bool = False
    """Whether the compiler refuses by itself what does not fit, as a TPU's does: then its word
    counts. It may take a program that needs a little more than the capacity by these figures."""

    def __str__(self) -> str:
        """Return the table."""
        return table_of(self)

    @property
    def needed_bytes(self) -> int:
        """What has to be free on a device for the program to run, its arguments included.

        Temporary memory is one block, with gaps between its arrays.
        """
        if self.refusal is not None:
            return self.peak_bytes
        held = self.argument_bytes + self.output_bytes - self.alias_bytes
        return held + self.temporary_bytes

    @property
    def fits(self) -> bool | None:
        """Whether what it needs is within the capacity; None where that is not known."""
        if self.refusal is not None or self.refuses:
            return self.refusal is None
        return None if self.capacity_bytes is None else self.needed_bytes <= self.capacity_bytes

    def to_json(self) -> str:
        """Return all figures as JSON, without the program's text."""
        kept = self._asdict() | {"needed_bytes": self.needed_bytes, "fits": self.fits}
        kept["collectives"] = [each._asdict() for each in self.collectives]
        del kept["hlo"]
        return json.dumps(kept, indent=2)

    def assert_fits(self, capacity: int | None = None) -> None:
        """Raise an ``AssertionError`` unless a device has room.

        Args:
            capacity: Bytes that a program may hold; default: ``capacity_bytes``.

        Raises:
            ValueError: There is no capacity to compare with.
        """
        fits = self.fits if capacity is None else self.needed_bytes <= capacity
        if fits is None:
            raise ValueError(
                f"how much memory a {self.device} has is not known; pass assert_fits(capacity)"
            )
        if not fits:
            limit = self.capacity_bytes if capacity is None else capacity
            raise AssertionError(
                f"the program needs {size_name(self.needed_bytes)} on each {self.device}, "
                f"which is more than {'it has' if limit is None else size_name(limit)}\n{self}"
            )

    def assert_collectives(
        self, wanted: Mapping[str | tuple[str, ...], int | range | None]
    ) -> None:
        """Raise an ``AssertionError`` unless exactly these collectives are in the program.

        Args:
            wanted: Kind, or kind and mesh axes (``("all-reduce", "data")``), -> how often a run
                does it: a number, a ``range``, or None for any number but 0. Kinds that are not
                named must not occur.

        Raises:
            TypeError: ``wanted`` is not such a mapping.
            ValueError: There is no such kind.
        """
        _check_wanted(wanted)
        left: Counter[tuple[str, ...]] = Counter()
        for each in self.collectives:
            left[each.kind, *(each.axes or ())] += each.times
        faults = []
        for name, number in wanted.items():
            kind = name if isinstance(name, tuple) else (name,)
            found = [key for key in left if key == kind or key[:1] == kind]
            times = sum(left.pop(key) for key in found)
            allowed = range(number, number + 1) if isinstance(number, int) else number
            if not (times > 0 if allowed is None else times in allowed):
                faults.append(
                    f"{' over '.join(kind)}: {times}, not {'any' if number is None else number}"
                )
        faults += [f"{' over '.join(kind)}: {times}, not 0" for kind, times in left.items()]
        if faults:
            raise AssertionError("\n".join(["other collectives than wanted:", *faults, str(self)]))


def _check_wanted(wanted: Any) -> None:
    """Raise for what does not say which collectives are wanted, and how many."""
    if not isinstance(wanted, Mapping):
        raise TypeError(
            f"wanted must map kinds to numbers, got {wanted!r:.80}; pass {{'all-reduce': 1}}, or "
            "{'all-reduce': None} for any number"
        )
    for name, number in wanted.items():
        check_kind(name[0] if isinstance(name, tuple) and name else name)
        is_number = isinstance(number, (int, range)) and not isinstance(number, bool)
        if number is not None and not is_number:
            raise TypeError(
                f"wanted[{name!r}] must be a number, a range or None, got {number!r:.80}; a number "
                "from 1 to 6 is range(1, 7)"
            )


@checked_but("compiled")
def report(compiled: Compiled) -> Report:
    """Return what a compiled program moves, computes, holds and sends.

    These are figures of the program alone: exact, the same on every run, and not times. They are
    the compiler's own, but for what it leaves out: compilers count a loop's body once, so that its
    further turns are read off the program; so is all that a GPU does, whose compiler counts
    nothing. Of a choice between branches the costliest counts, as in the compilers' figures.

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
    text = compiled.as_text() or ""
    memory, program = cast(Any, compiled.memory_analysis()), read(text)
    whole = cost_of(program)
    once = cost_of(program, loops_once=True) if " while(" in text else whole
    costs = compiled.cost_analysis() or {}
    device, count, mesh = where_of(compiled)
    found = Report(
        bytes_accessed=round(costs.get("bytes accessed", once.bytes) + whole.bytes - once.bytes),
        bytes_of_choices=round(whole.of_choices),
        flops=round(costs.get("flops", once.flops) + whole.flops - once.flops),
        temporary_bytes=memory.temp_size_in_bytes,
        argument_bytes=memory.argument_size_in_bytes,
        output_bytes=memory.output_size_in_bytes,
        alias_bytes=memory.alias_size_in_bytes,
        code_bytes=memory.generated_code_size_in_bytes,
        # A TPU's compiler counts the host's arguments in.
        peak_bytes=memory.peak_memory_in_bytes - memory.host_argument_size_in_bytes,
        capacity_bytes=capacity_of(device),
        fusions=len(re.findall(r"[\s)]fusion\(", text)),
        collectives=collectives_of(program, count, mesh),
        estimated_cycles=whole.cycles or None,
        uncounted=dict(whole.kernels),
        open_loops=whole.open_loops,
        device=device.device_kind,
        devices=count,
        refuses=device.platform == "tpu",
    )
    # A CPU's compiler calls the arguments alone its peak.
    return found._replace(peak_bytes=found.needed_bytes) if device.platform == "cpu" else found


def where_of(compiled: Compiled) -> tuple[Any, int, Mesh | None]:
    """Return one of the devices that run a program, their number, and their mesh if they have one.

    A program without arguments and results is taken for one on this machine's first device.
    """
    places = jax.tree.leaves((compiled.input_shardings, compiled.output_shardings))
    meshes = [place.mesh for place in places if isinstance(place, NamedSharding)]
    devices = places[0].device_set if places else jax.devices()[:1]
    mesh = next((m for m in meshes if isinstance(m, Mesh) and m.size == len(devices)), None)
    return next(iter(devices)), len(devices), mesh

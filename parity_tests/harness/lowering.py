"""What JAX spends on every program before it is compiled: the suite has some forty thousand."""

import jax

PROGRAMS_A_CONTEXT = 200
"""How many share one: a context keeps all types and constants that it has seen."""


def lower_sooner():
    """Look for no tracebacks of programs, and give many of them one compiler context.

    JAX makes a context for every program, and registers a thousand operations in it: that takes
    as long as lowering a small program into it. The programs are the same, letter for letter.
    """
    jax.config.update("jax_traceback_in_locations_limit", 0)
    _look_for_no_lines()
    _share_contexts()


def _look_for_no_lines():
    """Say at once that a line is not known, as JAX does there after a look at every frame.

    A test that asks for lines (the limit is above 0) has them.
    """
    try:
        from jax._src.interpreters import mlir
    except ImportError:
        return
    look = getattr(mlir, "_traceback_to_location", None)
    if look is None:
        return

    def location(context, traceback):
        if jax.config.jax_traceback_in_locations_limit == 0:
            return mlir.ir.Location.unknown()
        return look(context, traceback)

    mlir._traceback_to_location = location


def _share_contexts():
    """Hand out one context again and again, if JAX still makes them where it did."""
    try:
        from jax._src.interpreters import mlir

        make = mlir.make_ir_context
    except (ImportError, AttributeError):
        return  # it only takes longer
    made, uses = None, 0

    def make_or_reuse():
        nonlocal made, uses
        if made is None or uses == PROGRAMS_A_CONTEXT:
            made, uses = make(), 0
        uses += 1
        return made

    mlir.make_ir_context = make_or_reuse

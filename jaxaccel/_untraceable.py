"""Functions that users bring and JAX cannot trace: they ask a traced number for its value."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import jax


@contextlib.contextmanager
def schedules_are_traced(name: str) -> Iterator[None]:
    """Name a function of the step, and what to write instead, where it cannot be traced.

    Raises:
        TypeError: It cannot. What the function raises itself comes out as it is.
    """
    try:
        yield
    except (TypeError, IndexError) as error:
        if not _is_of_tracing(error):
            raise
        raise TypeError(
            f"{name} cannot be traced ({type(error).__name__}): write it with jax.numpy and "
            "without Python's if, or call the schedule with Python integers\n"
            "Inside a compiled step its argument is a traced integer: jnp.where(k < 3, a, b) for "
            "an if, jnp.cos(k) for math.cos(k) and np.cos(k), jnp.asarray(values)[k] for a list; "
            "what needs Python is asked beforehand and becomes such a table: "
            "schedules.lambda_lr(1.0, function, total_steps=...)"
        ) from error


@contextlib.contextmanager
def loss_functions_are_traced() -> Iterator[None]:
    """Note at JAX's own error what to write instead, where a loss function cannot be traced."""
    try:
        yield
    except (TypeError, IndexError) as error:
        if _is_of_tracing(error):
            error.add_note(
                "a loss function is traced: its numbers have no values yet, so float(loss), "
                "loss.item(), np.asarray(loss) and Python's if on them cannot work there; compute "
                "with jax.numpy (jnp.where for an if), return a number to log as a metric, "
                "(loss, (model_state, {'name': number})), and read it from the step's metrics, or "
                "print it with jax.debug.print"
            )
        raise


def _is_of_tracing(error: Exception) -> bool:
    """Return whether a traced number was asked for its value, by Python or by NumPy."""
    if isinstance(error, jax.errors.UnexpectedTracerError):
        return False  # one that has outlived its trace: another fault
    if isinstance(error, (jax.errors.JAXTypeError, jax.errors.JAXIndexError)):
        return True
    # Formats and dictionaries have errors of their own, which name the class.
    text = str(error)
    return "Tracer" in text and text.startswith(("unsupported format string", "unhashable type"))

"""When a callback acts: every so many steps, or every so many epochs."""

from __future__ import annotations

from typing import Any


def check_occasion(steps: int | None, epochs: int | None) -> tuple[int | None, int | None]:
    """Return one of the two, every epoch where neither is given; raise for both."""
    if steps is not None and epochs is not None:
        raise ValueError(
            f"give steps or epochs, got steps={steps} and epochs={epochs}; for both, make two "
            "callbacks"
        )
    for name, value in (("steps", steps), ("epochs", epochs)):
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    return (None, 1) if steps is None and epochs is None else (steps, epochs)


def is_due(run: Any, steps: int | None, epochs: int | None) -> bool:
    """Return whether it is time, after a step or at the end of an epoch."""
    if epochs is not None:
        return run.is_epoch_end and (run.epoch + 1) % epochs == 0
    return not run.is_epoch_end and run.total_steps % steps == 0

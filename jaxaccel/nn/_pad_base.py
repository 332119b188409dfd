"""What the padding layers share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import jax
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel.functional import pad


class Pad(nnx.Module):
    """A pad of ``_axes`` spatial axes, and of the points that ``_mode`` adds."""

    _axes: ClassVar[int]
    _mode: ClassVar[str]

    @checked
    def __init__(self, padding: int | Sequence[int]):
        sides = 2 * self._axes
        numbers = tuple(padding) if isinstance(padding, Sequence) else (padding,) * sides
        if len(numbers) != sides:
            raise ValueError(
                f"{type(self).__name__}: padding must be one number or {sides}, two for "
                f"each axis, the last axis first, got {padding}"
            )
        self.padding = numbers

    @checked
    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the padded input, in its dtype."""
        axes = self._axes
        if self._mode in ("constant", "circular") and input.ndim not in (axes + 1, axes + 2):
            raise ValueError(
                f"expected {axes + 1}D or {axes + 2}D input (got {input.ndim}D input)\n"
                "Channels are last, and a batch may come first; jaxaccel.functional.pad takes "
                "arrays of other axes"
            )
        batch = input[None] if input.ndim == axes + 1 else input
        padded = pad(batch, self.padding, self._mode, self._value())
        return padded[0] if input.ndim == axes + 1 else padded

    def _value(self) -> float | None:
        """Return the constant, where one is added."""
        return None

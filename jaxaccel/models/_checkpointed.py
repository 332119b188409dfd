"""Blocks of a model behind what the caller wraps them with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from flax import nnx

Checkpoint: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]
"""From a block to what is called in its place: ``memory.checkpoint``, alone or with options."""


def checkpointed(checkpoint: Checkpoint | None, block: nnx.Module) -> Callable[..., Any]:
    """Return what is called in a block's place."""
    called: Callable[..., Any] = block
    return called if checkpoint is None else checkpoint(called)

"""What turns a step into a program that can be compiled, and compiles it, without running it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jax
from jax.experimental.compilation_cache import compilation_cache as jax_cache
from jax.sharding import AbstractMesh, Sharding

from jaxaccel._meshes import is_here


def lower_of(step: Callable[..., Any]) -> Callable[..., Any]:
    """Return what lowers a step: its own, unless it was copied from one that the step wraps."""
    own, wrapped = getattr(step, "lowered", None), getattr(step, "__wrapped__", None)
    if own is not None and getattr(wrapped, "lowered", None) is not own:
        return own
    return getattr(step, "lower", None) or jax.jit(step).lower


def compiled(
    step: Callable[..., Any], *arguments: Any, options: Mapping[str, Any] | None = None
) -> jax.stages.Compiled:
    """Compile a step for arguments of which only the shapes count, with what it donates.

    For a machine that is not here without the programs on disk: a compiler alone writes them and
    cannot read them.
    """
    lowered, given = lower_of(step)(*arguments), dict(options) if options else None
    if is_here(device_for(arguments)):
        return lowered.compile(compiler_options=given)
    with without_cache():
        return lowered.compile(compiler_options=given)


def device_for(arguments: Any) -> Any:
    """Return one of the devices that arrays or shapes are for: this program's first by default."""
    for leaf in jax.tree.leaves(arguments):
        place = getattr(leaf, "sharding", None)
        has_devices = not isinstance(getattr(place, "mesh", None), AbstractMesh)
        if isinstance(place, Sharding) and has_devices:
            return next(iter(place.device_set))
    return jax.devices()[0]


@contextmanager
def with_own_lines() -> Iterator[None]:
    """Compile so that a program from the disk has this source's lines, and no older one's."""
    config: Any = jax.config
    before = config.jax_compilation_cache_include_metadata_in_key
    config.update("jax_compilation_cache_include_metadata_in_key", True)
    try:
        yield
    finally:
        config.update("jax_compilation_cache_include_metadata_in_key", before)


@contextmanager
def without_cache() -> Iterator[None]:
    """Compile without the programs on disk."""
    config: Any = jax.config
    if not config.jax_compilation_cache_dir or not config.jax_enable_compilation_cache:
        yield
        return
    config.update("jax_enable_compilation_cache", False)
    jax_cache.reset_cache()
    try:
        yield
    finally:
        config.update("jax_enable_compilation_cache", True)
        jax_cache.reset_cache()

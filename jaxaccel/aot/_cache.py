"""Compiled programs kept on disk, for the next process."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import jax
from jax.experimental.compilation_cache import compilation_cache as jax_cache

from jaxaccel._checked import checked_but


@checked_but("folder")
def compilation_cache(folder: str | os.PathLike[str] | None = None) -> Path:
    """Keep every program that this process compiles, and take from the folder what is there.

    JAX's persistent cache, switched on for the whole process, whatever was compiled before; by
    itself JAX leaves out programs that took less than a second, and a training script has many of
    them. It saves compiling and nothing else: a program is still traced and lowered, which is how
    it is found. Other versions of JAX, compiler flags and kinds of devices have programs of their
    own, so a change of any of them compiles anew. What is kept stays: the folder grows until it is
    deleted, unless ``jax_compilation_cache_max_size`` limits it.

    Args:
        folder: Where to keep them, made if it is not there; default: ``jaxaccel`` in the user's
            folder for caches (``$XDG_CACHE_HOME`` or ``~/.cache``). The programs are run as they
            are found: no stranger may be able to write there. On CPUs they fit the processor that
            they were compiled on, so machines of several kinds should not share it.

    Returns:
        The folder.

    Raises:
        TypeError: ``folder`` is not a path.
        ValueError: It is empty, or has a character 0 in it.
        OSError: It cannot be made or written to.

    PyTorch:
        ``TORCHINDUCTOR_CACHE_DIR``, the folder of ``torch.compile``, which is always on.

    Example:
        >>> import tempfile
        >>> import jax, jax.numpy as jnp
        >>> from jax.experimental.compilation_cache.compilation_cache import reset_cache
        >>> import jaxaccel as ja
        >>> before = jax.config.jax_compilation_cache_dir
        >>> with tempfile.TemporaryDirectory() as temporary:
        ...     folder = ja.aot.compilation_cache(temporary)
        ...     _ = jax.jit(lambda x: 2 * x)(jnp.ones(3))
        ...     print(any(folder.iterdir()))
        True
        >>> jax.config.update("jax_compilation_cache_dir", before)
        >>> reset_cache()  # this example alone: a script keeps the folder until it ends
    """
    place = _checked_folder(folder)
    jax.config.update("jax_compilation_cache_dir", str(place))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    # JAX settles with its first program whether there is a cache, and where.
    jax_cache.reset_cache()
    return place


def as_path(name: str, path: Any, otherwise: str = "") -> Path:
    """Return an argument that has to be a path."""
    if not isinstance(path, (str, os.PathLike)) or isinstance(os.fspath(path), bytes):
        raise TypeError(f"{name} must be a path{otherwise}, got {path!r}")
    if not os.fspath(path):
        raise ValueError(f"{name} must be a path, got {path!r}; '.' is the current folder")
    if "\0" in os.fspath(path):
        raise ValueError(f"{name} must be a path, which has no character 0 in it, got {path!r}")
    return Path(path).expanduser().absolute()


def _checked_folder(folder: Any) -> Path:
    """Return a folder that is there and can be written to."""
    if folder is None:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jaxaccel"
    place = as_path("folder", folder, ", or None for the user's folder for caches")
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise type(error)(
            error.errno,
            f"compiled programs cannot be kept there ({error.strerror}); pass a folder that this "
            "user can write to",
            str(place),
        ) from error
    return place

"""Compiled programs are kept on disk, for the other worker and for the next run.

Half of the suite's time goes into compiling, and an edit changes few of its programs. JAX finds one
by its text, the options and its own version, so that nothing is out of date; what is compared is
the same machine code as before. ``pytest --cache-clear`` forgets them.
"""

import functools
import os
import platform
import shutil
import zlib
from pathlib import Path

import jax

MANY = 100_000
"""Files from which on a run starts anew: about 600 MB, after many edits."""

ENVIRONMENT = {
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
"""Small programs too: they are nearly all."""

FOLDER = "JAX_COMPILATION_CACHE_DIR"

HALF_WRITTEN = "Error reading persistent compilation cache entry"
"""JAX's warning where another process is still writing (or was stopped): it compiles instead."""


def keep_programs(config):
    """Keep the programs of this process, and of those that it starts, in pytest's own cache."""
    if FOLDER in os.environ or (cache := getattr(config, "cache", None)) is None:
        return  # as the user, or the process that started this one, has it
    folder = Path(cache.mkdir("programs")) / machine()
    if folder.exists() and sum(1 for _ in folder.iterdir()) > MANY:
        shutil.rmtree(folder)
    os.environ |= {FOLDER: str(folder)} | ENVIRONMENT
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    _compress_sooner()


def _compress_sooner():
    """Pack programs quickly: most are never read again. What is read does not change."""
    try:
        from jax._src import compilation_cache
    except ImportError:
        return
    if not getattr(compilation_cache, "zstd", None) and not compilation_cache.zstandard:
        compilation_cache.compress_executable = functools.partial(zlib.compress, level=1)


def machine():
    """Return a name for the kind of processor: code for one may not run on another."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else [platform.processor()]
    features = sorted({line for line in lines if line.startswith(("flags", "Features"))} or lines)
    return f"{platform.machine()}-{zlib.crc32(features[0].encode()):08x}"

"""A compiler's own description of a machine, loaded without a word on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_QUIET = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-16",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "true",
}
"""What libtpu would ask a TPU's host for, with complaints where there is none. The type need not
match the topology; the last lets several processes compile at once: libtpu's lock file is for those
that run on a TPU, and stays as it is."""

_ASK = """
import json, sys
import jax, jax.numpy as jnp, numpy as np
from jax.experimental import topologies
from jax.sharding import Mesh, NamedSharding, PartitionSpec
name, arguments = json.loads(sys.argv[1])
try:
    devices = topologies.get_topology_desc(name, "tpu", **arguments).devices
    place = NamedSharding(Mesh(np.array(devices), "x"), PartitionSpec("x"))
    shape = jax.ShapeDtypeStruct((len(devices),), jnp.float32, sharding=place)
    jax.jit(jnp.sum).lower(shape).compile()
except Exception as error:
    sys.exit(f"refused {error}")
"""
"""A description of some machines is given without a word, and ends the process that uses it."""

_LONGEST_ANSWER = 60
"""Seconds to wait for."""


def described(name: str, platform: str, **arguments: Any) -> list[Any]:
    """Return the devices of a topology, from its compiler."""
    from jax.experimental import topologies

    try:
        with _quiet_libtpu(), silent():
            return topologies.get_topology_desc(name, platform, **arguments).devices
    except RuntimeError as error:
        if "lockfile" not in str(error):
            raise
        raise RuntimeError(
            "another process uses a TPU or its compiler and lets nobody else load it; wait for it, "
            f"or start it with ALLOW_MULTIPLE_LIBTPU_LOAD=true where it only compiles ({error})"
        ) from error


def refusal_of(name: str, arguments: dict[str, Any]) -> str | None:
    """Return what the TPU's compiler says against a topology, asked in a process of its own.

    None if it knows the topology. Some names end the process that asks.
    """
    question = [sys.executable, "-c", _ASK, json.dumps([name, arguments])]
    environment = os.environ | _QUIET | {"JAX_PLATFORMS": "cpu"}
    try:
        done = subprocess.run(
            question, env=environment, capture_output=True, text=True, timeout=_LONGEST_ANSWER
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {_LONGEST_ANSWER} seconds"
    if done.returncode == 0:
        return None
    if done.returncode < 0:
        return f"ends the process ({signal.Signals(-done.returncode).name})"
    said = done.stderr.rpartition("refused ")[2].strip()
    return said.splitlines()[0][:300] if said else f"ends with status {done.returncode}"


@contextmanager
def _quiet_libtpu() -> Iterator[None]:
    """Keep libtpu from looking for the TPU that is not here while it is loaded."""
    missing = {name: value for name, value in _QUIET.items() if name not in os.environ}
    os.environ.update(missing)
    try:
        yield
    finally:
        for name in missing:
            os.environ.pop(name, None)


@contextmanager
def silent() -> Iterator[None]:
    """Keep back what libraries write to the standard error, unless an exception passes.

    The CUDA plugin complains of the libraries of a driver that is not here, below Python.
    """
    try:
        kept = os.dup(2)
    except OSError:  # there is none
        yield
        return
    with tempfile.TemporaryFile() as written:
        sys.stderr.flush()
        os.dup2(written.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(kept, 2)
            written.seek(0)
            os.write(2, written.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)

"""The files of a save's arrays, which orbax writes and reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np


def orbax() -> Any:
    """Return orbax; raise with what brings it where it is missing."""
    try:
        import orbax.checkpoint as found
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'saving and restoring need orbax: pip install "jaxaccel[save]"', name=error.name
        ) from error
    return found


def begin(directory: Path, arrays: Mapping[str, Any]) -> Callable[[], None]:
    """Begin to write arrays, and return what waits for the end of it.

    All that is still read afterwards is on the host: the arrays may be donated meanwhile.
    """
    ocp = orbax()
    checkpointer = ocp.AsyncCheckpointer(ocp.PyTreeCheckpointHandler())
    try:
        checkpointer.save(directory, args=ocp.args.PyTreeSave(dict(arrays)))
    except BaseException:
        checkpointer.close()
        raise
    return checkpointer.close  # which waits, and raises what went wrong


def read(directory: Path, places: Mapping[str, Any]) -> dict[str, Any]:
    """Read arrays: each to its place among the devices, or onto the host where that is None."""
    ocp = orbax()

    def arguments(place: Any) -> Any:
        if place is None:
            return ocp.RestoreArgs(restore_type=np.ndarray)
        return ocp.ArrayRestoreArgs(restore_type=jax.Array, sharding=place)

    wanted = {name: arguments(place) for name, place in places.items()}
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
        return checkpointer.restore(
            directory,
            args=ocp.args.PyTreeRestore(
                item=dict.fromkeys(wanted, 0), restore_args=wanted, partial_restore=True
            ),
        )

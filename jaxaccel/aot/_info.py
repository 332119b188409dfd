"""What is on this machine: devices, their memory, versions, extras."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from typing import NamedTuple

import jax

from jaxaccel._checked import checked
from jaxaccel._text_table import columns, size_name

_PACKAGES = ("jaxaccel", "jax", "jaxlib", "flax", "optax", "numpy")
_EXTRAS = {
    "aot": ("libtpu", "tyro"),
    "aot-gpu": ("jax-cuda12-plugin", "jax-cuda12-pjrt"),
    "examples": ("matplotlib", "rich", "tyro"),
    "ray": ("ray", "matplotlib", "rich", "tyro"),
    "twins": ("torch", "matplotlib", "rich", "tyro"),
}
"""Extra -> packages that it brings."""


class Info(NamedTuple):
    """What :func:`info` returns; printed, it is a table."""

    python: str
    """Its version, and the machine."""
    versions: dict[str, str]
    """Of the library and what it depends on."""
    devices: list[dict[str, str | int | None]]
    """``kind``, ``platform`` and ``memory``, in bytes, None where the device does not say."""
    extras: dict[str, str]
    """Extra -> the packages that are missing, separated by commas; empty if it is there."""

    def __str__(self) -> str:
        """Return the table."""
        rows = [("python", self.python), *self.versions.items()]
        for index, device in enumerate(self.devices):
            memory = device["memory"]
            size = size_name(memory) if isinstance(memory, int) else "memory not known"
            rows.append((f"device {index}", f"{device['kind']} ({device['platform']}), {size}"))
        for name, missing in self.extras.items():
            found = f'missing {missing}: pip install "jaxaccel[{name}]"' if missing else "installed"
            rows.append((f"extra {name}", found))
        return "\n".join(columns(rows, left=len(rows[0])))

    def to_json(self) -> str:
        """Return the facts as JSON: one object."""
        return json.dumps(self._asdict(), indent=2)


@checked
def info() -> Info:
    """Return what is on this machine: devices, their memory, versions, extras.

    Returns:
        The facts. To ask for the devices starts JAX's backend, as the first array does.

    PyTorch:
        ``python -m torch.utils.collect_env``.

    Example:
        >>> import jaxaccel as ja
        >>> print(ja.aot.info().devices[0]["platform"])
        cpu
    """
    return Info(
        python=f"{platform.python_version()} on {platform.machine()}",
        versions={name: _version(name) or "not installed" for name in _PACKAGES},
        devices=[
            {
                "kind": device.device_kind,
                "platform": device.platform,
                "memory": (device.memory_stats() or {}).get("bytes_limit"),
            }
            for device in jax.devices()
        ],
        extras={
            name: ", ".join(package for package in packages if _version(package) is None)
            for name, packages in _EXTRAS.items()
        },
    )


def _version(package: str) -> str | None:
    """Return the version of a package, or None where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None

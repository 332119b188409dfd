"""DeepSpeed's second names for some of its keys."""

from __future__ import annotations

from typing import Any

from jaxaccel.interop._deepspeed_keys import KEYS, OTHER_NAMES


def with_first_names(config: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration with DeepSpeed's first name for every key."""
    zero = config.get("zero_optimization")
    if isinstance(zero, bool):  # the oldest form
        config = {**config, "zero_optimization": {"stage": int(zero)}}
    return _renamed(config, "")


def _renamed(config: dict[str, Any], before: str) -> dict[str, Any]:
    found = {}
    for name, value in config.items():
        path = OTHER_NAMES.get(before + name, before + name)
        last = path.rpartition(".")[2]
        if last != name and last in config:
            raise ValueError(f"{path} is there twice, as {name!r} and {last!r}; write one of them")
        is_section = isinstance(value, dict) and any(each.startswith(f"{path}.") for each in KEYS)
        found[last] = _renamed(value, f"{path}.") if is_section else value
    return found

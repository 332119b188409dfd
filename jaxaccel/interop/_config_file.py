"""Configurations of other libraries: a mapping, or a file of one."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any


def config_of(config: Mapping[str, Any] | str | os.PathLike[str], read: Any) -> dict[str, Any]:
    """Return a configuration as a dictionary of its own, read from a file where it is a path."""
    if isinstance(config, Mapping):
        return copy.deepcopy(dict(config))
    path = Path(config)
    if not path.exists():
        raise FileNotFoundError(
            "Expected a string path to an existing configuration, or a dictionary. Received: "
            f"{os.fspath(config)}"
        )
    found = read(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise ValueError(f"{path} must hold a mapping of keys, got {type(found).__name__}")
    return found


def read_json(text: str) -> Any:
    """Return what a JSON text holds; raise for a key that is written twice."""
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}; comments and trailing commas have no place") from None


def read_yaml(text: str) -> Any:
    """Return what a YAML text holds."""
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'reading YAML needs PyYAML: pip install "jaxaccel[interop]"', name="yaml"
        ) from error
    return yaml.safe_load(text)


def nearest(name: str, names: Iterable[str]) -> str:
    """Return ``; did you mean ...?`` with what is spelt nearly so, or nothing."""
    near = get_close_matches(name.lower(), {each.lower(): each for each in names}, n=1)
    found = [each for each in names if near and each.lower() == near[0]]
    return f"; did you mean {found[0]!r}?" if found else ""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"Duplicate keys in DeepSpeed config: {twice}\nWrite each of them once")
    return dict(pairs)

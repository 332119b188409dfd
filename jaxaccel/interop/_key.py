"""What becomes of a key of another library's configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from jaxaccel.interop._config_file import nearest


class Key(NamedTuple):
    """What becomes of a key."""

    kind: Literal["used", "noted", "refused"]
    """Read; said among the notes, since there is nothing to do; or an error where it asks for
    something."""
    text: str
    """How, why, or what to do instead."""
    harmless: tuple[object, ...] = ()
    """Values that ask for nothing, besides None and a section that is not enabled; of those that
    are refused, False too."""


Keys = Mapping[str, Key]
"""Dotted path -> what becomes of it. A section that is not ``used`` is not looked into."""


def used(text: str) -> Key:
    """Return a key that is read."""
    return Key("used", text)


def noted(text: str, *harmless: object) -> Key:
    """Return a key that has nothing to do here."""
    return Key("noted", text, harmless)


def refused(text: str, *harmless: object) -> Key:
    """Return a key that is an error, unless it asks for nothing."""
    return Key("refused", text, harmless)


def check_keys(whose: str, config: dict[str, Any], keys: Keys) -> tuple[str, ...]:
    """Return the notes on a configuration; raise for what is unknown, or asked for in vain."""
    unknown: list[str] = []
    in_vain: list[str] = []
    notes: list[str] = []
    for path, value in _entries(config, keys):
        key = keys.get(path)
        if key is None:
            unknown.append(f"{path!r}{_instead_of(path, keys)}")
        elif key.kind == "refused" and _asks(value, key.harmless):
            in_vain.append(f"{path} = {value!r:.60}: {key.text}")
        elif key.kind == "noted" and not (_is_off(value) or value in key.harmless):
            notes.append(f"{path}: {key.text}")
    if unknown:
        raise ValueError(f"unknown in a configuration of {whose}: {', '.join(unknown)}")
    if in_vain:
        raise ValueError("not done here:\n" + "\n".join(in_vain))
    return tuple(notes)


def _entries(config: dict[str, Any], keys: Keys, before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted path and the value of every key; of sections that are read, inside too."""
    for name, value in config.items():
        path = f"{before}{name}"
        yield path, value
        has_keys = any(each.startswith(f"{path}.") for each in keys)
        if isinstance(value, dict) and has_keys:
            yield from _entries(value, keys, f"{path}.")


def _instead_of(path: str, keys: Keys) -> str:
    section, _, name = path.rpartition(".")
    beside = [each.rpartition(".")[2] for each in keys if each.rpartition(".")[0] == section]
    elsewhere = [each for each in keys if each.endswith(f".{name}")]
    return nearest(name, beside) or (f"; did you mean {elsewhere[0]!r}?" if elsewhere else "")


def _is_off(value: Any) -> bool:
    if isinstance(value, dict):
        return not value or value.get("enabled", True) is False
    return value is None


def _asks(value: Any, harmless: tuple[object, ...]) -> bool:
    return not (value is False or _is_off(value) or value in harmless)

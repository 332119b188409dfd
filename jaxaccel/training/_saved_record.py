"""``run.json``: what a save says of itself, for programs and for people."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxaccel.training._saved_files import MANIFEST, RUN, check_digests, read_manifest
from jaxaccel.training._saved_tree import Leaf

_PARTS = ("step", "metrics", "kept", "extra", "tree")
"""What is read again; the rest is for people."""


def record_text(
    step: int, leaves: list[Leaf], extra: Any, metrics: dict[str, float], choice: dict[str, Any]
) -> str:
    """Return the text of a save's record."""
    whole = {
        "step": step,
        "metrics": metrics,
        "kept": choice,
        "extra": extra,
        "versions": versions(),
        "environment": {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "platform": jax.default_backend(),
            "devices": jax.device_count(),
            "processes": jax.process_count(),
            "jax_enable_x64": jax.dtypes.canonicalize_dtype(float) == np.float64,
        },
        "tree": [
            {name: value for name, value in leaf._asdict().items() if value is not None}
            for leaf in leaves
        ],
    }
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def versions() -> dict[str, str]:
    """Return the versions of what takes part in a run's numbers."""
    names = ("jaxaccel", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def read_record(path: Path) -> dict[str, Any]:
    """Return a save's record, after a look at its digest."""
    files = read_manifest(path)
    if RUN not in files or not (path / RUN).is_file() or (path / RUN).is_symlink():
        raise FileNotFoundError(f"{path} lacks '{RUN}'; restore an older save (step=)")
    check_digests([(RUN, path / RUN)], files)
    try:
        record = json.loads((path / RUN).read_text(encoding="utf-8"))
        record["tree"] = [_leaf(**each) for each in record["tree"]]
        return {name: record[name] for name in _PARTS}
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"{path / RUN} is not a record of a run, although {MANIFEST} has its digest: {error!r}"
        ) from None


def _leaf(path: str, dtype: str, shape: Any = (), impl: Any = None, value: Any = None) -> Leaf:
    return Leaf(str(path), str(dtype), tuple(map(int, shape)), impl, value)


def check_json(name: str, value: Any) -> None:
    """Raise for what JSON would not give back as it was."""
    if value is None or type(value) in (bool, int, float, str):
        return
    if type(value) is list:
        for index, each in enumerate(value):
            check_json(f"{name}[{index}]", each)
        return
    if isinstance(value, Mapping):
        for key, each in value.items():
            if type(key) is not str:
                raise TypeError(f"{name} has the key {key!r}; JSON has texts: use str({key!r})")
            check_json(f"{name}[{key!r}]", each)
        return
    remedies = {tuple: "use a list", set: "use a sorted list"}
    remedy = remedies.get(type(value), "arrays go into the tree; use float(x) or x.tolist()")
    raise TypeError(
        f"{name} is {value!r:.60}, of {type(value).__name__}, which JSON does not give back; "
        f"{remedy}"
    )


def plain_metrics(metrics: Mapping[str, Any] | None) -> dict[str, float]:
    """Return metrics as Python's floats."""
    return {str(name): float(value) for name, value in (metrics or {}).items()}


def metric_of(metric: str | None, metrics: Mapping[str, float]) -> str | None:
    """Return the metric that saves are ranked by: the one that is named, or the only one."""
    if metric is None:
        return next(iter(metrics)) if len(metrics) == 1 else None
    if metric not in metrics:
        raise ValueError(
            f"metric is {metric!r}, and metrics has {sorted(metrics)}; name one of them"
        )
    return metric

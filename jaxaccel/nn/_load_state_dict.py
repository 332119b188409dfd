"""PyTorch's names and layouts for a model's arrays: the way in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx

from jaxaccel._checked import checked_but
from jaxaccel._host_arrays import cast, host_array, placed_like
from jaxaccel._layout import from_torch
from jaxaccel._named_arrays import NamedArray, named_arrays, paths_of_variables

_WRAPPERS = re.compile(r"(?:module\.|_orig_mod\.)+")
"""What DistributedDataParallel and torch.compile put before a model's names."""


class IncompatibleKeys(NamedTuple):
    """What :func:`load_state_dict` could not match, with ``strict=False``."""

    missing_keys: list[str]
    """In the model, but not in the mapping."""
    unexpected_keys: list[str]
    """In the mapping, but not in the model."""


@checked_but("state_dict")
def load_state_dict(
    model: nnx.Module,
    state_dict: Mapping[str, Any],
    strict: bool = True,
    *,
    prefix: str = "",
    ignore: str | re.Pattern[str] | Sequence[str | re.Pattern[str]] = (),
) -> IncompatibleKeys:
    """Copy parameters and buffers into a model, in place.

    Everything is converted and checked before the first array is copied: nothing is changed when
    anything does not fit. Floats are rounded to the model's dtype; a number that would become
    another one in the cast is refused (an integer out of range, a fraction for an integer, a float
    that would become infinite, a complex number for a real one), and so is text.

    Args:
        model: A model as :func:`state_dict` takes it, which keeps its dtypes and its arrays'
            placement. One of shapes alone (``nnx.eval_shape``) is given its first numbers.
        state_dict: PyTorch's names, and arrays in PyTorch's layout: NumPy's, JAX's or PyTorch
            tensors, of any dtype (bfloat16 and float8 too) and on any device.
        strict: Whether the names must be exactly the model's.
        prefix: What all names there begin with and the model's do not: ``"module."`` after
            ``DistributedDataParallel``, ``"_orig_mod."`` after ``torch.compile``. Names without it
            are not expected.
        ignore: Regular expressions, searched for in the names (without ``prefix``) that the model
            does not have: those that match are passed over, such as buffers of PyTorch's that are
            computed here (``r"inv_freq$"``). The model's own names are loaded all the same.

    Returns:
        ``(missing_keys, unexpected_keys)``, both empty when ``strict``.

    Raises:
        TypeError: ``state_dict`` is not a mapping, or :func:`state_dict` refuses ``model``.
        ValueError: a shape differs, a value is not an array of numbers that fit, ``ignore`` is not
            a regular expression or, when ``strict``, a name is missing or not expected. The text
            lists all that is wrong.

    PyTorch:
        ``torch.nn.Module.load_state_dict``: the same, with its texts. What it accepts from older
        versions is accepted: no ``num_batches_tracked``, ``weight_g`` and ``weight_v`` for
        :func:`weight_norm`, one number with an axis for one without; and beyond it ``weight_orig``,
        ``weight_u`` and ``weight_v`` for :func:`spectral_norm`, and one name of arrays that are
        tied, where files keep no second one (safetensors). Left out: ``assign``, as a model of
        shapes, PyTorch's ``device="meta"``, is loaded without. PyTorch raises
        ``RuntimeError``, and only after it has copied what fits; it cuts fractions and wraps
        integers in silence.

    Example:
        >>> import numpy as np
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> layer = ja.nn.Linear(2, 1, rngs=nnx.Rngs(0))
        >>> weights = {"module.weight": np.array([[1.0, 2.0]]), "module.bias": np.array([0.5])}
        >>> ja.nn.load_state_dict(layer, weights, prefix="module.")
        IncompatibleKeys(missing_keys=[], unexpected_keys=[])
        >>> layer.weight.ravel().tolist()
        [1.0, 2.0]
    """
    if not isinstance(state_dict, Mapping):
        raise TypeError(
            f"Expected state_dict to be dict-like, got {type(state_dict)}.\n"
            "Give what model.state_dict() of PyTorch, or nn.state_dict(model), returns"
        )
    paths_of_variables(model)  # raises where layers cannot share what they share
    arrays = list(named_arrays(model))
    sources, unexpected = _sources(arrays, state_dict, prefix, ignore)
    metadata = getattr(state_dict, "_metadata", None) or {}

    def version_of(array: NamedArray) -> int | None:
        return metadata.get((prefix + array.name).rpartition(".")[0], {}).get("version")

    missing = [
        prefix + array.name
        for array in arrays
        if array.name not in sources and not _may_be_missing(array, arrays, sources, version_of)
    ]
    problems = []
    if strict and missing:
        problems.append(f"Missing key(s) in state_dict: {_quoted(missing)}. ")
    if strict and unexpected:
        problems.append(f"Unexpected key(s) in state_dict: {_quoted(unexpected)}. ")
    if strict and missing and unexpected:
        problems += _hint(missing, unexpected, prefix)
    values = []
    for array in arrays:
        if array.name in sources:
            try:
                values.append((array, _converted(array, state_dict[sources[array.name]])))
            except (TypeError, ValueError) as error:
                problems.append(str(error))
    if problems:
        listed = "\n\t".join(problems)
        raise ValueError(f"Error(s) in loading state_dict for {type(model).__name__}:\n\t{listed}")
    placed = [(v, _placed(v.get_value(), value)) for v, value in _whole_values(values)]
    for variable, new in placed:
        if isinstance(variable.get_value(), jax.Array):
            variable[...] = new
        else:
            variable.set_value(new)  # not in place: that array is the caller's, and maybe read-only
    return IncompatibleKeys(missing, unexpected)


def _sources(
    arrays: list[NamedArray], state_dict: Mapping[str, Any], prefix: str, ignore: Any
) -> tuple[dict[str, str], list[str]]:
    """Return which key has the array of each name, and the keys that nobody asked for."""
    present = {key for key in state_dict if isinstance(key, str) and key.startswith(prefix)}
    sources = {array.name: prefix + array.name for array in arrays}
    sources = {name: key for name, key in sources.items() if key in present}
    older = {array.name: _older_name(array) for array in arrays}
    for first in [array for array in arrays if array.name.endswith(("original", "original0"))]:
        # PyTorch takes the older names where it finds all of them, in the place of the newer ones.
        above = first.name.rpartition(".")[0] + "."
        group = [name for name, old in older.items() if old and name.startswith(above)]
        if group and all(prefix + str(older[name]) in present for name in group):
            sources |= {name: prefix + str(older[name]) for name in group}
    known, patterns = set(sources.values()), _patterns(ignore)
    unexpected = [
        key
        for key in state_dict
        if key not in known
        and not (key in present and any(each.search(key[len(prefix) :]) for each in patterns))
    ]
    return sources, unexpected


def _older_name(array: NamedArray) -> str | None:
    """Return the name that older versions of PyTorch had for an array of a parametrization."""
    layer, _, below = array.name.rpartition("parametrizations.")
    suffix = getattr(array.owner, "torch_older_suffixes", {}).get(below.rpartition(".")[2])
    return None if suffix is None else f"{layer}{below.partition('.')[0]}{suffix}"


def _patterns(ignore: Any) -> list[re.Pattern[str]]:
    """Return what is to be passed over, compiled."""
    given = [ignore] if isinstance(ignore, (str, re.Pattern)) else ignore
    if not isinstance(given, Iterable):
        raise TypeError(f"ignore must be regular expressions, got {ignore!r}")
    found = []
    for pattern in given:
        try:
            found.append(re.compile(pattern))
        except (re.error, TypeError) as error:
            raise ValueError(
                f"ignore must be regular expressions, got {pattern!r}: {error}; re.escape(name) "
                "makes one of a name"
            ) from error
    return found


def _may_be_missing(
    array: NamedArray,
    arrays: list[NamedArray],
    sources: Mapping[str, str],
    version_of: Callable[[NamedArray], int | None],
) -> bool:
    """Return whether an array comes under another name, or is newer than the mapping."""
    same = [a for a in arrays if a.variable is array.variable and a.layer == array.layer]
    if any(each.name in sources for each in same):
        return True
    since = getattr(array.owner, "torch_version_since", {}).get(array.name.rpartition(".")[2])
    version = version_of(array)
    return since is not None and (version is None or version < since)


def _converted(array: NamedArray, value: Any) -> np.ndarray:
    """Return a value as a variable keeps it: checked, in its layout and its dtype."""
    place = f'the parameter named "{array.name}"'
    found, shape = host_array(place, value), array.torch_shape
    if shape == () and found.shape == (1,):
        found = found[0]  # from before PyTorch 0.4, which had no numbers without an axis
    if found.shape != shape:
        raise ValueError(
            f"size mismatch for {array.name}: copying a param with shape {found.shape} from "
            f"checkpoint, the shape in current model is {shape}."
        )
    return from_torch(cast(place, np.asarray(found), array.variable.dtype), array.layout)


def _whole_values(
    values: Iterable[tuple[NamedArray, np.ndarray]],
) -> Iterator[tuple[nnx.Variable[jax.Array], np.ndarray]]:
    """Return each variable with its new numbers, those of a stack of layers in one array."""
    stacks: dict[int, tuple[NamedArray, dict[int, np.ndarray]]] = {}
    for array, value in values:
        if array.layer is None:
            yield array.variable, value
        else:
            stacks.setdefault(id(array.variable), (array, {}))[1][array.layer] = value
    for array, parts in stacks.values():
        if len(parts) == array.variable.shape[0]:
            yield array.variable, np.stack([parts[index] for index in sorted(parts)])
            continue
        whole = np.array(host_array(array.path, array.variable.get_value()))
        for index, value in parts.items():
            whole[index] = value
        yield array.variable, whole


def _placed(old: Any, value: np.ndarray) -> Any:
    """Return a variable's new numbers where its old ones are; NumPy's stay NumPy's."""
    is_jax = isinstance(old, (jax.Array, jax.ShapeDtypeStruct))
    return placed_like(old, value) if is_jax else np.array(value)


def _hint(missing: list[str], unexpected: list[str], prefix: str) -> list[str]:
    """Return what to do about names that differ by what PyTorch's wrappers add to them."""
    wanted = {name[len(prefix) :] for name in missing}
    befores = {
        name[: len(name) - len(own)]
        for name in unexpected
        for own in wanted
        if isinstance(name, str) and name.endswith(own)
    }
    for before in sorted(befores, key=len):
        if before and sum(before + own in set(unexpected) for own in wanted) == len(wanted):
            return [f"All of them are there after {before!r}: pass prefix={before!r}."]
    stripped = {_WRAPPERS.sub("", name) for name in unexpected if isinstance(name, str)}
    if wanted <= stripped:
        return [
            "All of them are there among names with _orig_mod. or module. inside: pass "
            '{name.replace("_orig_mod.", ""): array for name, array in state_dict.items()}.'
        ]
    return []


def _quoted(names: Iterable[Any]) -> str:
    """Return the names in quotes, separated by commas."""
    return ", ".join(f'"{name}"' for name in names)

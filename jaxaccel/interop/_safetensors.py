"""Weights for others: a file of safetensors with PyTorch's names and layouts."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel._host_arrays import host_array
from jaxaccel._named_arrays import named_arrays
from jaxaccel.nn import state_dict


@checked
def save_safetensors(
    model: nnx.Module | Mapping[str, Any],
    path: str | os.PathLike[str],
    *,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a model's parameters and buffers as a file of safetensors.

    The file appears whole, in the place of one that was there. In PyTorch
    ``model.load_state_dict(safetensors.torch.load_file(path))`` reads it, and
    ``safetensors.torch.load_model(model, path)`` a model with tied weights; here
    ``nn.load_state_dict(model, safetensors.numpy.load_file(path))`` reads either (bfloat16:
    ``safetensors.flax.load_file``).

    Args:
        model: A model, as :func:`nn.state_dict <jaxaccel.nn.state_dict>` takes it, or what that has
            returned, perhaps under other names. A run's parameters are put into its model by
            ``training.merge(model, state.params, state.model_state)``.
        path: The file, which usually ends in ``.safetensors``.
        metadata: Texts that the file says of itself, ``{"format": "pt"}`` for some readers.

    Returns:
        None.

    Raises:
        TypeError: A dtype that safetensors has no name for (complex128, int4), or
            :func:`nn.state_dict <jaxaccel.nn.state_dict>` refuses the model.
        ValueError: An array was donated, or other processes have parts of it.
        OSError: The folder does not exist, or there is no permission or space.
        ModuleNotFoundError: safetensors is missing; the extra ``interop`` brings it.

    PyTorch:
        ``safetensors.torch.save_model``: the same names, shapes and numbers. Of names that share
        one array the file has the first in the alphabet, and says in its metadata which others
        there are. Left out: ``force_contiguous``, as arrays here are contiguous.

    Example:
        >>> import tempfile, pathlib
        >>> import safetensors.numpy
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "model.safetensors"
        >>> ja.interop.save_safetensors(ja.nn.Linear(3, 2, rngs=nnx.Rngs(0)), path)
        >>> {name: a.shape for name, a in sorted(safetensors.numpy.load_file(path).items())}
        {'bias': (2,), 'weight': (2, 3)}
    """
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import save_file
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'files of safetensors need it: pip install "jaxaccel[interop]"', name="safetensors"
        ) from error
    arrays = state_dict(model) if isinstance(model, nnx.Module) else dict(model)
    others = _other_names(_same_arrays(model))
    kept = {
        name: np.ascontiguousarray(host_array(name, value)).reshape(np.shape(value))
        for name, value in arrays.items()
        if name not in others
    }
    if jax.process_index() != 0:
        return
    whole, new = Path(path), Path(f"{os.fspath(path)}.unfinished")
    try:
        save_file(kept, new, metadata={**others, **(metadata or {})} or None)
        os.replace(new, whole)
    except SafetensorError as error:
        new.unlink(missing_ok=True)
        if not whole.parent.is_dir():
            raise FileNotFoundError(f"{whole.parent} is not a folder; make it first") from None
        if of_disk := re.search(r"\(os error (\d+)\)", str(error)):
            raise OSError(int(of_disk[1]), f"{error}; nothing was changed", str(whole)) from None
        dtypes = ", ".join(sorted({array.dtype.name for array in kept.values()}))
        raise TypeError(
            f"{whole}: {error}\nThe model's dtypes are {dtypes}; cast what has no name there"
        ) from error


def _same_arrays(model: Any) -> dict[str, Any]:
    """Return what says by name which arrays are one: the same for the same."""
    if isinstance(model, nnx.Module):
        return {array.name: (id(array.variable), array.layer) for array in named_arrays(model)}
    return {name: id(value) for name, value in model.items()}


def _other_names(same: Mapping[str, Any]) -> dict[str, str]:
    """Return the names that an array has besides its first in the alphabet -> that one."""
    first: dict[Any, str] = {}
    for name in sorted(same):
        first.setdefault(same[name], name)
    return {name: first[key] for name, key in same.items() if first[key] != name}

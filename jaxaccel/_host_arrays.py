"""Arrays of any library as NumPy's, casts that change no number but by rounding, and back."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer


def host_array(name: str, value: Any) -> np.ndarray:
    """Return numbers as a NumPy array on the host, which may share memory with what was given.

    Args:
        name: What the value is called in errors.
        value: An array of NumPy or JAX, on any device; a PyTorch tensor, on any device, of any
            dtype (those that NumPy lacks come as float32), with or without gradient; a Python
            number, or a list of them.

    Raises:
        TypeError: It is something else, such as text, or a tensor that holds no plain numbers.
        ValueError: It cannot be read: it was donated, or other processes have parts of it.
    """
    if isinstance(value, jax.Array):
        array = _of_jax(name, value)
    elif isinstance(value, jax.ShapeDtypeStruct):
        raise TypeError(
            f"{name} has a shape and no numbers, as of a model that nnx.eval_shape has made: "
            "nn.load_state_dict gives it some"
        )
    elif hasattr(value, "detach") and hasattr(value, "cpu"):
        array = _of_tensor(name, value)
    else:
        try:
            array = np.asarray(value)
        except (TypeError, ValueError, RuntimeError) as error:
            raise TypeError(f"{name} must be an array of numbers: {error}") from error
    if not (jnp.issubdtype(array.dtype, jnp.number) or array.dtype.kind == "b"):
        kind = array.dtype if hasattr(value, "dtype") else type(value).__name__
        raise TypeError(f"{name} must be an array of numbers, got {kind}{_remedy(array.dtype)}")
    return array


def _remedy(dtype: np.dtype) -> str:
    """Return what to do about a dtype that is not of numbers."""
    if dtype.kind == "V" and dtype.names is None:
        return "; NumPy's files forget which dtype this was: use array.view(jnp.bfloat16) if it was"
    return "; use np.asarray(value, float) if they are numbers" if dtype.kind == "O" else ""


def _of_jax(name: str, array: jax.Array) -> np.ndarray:
    """Return a JAX array on the host."""
    if isinstance(array, Tracer):
        raise TypeError(f"{name} is traced: call this outside jax.jit and other transformations")
    if jnp.issubdtype(array.dtype, jax.dtypes.extended):
        raise TypeError(f"{name} must be an array of numbers, got keys of a random stream")
    if array.is_deleted():
        raise ValueError(f"{name} was deleted or donated: pass the array that took its place")
    if not (array.is_fully_addressable or array.is_fully_replicated):
        raise ValueError(
            f"{name} has parts on other processes: pass "
            "multihost_utils.process_allgather(array, tiled=True) of jax.experimental"
        )
    return np.asarray(array)


def _of_tensor(name: str, tensor: Any) -> np.ndarray:
    """Return a PyTorch tensor on the host; it is known by its methods, without PyTorch."""
    for is_so, trouble in (
        (getattr(tensor, "is_meta", False), "holds no numbers (device meta)"),
        (getattr(tensor, "is_quantized", False), "is quantized: pass tensor.dequantize()"),
        (hasattr(tensor, "full_tensor"), "is distributed: pass tensor.full_tensor()"),
        (
            str(getattr(tensor, "layout", "torch.strided")) != "torch.strided",
            "is not dense: pass tensor.to_dense()",
        ),
    ):
        if is_so:
            raise TypeError(f"{name} {trouble}")
    try:
        plain = tensor.detach().cpu().resolve_conj().resolve_neg()
        try:
            return plain.numpy()
        except TypeError:  # a dtype that NumPy lacks; float32 has all the numbers of each of them
            return (plain.cfloat() if plain.is_complex() else plain.float()).numpy()
    except (AttributeError, NotImplementedError, RuntimeError, TypeError) as error:
        kind = getattr(tensor, "dtype", type(tensor).__name__)
        raise TypeError(f"{name}, a tensor of {kind}, cannot be read: {error}") from error


def cast(name: str, array: np.ndarray, dtype: Any) -> np.ndarray:
    """Return an array in a dtype: the same numbers, or those rounded to it.

    Raises:
        ValueError: A number would become another one: it is out of range, it would lose its
            fraction or its imaginary part.
    """
    target = np.dtype(dtype)
    if array.dtype == target:
        return array
    if jnp.iscomplexobj(array) and not jnp.issubdtype(target, jnp.complexfloating):
        raise ValueError(
            f"{name} is complex ({array.dtype}), expected {target}: pass its real part"
        )
    if jnp.issubdtype(target, jnp.inexact):
        with np.errstate(all="ignore"):
            new = array.astype(target)
        is_lost = np.isfinite(_wide(array)) & ~np.isfinite(_wide(new))
        reason = f"is out of the range of {target}"
    else:
        is_lost, reason = _lost_in_integers(array, target)
        new = array if is_lost.any() else array.astype(target)
    if is_lost.any():
        first = _wide(array)[is_lost].ravel()[0]
        raise ValueError(f"{name} holds {first.item()}, which {reason}")
    return new


def _lost_in_integers(array: np.ndarray, target: np.dtype) -> tuple[np.ndarray, str]:
    """Return which numbers an integer dtype, or bool, does not have, and why."""
    lowest, highest = (0, 1) if target.kind == "b" else _bounds(target)
    wide = _wide(array)
    if wide.dtype.kind == "f":
        is_broken = ~np.isfinite(wide) | (np.trunc(wide) != wide)
        if is_broken.any():
            return is_broken, f"is not an integer, and {target} is expected"
        # The bounds plus one are powers of two: exact as floats, which the highest ones are not.
        is_out = (wide < float(lowest)) | (wide >= float(highest + 1))
    elif wide.size and int(wide.min()) >= lowest and int(wide.max()) <= highest:
        is_out = np.zeros(wide.shape, bool)
    else:
        is_out = np.array([not lowest <= int(each) <= highest for each in wide.ravel()], bool)
        is_out = is_out.reshape(wide.shape)
    return is_out, f"is out of the range of {target}, {lowest} to {highest}"


def _bounds(target: np.dtype) -> tuple[int, int]:
    """Return the smallest and the largest number of an integer dtype."""
    info = jnp.iinfo(target)
    return int(info.min), int(info.max)


def _wide(array: np.ndarray) -> np.ndarray:
    """Return numbers in a dtype that NumPy's own functions know: small floats as float32."""
    if array.dtype.kind in "biufc":
        return array
    return array.astype(np.float32 if jnp.issubdtype(array.dtype, jnp.floating) else np.int32)


def placed_like(old: Any, array: np.ndarray) -> jax.Array:
    """Return an array as JAX's; where another's placement was chosen, it has it too.

    It is a copy: the caller may go on to change its own array, or the tensor behind it.
    """
    new = jnp.array(array)
    is_abstract = isinstance(old, jax.ShapeDtypeStruct)
    is_placed = old.sharding is not None if is_abstract else getattr(old, "committed", False)
    return jax.device_put(new, old.sharding) if is_placed else new

"""Functions that users bring: how they are called, and what they return."""

from __future__ import annotations

import inspect
import numbers
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.core import Tracer

from jaxaccel._uncalled import is_plateau, is_transformation

_PACKAGE = __name__.partition(".")[0] + "."


def is_function(value: Any) -> bool:
    """Return whether something is called as it is: no class, and no array that says it can be."""
    return callable(value) and not isinstance(value, (type, nnx.Variable))


def check_takes(name: str, form: str, function: Any, *args: Any, **kwargs: Any) -> None:
    """Raise for a function that cannot be called as it will be.

    Args:
        name: What the user gave it as.
        form: What it takes and returns, in short: ``(step) -> number``.
        function: The function.
        *args: As many arguments as it will be given; they are not looked at.
        **kwargs: The same, by name.

    Raises:
        TypeError: It takes others.
    """
    if takes(function, *args, **kwargs):
        return
    remedy = f"; call it first: {name_of(function)}(...)" if _is_of_this_library(function) else ""
    raise TypeError(
        f"{name} must be a function {form}, got {name_of(function)}, which takes "
        f"{taken_by(function)}{remedy}"
    )


def takes(function: Any, *args: Any, **kwargs: Any) -> bool:
    """Return whether a function can be called so; of a callable without a signature, yes."""
    if (signature := _signature(function)) is None:
        return True
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        return False
    return True


def _takes_two(function: Any) -> bool:
    """Return whether a function can be given two arguments by position, and then others."""
    if (signature := _signature(function)) is None:
        return True
    try:
        signature.bind_partial(None, None)
    except TypeError:
        return False
    return True


def taken_by(function: Any) -> str:
    """Return what a function takes, as it may be written."""
    signature = _signature(function)
    assert signature is not None
    parameters = signature.parameters.values()
    bare = [each.replace(annotation=inspect.Parameter.empty) for each in parameters]
    return str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty))


def number_of(name: str, value: Any, found: str = "") -> Any:
    """Return one real number: Python's and NumPy's as a float, JAX's as an array of no axes.

    Args:
        name: What stands for it in the error.
        value: What must be one.
        found: What is said to have returned it.

    Raises:
        TypeError: It is something else.
        ValueError: It is an integer that no float holds.
    """
    if hasattr(value, "__jax_array__") and not isinstance(value, jax.Array):
        value = value.__jax_array__()
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        return as_float(name, value)
    if _is_real_number(value):
        return jnp.reshape(value, ()) if isinstance(value, jax.Array) else float(value.item())
    given = value.aval.str_short() if isinstance(value, Tracer) else f"{value!r:.80}"
    remedy = "; what makes a function is called first" if callable(value) else ""
    raise TypeError(f"{name} must {found or 'be'} one real number, got {given}{remedy}")


def _is_real_number(value: Any) -> bool:
    """Return whether an array holds one real number."""
    is_one = isinstance(value, (jax.Array, np.ndarray, np.generic)) and value.size == 1
    return is_one and jnp.issubdtype(value.dtype, jnp.number) and not jnp.iscomplexobj(value)


def as_float(name: str, value: Any) -> float:
    """Return a real number as a float.

    Raises:
        ValueError: It is an integer that no float holds.
    """
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} must be a number that a float holds, got {value!r:.80}") from None


def name_of(function: Any) -> str:
    """Return a function's name, or how it prints."""
    return getattr(function, "__name__", None) or f"{function!r:.80}"


def _signature(function: Any) -> inspect.Signature | None:
    """Return a function's signature, where it has one."""
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None


def _is_of_this_library(function: Any) -> bool:
    """Return whether a function is one of ours, which make what is wanted and are not it."""
    return (getattr(function, "__module__", None) or "").startswith(_PACKAGE)


def check_transformation(taker: str, tx: Any) -> None:
    """Raise unless something has ``init`` and ``update``: a factory that was not called, say."""
    if is_transformation(tx):
        return
    if is_plateau(tx):
        raise TypeError(
            f"{taker} takes a transformation, got {tx!r:.80}, which follows a metric; pass an "
            "optimizer in a chain with it: optax.chain(optimizer, plateau.transformation)"
        )
    if isinstance(tx, nnx.Module) or (callable(tx) and "loss_scale" in _parameters(tx)):
        found = "model" if isinstance(tx, nnx.Module) else "gradient function"
        raise TypeError(
            f"{taker} takes a transformation, such as optimizers.sgd(lr=0.1), got the {found} "
            f"{name_of(tx)}; a step is train_step(gradient_fn, tx)"
        )
    if callable(tx):
        name = getattr(tx, "__name__", type(tx).__name__)
        raise TypeError(
            f"{taker} takes a transformation, got the function {name}; call it first: {name}(...)"
        )
    raise TypeError(
        f"{taker} takes a transformation, such as optimizers.sgd(lr=0.1), got {tx!r:.80}"
    )


def check_factory(taker: str, optimizer: Any) -> None:
    """Raise for an optimizer that was called already, where the function is wanted."""
    if is_transformation(optimizer):
        raise TypeError(
            f"{taker} takes the optimizer's function, got what it returned: {optimizer!r:.80}; "
            f"pass the function and its arguments: {taker}(adamw, groups, lr=...)"
        )
    if not is_function(optimizer):
        raise TypeError(f"{taker} takes an optimizer such as optimizers.adamw, got {optimizer!r}")


def check_gradient_function(taker: str, function: Any) -> None:
    """Raise unless a function takes ``loss_scale``: a loss function handed in by mistake."""
    if isinstance(function, nnx.Module):
        raise TypeError(
            f"{taker} takes a gradient function, got the model {type(function).__name__}; write a "
            "loss function that calls it, and pass training.gradients(loss_fn)"
        )
    if not is_function(function):
        is_second = is_transformation(function)
        remedy = "; a step is train_step(gradient_fn, tx)" if is_second else ""
        raise TypeError(f"{taker} takes a gradient function, got {function!r:.80}{remedy}")
    if takes(function, None, None, None, loss_scale=None, key=None):
        return
    name = name_of(function)
    remedy = f"make one of a loss function with training.gradients({name})"
    if takes(function, None, None) or "loss_scale" in _parameters(function):
        remedy = "a step is made last, of a gradient function in all its wrappers"
    raise TypeError(
        f"{taker} takes a gradient function (params, model_state, batch, *, loss_scale, key), "
        f"got {name}, which takes {taken_by(function)}; {remedy}"
    )


def check_model_function(taker: str, function: Any) -> None:
    """Raise for what is seen not to be a model function: a model, a gradient function."""
    form = "(params, model_state, *inputs) -> (outputs, model_state)"
    if isinstance(function, nnx.Module):
        raise TypeError(
            f"{taker} takes a model function {form}, got the model {type(function).__name__}; "
            "training.split_model(model) makes one of it"
        )
    if not is_function(function):
        raise TypeError(f"{taker} takes a model function {form}, got {function!r:.80}")
    if "loss_scale" in _parameters(function):
        raise TypeError(
            f"{taker} takes a model function {form}, got {name_of(function)}, a gradient function; "
            "wrap the model function that its loss function calls"
        )
    if not _takes_two(function):
        raise TypeError(
            f"{taker} takes a model function {form}, got {name_of(function)}, which takes "
            f"{taken_by(function)}"
        )


def check_loss_function(taker: str, function: Any) -> None:
    """Raise unless something can be a loss function: not a model, not a gradient function."""
    if isinstance(function, nnx.Module) or not is_function(function):
        is_model = isinstance(function, nnx.Module)
        found = f"the model {type(function).__name__}" if is_model else f"{function!r:.80}"
        raise TypeError(
            f"{taker} takes a loss function (params, model_state, batch) -> (loss, (model_state, "
            f"metrics)), got {found}"
        )
    if "loss_scale" in _parameters(function):
        raise TypeError(
            f"{taker} takes a loss function, got a gradient function already, which takes "
            "loss_scale; hand that to training.train_step"
        )
    if not any(takes(function, None, None, None, **key) for key in ({}, {"key": None})):
        raise TypeError(
            f"{taker} takes a loss function (params, model_state, batch) -> (loss, (model_state, "
            f"metrics)), got {name_of(function)}, which takes {taken_by(function)}"
        )


def check_function(taker: str, name: str, function: Any, form: str, arguments: int) -> None:
    """Raise unless an argument is a function of so many arguments, and none of another kind."""
    if not is_function(function) or isinstance(function, nnx.Module):
        raise TypeError(
            f"{taker} takes {name} as a function {form}, got {type(function).__name__}: "
            f"{function!r:.80}"
        )
    if "loss_scale" in _parameters(function):
        raise TypeError(
            f"{taker} takes {name} as a function {form}, got a gradient function; make a step of "
            "it with training.train_step(gradient_fn, tx)"
        )
    check_takes(f"{taker}'s {name}", form, function, *[None] * arguments)


def check_key(loss_fn: Any, key: Any) -> None:
    """Raise where there is a key that the loss function does not take, or none that it needs."""
    own = _parameters(loss_fn).get("key")
    name = getattr(loss_fn, "__name__", "loss function")
    if key is not None and not _takes("key", loss_fn):
        raise TypeError(
            f"there is a key, but {name} takes no key=; leave key= out of train_state(...), or let "
            "the loss function take it"
        )
    if key is None and own is not None and own.default is own.empty:
        raise TypeError(
            f"{name} needs key=, and there is none; make the state with "
            "train_state(..., key=jax.random.key(seed))"
        )


def _parameters(function: Any) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of a function; of a callable without a signature, any."""
    if (signature := _signature(function)) is None:
        return {"any": inspect.Parameter("any", inspect.Parameter.VAR_KEYWORD)}
    return signature.parameters


def _takes(name: str, function: Any) -> bool:
    """Return whether a function takes a named argument."""
    parameters = _parameters(function)
    return name in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())

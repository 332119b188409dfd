"""Hyperparameter checks, with PyTorch's error texts.

Only numbers that are known now are checked: a schedule or a traced value passes.
"""

from __future__ import annotations

import inspect
import numbers
import operator
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.core import Tracer

from jaxaccel._donated import check_not_donated
from jaxaccel._functions import as_float, check_takes, name_of, taken_by, takes
from jaxaccel._math import Complement, is_zero


def known_value(name: str, value: Any) -> float | None:
    """Return ``value`` as a float, or None when it is a schedule or traced.

    Raises:
        TypeError: ``value`` is neither a real number, a real scalar array nor callable.
        ValueError: ``value`` is an array with more than one element.
    """
    if isinstance(value, Complement):
        distance = known_value(name, value.one_minus)
        return None if distance is None else 1.0 - distance
    if isinstance(value, Tracer):
        return None
    if callable(value):
        check_takes(name, "(step) -> number", value, 0)
        return None
    if isinstance(value, (jax.Array, np.ndarray, np.generic)):
        if value.size != 1:
            raise ValueError(f"{name} as an array must be 1-element, got shape {value.shape}")
        if jnp.issubdtype(value.dtype, jnp.number) and not jnp.iscomplexobj(value):
            return float(value.reshape(()))
    elif isinstance(value, numbers.Real) and not isinstance(value, bool):
        return as_float(name, value)
    raise TypeError(
        f"{name} must be a number, a JAX scalar or a schedule (a function of the step), "
        f"got {value!r}"
    )


def check_non_negative(name: str, value: Any, text: str) -> None:
    """Raise ``ValueError(f"{text}: {value}")`` for a known value that is negative or NaN."""
    known = known_value(name, value)
    if known is not None and not known >= 0.0:
        raise ValueError(f"{text}: {value}")


def check_positive(name: str, value: Any, text: str) -> None:
    """Raise ``ValueError(f"{text}: {value}")`` for a known value that is not above 0."""
    known = known_value(name, value)
    if known is not None and not known > 0.0:
        raise ValueError(f"{text}: {value}")


def check_lr(lr: Any) -> None:
    """Check a learning rate: at least 0."""
    check_non_negative("lr", lr, "Invalid learning rate")


def check_weight_decay(weight_decay: Any) -> None:
    """Check a weight decay: at least 0."""
    check_non_negative("weight_decay", weight_decay, "Invalid weight_decay value")


def check_eps(eps: Any) -> None:
    """Check an epsilon: at least 0."""
    check_non_negative("eps", eps, "Invalid epsilon value")


def check_betas(betas: Any) -> None:
    """Check a pair of decay factors: each in [0, 1)."""
    if not isinstance(betas, (tuple, list)) or len(betas) != 2:
        raise TypeError(f"betas must be a pair (beta1, beta2), got {betas!r}")
    for index, beta in enumerate(betas):
        known = known_value(f"betas[{index}]", beta)
        if known is not None and not 0.0 <= known < 1.0:
            raise ValueError(f"Invalid beta parameter at index {index}: {beta}")


def check_std(std: float, error: type[Exception] = ValueError) -> None:
    """Check the standard deviation of a draw: at least 0."""
    if not std >= 0.0:
        raise error(f"normal expects std >= 0.0, but found std {std:g}")


def as_integer(value: Any) -> int | None:
    """Return an integer, NumPy's or that of an array of no axes too, as Python's; else None.

    A bool is not a number here, as in PyTorch, nor is an integer of more than 64 bits.
    """
    if isinstance(value, bool):
        return None
    try:
        found = operator.index(value)
    except TypeError:
        return None
    return found if -(2**63) <= found < 2**64 else None


def check_positive_integer(name: str, value: Any) -> int:
    """Return a count as Python's integer, which is at least 1."""
    count = as_integer(value)
    if count is None:
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if count < 1:
        raise ValueError(f"{name} must be at least 1, got {count}")
    return count


def check_params_given(params: Any, reader: str) -> None:
    """Raise when an update that reads the parameters was called without them."""
    if params is None:
        raise ValueError(
            f"update(updates, state, params) of {reader} needs the parameters, "
            "got params=None; pass the current ones as the third argument"
        )


def check_params_for_decay(weight_decay: Any, params: Any) -> None:
    """Raise when an update that decays the parameters was called without them."""
    if not is_zero(weight_decay):
        check_params_given(params, "an optimizer with weight_decay")


def check_transformation(taker: str, tx: Any) -> None:
    """Raise unless something has ``init`` and ``update``: a factory that was not called, say."""
    if hasattr(tx, "init") and hasattr(tx, "update"):
        return
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
    if hasattr(optimizer, "init") and hasattr(optimizer, "update"):
        raise TypeError(
            f"{taker} takes the optimizer's function, got what it returned: {optimizer!r:.80}; "
            f"pass the function and its arguments: {taker}(adamw, groups, lr=...)"
        )
    if not callable(optimizer):
        raise TypeError(f"{taker} takes an optimizer such as optimizers.adamw, got {optimizer!r}")


def check_gradient_function(taker: str, function: Any) -> None:
    """Raise unless a function takes ``loss_scale``: a loss function handed in by mistake."""
    if isinstance(function, nnx.Module):
        raise TypeError(
            f"{taker} takes a gradient function, got the model {type(function).__name__}; write a "
            "loss function that calls it, and pass training.gradients(loss_fn)"
        )
    if not callable(function):
        raise TypeError(f"{taker} takes a gradient function, got {function!r:.80}")
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


def check_loss_function(taker: str, function: Any) -> None:
    """Raise unless something can be a loss function: not a model, not a gradient function."""
    if isinstance(function, nnx.Module) or not callable(function):
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
    if not callable(function) or isinstance(function, nnx.Module):
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


def check_loss_scale(loss_scale: Any) -> None:
    """Raise for what a loss cannot be multiplied with: all but one real number."""
    if loss_scale is None:
        return
    if not _is_array(loss_scale) or jnp.shape(loss_scale) or jnp.iscomplexobj(loss_scale):
        raise TypeError(
            f"loss_scale must be one real number, got {loss_scale!r:.80}; leave it out for 1"
        )


def _parameters(function: Any) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of a function; of a callable without a signature, any."""
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {"any": inspect.Parameter("any", inspect.Parameter.VAR_KEYWORD)}


def _takes(name: str, function: Any) -> bool:
    """Return whether a function takes a named argument."""
    parameters = _parameters(function)
    return name in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def check_arrays(name: str, tree: Any) -> None:
    """Raise for a leaf of a tree that JAX cannot compute with: a tensor, a text, donated."""
    if all(map(_is_array, jax.tree.leaves(tree))):
        check_not_donated(**{name: tree})
        return
    for path, leaf in jax.tree.leaves_with_path(tree):
        if not _is_array(leaf):
            kind = f"{type(leaf).__module__}.{type(leaf).__name__}"
            remedy = "pass tensor.numpy()" if kind == "torch.Tensor" else "pass arrays or numbers"
            found = f"an array of {leaf.dtype}" if isinstance(leaf, np.ndarray) else f"a {kind}"
            where = name + jax.tree_util.keystr(path)
            raise TypeError(f"{where} is {found}, {leaf!r:.60}; {remedy}")


def _is_array(leaf: Any) -> bool:
    """Return whether JAX takes something as an array."""
    if isinstance(leaf, (np.ndarray, np.generic)):
        return leaf.dtype.kind not in "OSUMm"
    kinds = (jax.Array, bool, int, float, complex)
    return isinstance(leaf, kinds) or hasattr(leaf, "__jax_array__")


def channels_last_remedy(shape: tuple[int, ...], axis: int, expected: int) -> str:
    """Return what to do where channels stand after the batch, as in PyTorch; "" elsewhere."""
    if len(shape) < 3 or axis % len(shape) != len(shape) - 1 or shape[1] != expected:
        return ""
    axes = ", ".join(map(str, (0, *range(2, len(shape)), 1)))
    return f"\nChannels are last here: got {tuple(shape)}; pass x.transpose({axes})."

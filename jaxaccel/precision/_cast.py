"""A model function in another precision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxaccel._checked import checked
from jaxaccel._functions import check_model_function, name_of
from jaxaccel._tree import is_frozen, map_unfrozen
from jaxaccel._types import ModelFunction, Params
from jaxaccel.precision._policy import Policy


@checked
def cast(apply: ModelFunction, policy: Policy) -> ModelFunction:
    """Return a model function that computes in a policy's dtype.

    It stands around the model and not around the loss: targets, weights of rows and everything else
    that only the loss reads keep their dtype.

    Args:
        apply: A model function ``(params, model_state, *inputs, **options) -> (outputs,
            model_state)``, as ``training.split_model`` returns it.
        policy: The dtypes.

    Returns:
        A model function of the same form. Parameters (frozen ones in ``model_state`` too) and
        floating-point arrays among the inputs (unless ``cast_forward_inputs`` is off) are cast to
        ``compute_dtype``, outputs to ``output_dtype``. Running statistics are not cast; gradients
        arrive in the parameters' own dtype.

    Raises:
        TypeError: A dtype of the policy is not one of floating-point numbers; or ``apply`` is a
            model, a gradient function or, which shows when it has returned, a loss function.

    PyTorch:
        ``with torch.autocast(...): outputs = model(inputs)``, with one dtype for the whole model
        (:class:`Policy`), and the loss outside.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> def apply(params, model_state, x):
        ...     print(params.dtype, x.dtype)
        ...     return params * x, model_state
        >>> half = ja.precision.cast(apply, ja.precision.Policy())
        >>> print(half(jnp.ones(2), (), jnp.ones(2))[0].dtype)
        bfloat16 bfloat16
        float32
    """
    check_model_function("cast", apply)
    for name in ("param_dtype", "compute_dtype", "output_dtype"):
        _check_floating(name, getattr(policy, name))

    def cast_apply(
        params: Params, model_state: Any, *inputs: Any, **options: Any
    ) -> tuple[Any, Any]:
        if policy.cast_forward_inputs:
            inputs, options = _cast_arrays((inputs, options), policy)
        used = jax.tree.map(
            lambda node: policy.cast_to_compute(node) if is_frozen(node) else node,
            model_state,
            is_leaf=is_frozen,
        )
        returned = apply(policy.cast_to_compute(params), used, *inputs, **options)
        outputs, new_state = _outputs_and_state(apply, returned, model_state)
        return policy.cast_to_output(outputs), map_unfrozen(lambda x: x, new_state, model_state)

    return cast_apply


def _check_floating(name: str, dtype: Any) -> None:
    """Raise unless a policy's dtype is one of floating-point numbers."""
    try:
        is_floating = dtype is not None and jnp.issubdtype(jnp.dtype(dtype), jnp.floating)
    except TypeError:
        is_floating = False
    if not is_floating:
        raise TypeError(
            f"{name} of a Policy must be a floating-point dtype such as jnp.bfloat16, got {dtype!r}"
        )


def _outputs_and_state(apply: ModelFunction, returned: Any, given: Any) -> tuple[Any, Any]:
    """Return what a model function has returned; raise for a loss function, which rounds all."""
    if not isinstance(returned, tuple) or len(returned) != 2:
        raise TypeError(
            f"cast takes a model function (params, model_state, *inputs) -> (outputs, "
            f"model_state), got {name_of(apply)}, which returned {type(returned).__name__}"
        )
    outputs, state = returned
    has_metrics = type(state) is tuple and len(state) == 2 and isinstance(state[1], Mapping)
    is_other = has_metrics and jax.tree.structure(state) != jax.tree.structure(given)
    if is_other and getattr(outputs, "shape", ()) == ():
        raise TypeError(
            f"cast takes a model function (params, model_state, *inputs) -> (outputs, "
            f"model_state), got {name_of(apply)}, which returned (loss, (model_state, metrics)): "
            "of a loss function it would round the targets and the loss too; cast the model "
            "function that the loss function calls: half = precision.cast(apply, policy)"
        )
    return outputs, state


def _cast_arrays(tree: Any, policy: Policy) -> Any:
    """Return a tree with its floating-point arrays cast; flags and numbers stay as they are."""
    return jax.tree.map(
        lambda leaf: policy.cast_to_compute(leaf) if hasattr(leaf, "dtype") else leaf, tree
    )

"""A flax.nnx model as a pure function of its parameters and its state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flax import nnx

from jaxaccel._types import Params


def split_model(model: nnx.Module) -> tuple[Callable[..., Any], Params, Any]:
    """Split a model into a pure function, its parameters and the rest of its state.

    Args:
        model: A flax.nnx module. It is not changed and can be used on.

    Returns:
        ``(apply, params, model_state)``: ``apply(params, model_state, *inputs, training)`` returns
        ``(outputs, new_model_state)``; ``params`` holds the ``nnx.Param`` leaves, ``model_state``
        everything else (running statistics, counters, dropout keys). ``training`` selects train
        or eval mode, as ``model.train()`` and ``model.eval()`` do.

    PyTorch:
        ``torch.func.functional_call(module, parameters_and_buffers, args)``: here buffers that the
        call changes come back instead of being changed.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> model = ja.nn.BatchNorm2d(1)
        >>> apply, params, state = ja.training.split_model(model)
        >>> x = jnp.arange(4.0).reshape(4, 1, 1, 1)
        >>> _, state = apply(params, state, x, training=True)
        >>> print(state["running_mean"][...])
        [0.15]
    """
    own = nnx.clone(model, variables=False)
    own.eval()
    eval_graph = nnx.graphdef(own)
    own.train()
    training_graph, params, model_state = nnx.split(own, nnx.Param, ...)

    def apply(params: Params, model_state: Any, *inputs: Any, training: bool) -> tuple[Any, Any]:
        graph = training_graph if training else eval_graph
        # Copied, so that variables made outside a transformation are not changed inside it.
        called = nnx.merge(graph, params, model_state, copy=True)
        outputs = called(*inputs)
        _, _, new_state = nnx.split(called, nnx.Param, ...)
        return outputs, new_state

    return apply, params, model_state

"""BatchNorm's running statistics anew, from one pass over the data."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import Any

import jax
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel._types import Params


@checked
def update_bn(loader: Iterable[Any], model: nnx.Module) -> None:
    """Replace a model's BatchNorm statistics by the mean over the batches of a loader.

    For weights that no batch has gone through: averaged ones (``nnx.update(model, state.module)``
    first). The forward pass runs in training mode and is compiled once per shape of a batch. The
    model is changed after the last batch: if one fails, it is as it was.

    Args:
        loader: Batches: arrays, or tuples or lists whose first element is the model's input.
        model: A model with batch normalization layers (:class:`jaxaccel.nn.BatchNorm1d`, 2d, 3d or
            :class:`jaxaccel.nn.SyncBatchNorm`, or a class of your own that says
            ``renewed_by_update_bn = True`` and has ``momentum``, ``None`` for a mean over all
            batches, and ``reset_running_stats()``); without any, nothing happens. Its weights, mode
            and momenta stay.

    Returns:
        Nothing: the model's running statistics are replaced in place.

    Raises:
        ValueError: from the model, for a batch that it does not take.

    PyTorch:
        ``torch.optim.swa_utils.update_bn``: the same statistics; every batch counts the same,
        whatever its size. Left out: ``device`` (JAX places arrays). PyTorch gives all layers the
        mode of the model itself, here each keeps its own; keys and counters of random layers move
        on in both.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> model = ja.nn.BatchNorm2d(1)
        >>> batches = [jnp.arange(4.0).reshape(4, 1, 1, 1) + shift for shift in (0.0, 10.0)]
        >>> ja.training.update_bn(batches, model)
        >>> print(model.running_mean[...], model.momentum)
        [6.5] 0.1
    """
    own = nnx.clone(model)
    layers = list(_renewed(own))
    if not layers:
        return
    own.train()
    for layer in layers:
        layer.momentum = None
        layer.reset_running_stats()
    graph, params, model_state = nnx.split(own, nnx.Param, ...)
    for batch in loader:
        input = batch[0] if isinstance(batch, (list, tuple)) else batch
        model_state = _forward(graph, params, model_state, input)
    nnx.update(model, model_state)


@functools.partial(jax.jit, static_argnums=0)
def _forward(graph: Any, params: Params, model_state: Any, input: Any) -> Any:
    """Return the model's state after one input."""
    # Copied, so that variables made outside a transformation are not changed inside it.
    model = nnx.merge(graph, params, model_state, copy=True)
    model(input)
    return nnx.split(model, nnx.Param, ...)[2]


def _renewed(model: nnx.Module) -> Iterator[Any]:
    """Yield the layers of a model whose class says that their statistics are renewed."""
    modules = (module for _, module in nnx.iter_modules(model))
    return (module for module in modules if getattr(module, "renewed_by_update_bn", False))

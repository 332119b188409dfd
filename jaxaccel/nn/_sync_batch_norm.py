"""Batch normalization over the whole of a batch that is spread over devices."""

from __future__ import annotations

from typing import TypeVar

import jax
from flax import nnx

from jaxaccel._types import AxisName
from jaxaccel.nn._batch_norm import BatchNormBase

Model = TypeVar("Model", bound=nnx.Module)


class SyncBatchNorm(BatchNormBase):
    """Normalise each channel by the whole batch, spread over devices: (N, ..., num_features).

    Within ``shard_map`` or ``pmap`` the devices of the mapped axis put their statistics together.
    Under plain ``jit`` a sharded batch is whole already, there and in every BatchNorm, and needs no
    ``axis_name``. Modes and variables are those of :class:`jaxaccel.nn.BatchNorm2d`; in evaluation
    no device asks another.

    Args:
        num_features: The channels.
        eps: Added to the variance, positive.
        momentum: In [0, 1], the weight of a new batch in the running statistics; None averages
            all batches equally.
        affine: Whether to scale and shift each channel.
        track_running_stats: Whether to keep running statistics; without them the batch's normalise
            in evaluation too, of each device its own part.
        dtype: Of parameters and running statistics; None for float32, which also serves float16 and
            bfloat16 inputs.
        bias: Whether ``affine`` shifts too.
        axis_name: The mapped axis, or several, over which the batch is spread; None for none.
        channel_axis: The axis of the channels; -1 is channels last, 1 is PyTorch's.

    Raises:
        ValueError: from a call, an input with less than two axes, of another number of channels
            or without any, or with one value per channel in training.
        TypeError: from a call, a dtype of the input that does not go with the parameters'.

    PyTorch:
        ``torch.nn.SyncBatchNorm``: the same, on the CPU too, but channels are last. Left out:
        ``process_group``, for which there is ``axis_name``, and ``device`` (JAX places arrays). All
        devices have parts of one size, as ``shard_map`` makes them.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> layer = ja.nn.SyncBatchNorm(1, axis_name="data")
        >>> graph, state = nnx.split(layer)
        >>> x = jnp.array([[[1.0]], [[3.0]]], jnp.float32)
        >>> def part(x):
        ...     return nnx.merge(graph, state, copy=True)(x)
        >>> jax.vmap(part, axis_name="data")(x).round(4).ravel().tolist()
        [-1.0, 1.0]

    References:
        Ioffe, Szegedy. Batch Normalization: Accelerating Deep Network Training by Reducing Internal
        Covariate Shift. 2015. https://arxiv.org/abs/1502.03167
    """

    def _check_input(self, input: jax.Array) -> None:
        """Raise on an input without a batch or without channels."""
        if input.ndim < 2:
            raise ValueError(f"expected at least 2D input (got {input.ndim}D input)")
        if input.shape[self.channel_axis] == 0:
            raise ValueError("SyncBatchNorm number of input channels should be non-zero")


def convert_sync_batchnorm(module: Model, axis_name: AxisName | None) -> Model:
    """Let every batch normalization of a model take its statistics over a mapped axis.

    The layers stay the objects that they are, with their parameters, statistics and modes; only
    their ``axis_name`` changes, in place.

    Args:
        module: A model, or a single layer.
        axis_name: The mapped axis, or several (of ``shard_map`` or ``pmap``), over which the batch
            is spread; None takes the axis away again.

    Returns:
        The same model.

    PyTorch:
        ``torch.nn.SyncBatchNorm.convert_sync_batchnorm``: the same numbers. There it puts new
        ``SyncBatchNorm`` layers in the place of the others, which then take inputs of any number of
        axes; here a ``BatchNorm2d`` with an ``axis_name`` is one, and still asks for images.

    Example:
        >>> import jaxaccel as ja
        >>> ja.nn.convert_sync_batchnorm(ja.nn.BatchNorm2d(3), "data").axis_name
        'data'
    """
    for _, layer in nnx.iter_modules(module):
        if isinstance(layer, BatchNormBase):
            layer.axis_name = axis_name
    return module

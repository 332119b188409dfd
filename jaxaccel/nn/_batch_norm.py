"""The batch normalization layers."""

from __future__ import annotations

from typing import ClassVar, TypeVar

import jax
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel._math import compute_dtype
from jaxaccel._types import AxisName, DType
from jaxaccel.functional import batch_norm
from jaxaccel.nn._arguments import value_of
from jaxaccel.nn._norm_base import NormBase, check_dims, store

Model = TypeVar("Model", bound=nnx.Module)


class BatchNormBase(NormBase):
    """Batch normalization, whatever the number of axes."""

    renewed_by_update_bn: ClassVar[bool] = True
    _dims: ClassVar[tuple[int, ...]] = ()

    @checked
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        dtype: DType | None = None,
        *,
        bias: bool = True,
        axis_name: AxisName | None = None,
        channel_axis: int = -1,
    ):
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, dtype, bias, channel_axis
        )
        self.axis_name = axis_name

    @checked
    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the output, in the input's dtype; in training, move the running statistics."""
        self._check_input(input)
        training = not self.use_running_average
        mean, var = value_of(self.running_mean), value_of(self.running_var)
        count = value_of(self.num_batches_tracked)
        momentum = 0.0 if self.momentum is None else self.momentum
        if count is not None and mean is not None:
            count = count + 1
            if self.momentum is None:
                momentum = 1 / count.astype(compute_dtype(mean.dtype))
        result = batch_norm(
            input,
            mean,
            var,
            value_of(self.weight),
            value_of(self.bias),
            training or mean is None,
            momentum,
            self.eps,
            channel_axis=self.channel_axis,
            axis_name=self.axis_name if training else None,
        )
        if training:
            store(self.running_mean, result.running_mean)
            store(self.running_var, result.running_var)
            store(self.num_batches_tracked, count)
        return result.output

    def _check_input(self, input: jax.Array) -> None:
        """Raise on a number of axes that the layer is not for."""
        check_dims(input, self._dims)


class BatchNorm2d(BatchNormBase):
    """Normalize each channel of images, channels last: (N, H, W, num_features).

    A new layer is in training mode: the batch's statistics normalize, and the running ones move
    (:func:`jaxaccel.functional.batch_norm`). ``model.eval()`` and ``model.train()`` switch, by
    flax's attribute ``use_running_average``. ``weight`` and ``bias`` are (num_features,) or None;
    ``running_mean``, ``running_var`` (num_features,) and ``num_batches_tracked`` () are
    ``nnx.BatchStat`` or None.

    Args:
        num_features: The channels.
        eps: Added to the variance, positive.
        momentum: In [0, 1], the weight of a new batch in the running statistics; None averages
            all batches equally.
        affine: Whether to scale and shift each channel.
        track_running_stats: Whether to keep running statistics; without them the batch's normalize
            in evaluation too.
        dtype: Of parameters and running statistics; None for float32, which also serves float16 and
            bfloat16 inputs.
        bias: Whether ``affine`` shifts too.
        axis_name: A mapped axis, or several (of ``shard_map`` or ``pmap``), over which the batch is
            spread: its statistics in training are then those of the whole batch.
        channel_axis: The axis of the channels; -1 is channels last, 1 is PyTorch's.

    Raises:
        ValueError: from a call, an input without four axes, of another number of
            channels, or with one value per channel in training.
        TypeError: from a call, a dtype of the input that does not go with the parameters'.

    PyTorch:
        ``torch.nn.BatchNorm2d``, and with ``axis_name`` ``torch.nn.SyncBatchNorm``: the same, but
        channels are last. Left out: ``device`` (JAX places arrays). The layer draws nothing and
        takes no ``rngs``. PyTorch raises ``RuntimeError`` for most shapes and dtypes.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> layer = ja.nn.BatchNorm2d(1)
        >>> _ = layer(jnp.array([1.0, 3.0], jnp.float32).reshape(2, 1, 1, 1))
        >>> round(float(layer.running_mean[0]), 4), round(float(layer.running_var[0]), 4)
        (0.2, 1.1)

    References:
        Ioffe, Szegedy. Batch Normalization: Accelerating Deep Network Training by Reducing Internal
        Covariate Shift. 2015. https://arxiv.org/abs/1502.03167
    """

    _dims = (4,)


class BatchNorm1d(BatchNormBase):
    """Normalize each channel of vectors (N, num_features) or sequences (N, L, num_features).

    Args:
        as :class:`BatchNorm2d`.

    Raises:
        as :class:`BatchNorm2d`, for an input without two or three axes.

    PyTorch:
        ``torch.nn.BatchNorm1d``: as :class:`BatchNorm2d` is to ``torch.nn.BatchNorm2d``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> layer = ja.nn.BatchNorm1d(1)
        >>> layer(jnp.array([[1.0], [3.0]], jnp.float32)).round(4).ravel().tolist()
        [-1.0, 1.0]
    """

    _dims = (2, 3)


class BatchNorm3d(BatchNormBase):
    """Normalize each channel of volumes, channels last: (N, D, H, W, num_features).

    Args:
        as :class:`BatchNorm2d`.

    Raises:
        as :class:`BatchNorm2d`, for an input without five axes.

    PyTorch:
        ``torch.nn.BatchNorm3d``: as :class:`BatchNorm2d` is to ``torch.nn.BatchNorm2d``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> layer = ja.nn.BatchNorm3d(4)
        >>> layer(jnp.ones((2, 3, 3, 3, 4), jnp.float32)).shape
        (2, 3, 3, 3, 4)
    """

    _dims = (5,)


class SyncBatchNorm(BatchNormBase):
    """Normalize each channel by the whole batch, spread over devices: (N, ..., num_features).

    Within ``shard_map`` or ``pmap`` the devices of the mapped axis put their statistics together.
    Under plain ``jit`` a sharded batch is whole already, there and in every BatchNorm, and needs no
    ``axis_name``. In evaluation no device asks another; without running statistics each then
    takes those of its own part.

    Args:
        as :class:`BatchNorm2d`.

    Raises:
        as :class:`BatchNorm2d`, for an input with less than two axes or without channels.

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
    """

    def _check_input(self, input: jax.Array) -> None:
        """Raise on an input without a batch or without channels."""
        if input.ndim < 2:
            raise ValueError(f"expected at least 2D input (got {input.ndim}D input)")
        if input.shape[self.channel_axis] == 0:
            raise ValueError("SyncBatchNorm number of input channels should be non-zero")


@checked
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

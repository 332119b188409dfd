"""The batch normalization layers."""

from __future__ import annotations

from typing import Any, ClassVar

import jax

from jaxaccel._math import compute_dtype
from jaxaccel._types import AxisName
from jaxaccel.functional import batch_norm
from jaxaccel.nn._arguments import value_of
from jaxaccel.nn._norm_base import NormBase, check_dims, store


class BatchNormBase(NormBase):
    """Batch normalization, whatever the number of axes."""

    _dims: ClassVar[tuple[int, ...]] = ()

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        dtype: Any = None,
        *,
        bias: bool = True,
        axis_name: AxisName | None = None,
        channel_axis: int = -1,
    ):
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, dtype, bias, channel_axis
        )
        self.axis_name = axis_name

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


class BatchNorm1d(BatchNormBase):
    """Normalise each channel of vectors (N, num_features) or sequences (N, L, num_features).

    Modes and variables are those of :class:`jaxaccel.nn.BatchNorm2d`.

    Args:
        num_features: The channels.
        eps: Added to the variance, positive.
        momentum: In [0, 1], the weight of a new batch in the running statistics; None averages
            all batches equally.
        affine: Whether to scale and shift each channel.
        track_running_stats: Whether to keep running statistics; without them the batch's normalise
            in evaluation too.
        dtype: Of parameters and running statistics; None for float32, which also serves float16 and
            bfloat16 inputs.
        bias: Whether ``affine`` shifts too.
        axis_name: A mapped axis, or several (of ``shard_map`` or ``pmap``), over which the batch is
            spread: its statistics in training are then those of the whole batch.
        channel_axis: The axis of the channels; -1 is channels last, 1 is PyTorch's.

    Raises:
        ValueError: from a call, an input without two or three axes, of another number of
            channels, or with one value per channel in training.
        TypeError: from a call, a dtype of the input that does not go with the parameters'.

    PyTorch:
        ``torch.nn.BatchNorm1d``: the same, but channels are last. Left out: ``device`` (JAX places
        arrays). PyTorch raises ``RuntimeError`` for most shapes and dtypes.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> layer = ja.nn.BatchNorm1d(1)
        >>> layer(jnp.array([[1.0], [3.0]], jnp.float32)).round(4).ravel().tolist()
        [-1.0, 1.0]

    References:
        Ioffe, Szegedy. Batch Normalization: Accelerating Deep Network Training by Reducing Internal
        Covariate Shift. 2015. https://arxiv.org/abs/1502.03167
    """

    _dims = (2, 3)


class BatchNorm2d(BatchNormBase):
    """Normalise each channel of images, channels last: (N, H, W, num_features).

    A new layer is in training mode: the batch's statistics normalise, and the running ones move
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
        track_running_stats: Whether to keep running statistics; without them the batch's normalise
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


class BatchNorm3d(BatchNormBase):
    """Normalise each channel of volumes, channels last: (N, D, H, W, num_features).

    Modes and variables are those of :class:`jaxaccel.nn.BatchNorm2d`.

    Args:
        num_features: The channels.
        eps: Added to the variance, positive.
        momentum: In [0, 1], the weight of a new batch in the running statistics; None averages
            all batches equally.
        affine: Whether to scale and shift each channel.
        track_running_stats: Whether to keep running statistics; without them the batch's normalise
            in evaluation too.
        dtype: Of parameters and running statistics; None for float32, which also serves float16 and
            bfloat16 inputs.
        bias: Whether ``affine`` shifts too.
        axis_name: A mapped axis, or several (of ``shard_map`` or ``pmap``), over which the batch is
            spread: its statistics in training are then those of the whole batch.
        channel_axis: The axis of the channels; -1 is channels last, 1 is PyTorch's.

    Raises:
        ValueError: from a call, an input without five axes, of another number of
            channels, or with one value per channel in training.
        TypeError: from a call, a dtype of the input that does not go with the parameters'.

    PyTorch:
        ``torch.nn.BatchNorm3d``: the same, but channels are last. Left out: ``device`` (JAX places
        arrays). PyTorch raises ``RuntimeError`` for most shapes and dtypes.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> layer = ja.nn.BatchNorm3d(4)
        >>> layer(jnp.ones((2, 3, 3, 3, 4), jnp.float32)).shape
        (2, 3, 3, 3, 4)

    References:
        Ioffe, Szegedy. Batch Normalization: Accelerating Deep Network Training by Reducing Internal
        Covariate Shift. 2015. https://arxiv.org/abs/1502.03167
    """

    _dims = (5,)

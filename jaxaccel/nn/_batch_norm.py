"""The batch normalization layer."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxaccel._math import compute_dtype
from jaxaccel._types import AxisName
from jaxaccel.nn._arguments import parameter_dtype
from jaxaccel.normalization import batch_norm


class BatchNorm2d(nnx.Module):
    """Normalise each channel of images, channels last: (N, H, W, num_features).

    A new layer is in training mode: the batch's statistics normalise, and the running ones move
    (:func:`jaxaccel.normalization.batch_norm`). ``model.eval()`` and ``model.train()`` switch, by
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
            spread: its statistics are then those of the whole batch.

    Raises:
        ValueError: from a call, an input without four axes or of another number of channels, or
            one value per channel in training.
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
    ):
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        self.axis_name = axis_name
        self.use_running_average = False
        dtype, shape = parameter_dtype(dtype), (num_features,)
        self.weight: nnx.Param[jax.Array] | None = nnx.data(None)
        self.bias: nnx.Param[jax.Array] | None = nnx.data(None)
        self.running_mean: nnx.BatchStat[jax.Array] | None = nnx.data(None)
        self.running_var: nnx.BatchStat[jax.Array] | None = nnx.data(None)
        self.num_batches_tracked: nnx.BatchStat[jax.Array] | None = nnx.data(None)
        if affine:
            self.weight = nnx.Param(jnp.ones(shape, dtype))
        if affine and bias:
            self.bias = nnx.Param(jnp.zeros(shape, dtype))
        if track_running_stats:
            self.running_mean = nnx.BatchStat(jnp.zeros(shape, dtype))
            self.running_var = nnx.BatchStat(jnp.ones(shape, dtype))
            self.num_batches_tracked = nnx.BatchStat(jnp.zeros((), int))

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the output, in the input's dtype; in training, move the running statistics."""
        if input.ndim != 4:
            raise ValueError(f"expected 4D input (got {input.ndim}D input)")
        training = not self.use_running_average
        mean, var = _value(self.running_mean), _value(self.running_var)
        count = _value(self.num_batches_tracked)
        momentum = 0.0 if self.momentum is None else self.momentum
        if count is not None and mean is not None:
            count = count + 1
            if self.momentum is None:
                momentum = 1 / count.astype(compute_dtype(mean.dtype))
        result = batch_norm(
            input,
            mean,
            var,
            _value(self.weight),
            _value(self.bias),
            training or mean is None,
            momentum,
            self.eps,
            axis_name=self.axis_name,
        )
        if training:
            _store(self.running_mean, result.running_mean)
            _store(self.running_var, result.running_var)
            _store(self.num_batches_tracked, count)
        return result.output

    def set_view(self, use_running_average: bool | None = None) -> None:
        """Take part in ``nnx.view``: switch the mode of a view."""
        if use_running_average is not None:
            self.use_running_average = use_running_average


def _value(variable: nnx.Variable[jax.Array] | None) -> jax.Array | None:
    """Return the array of a variable that may be absent."""
    return None if variable is None else variable[...]


def _store(variable: nnx.Variable[jax.Array] | None, value: jax.Array | None) -> None:
    """Give a variable, where there is one, a new array."""
    if variable is not None:
        variable[...] = value

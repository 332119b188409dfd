"""The instance normalization layers."""

from __future__ import annotations

import warnings
from typing import ClassVar

import jax

from jaxaccel._checked import checked
from jaxaccel._spatial import channels_last_remedy
from jaxaccel._types import DType
from jaxaccel.functional import instance_norm
from jaxaccel.nn._arguments import value_of
from jaxaccel.nn._norm_base import NormBase, check_dims, store


class InstanceNormBase(NormBase):
    """Instance normalization, whatever the number of axes."""

    _dims: ClassVar[tuple[int, int]] = (0, 0)
    """The axes of one sample and of a batch."""

    @checked
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        dtype: DType | None = None,
        *,
        bias: bool = True,
        channel_axis: int = -1,
    ):
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, dtype, bias, channel_axis
        )

    @checked
    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the output, in the input's dtype; in training, move the running statistics."""
        check_dims(input, self._dims)
        single = input.ndim == self._dims[0]
        self._check_channels(input, self.channel_axis % self._dims[1] - single)
        output = self._normalize(input[None] if single else input)
        return output[0] if single else output

    def _normalize(self, input: jax.Array) -> jax.Array:
        """Return the output for a batch."""
        output, mean, var = instance_norm(
            input,
            value_of(self.running_mean),
            value_of(self.running_var),
            value_of(self.weight),
            value_of(self.bias),
            not self.use_running_average or self.running_mean is None,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
            channel_axis=self.channel_axis,
        )
        if not self.use_running_average:
            store(self.running_mean, mean)
            store(self.running_var, var)
        return output

    def _check_channels(self, input: jax.Array, axis: int) -> None:
        """Raise, or without ``affine`` warn, where the channels are not ``num_features``."""
        size = input.shape[axis]
        if size == self.num_features:
            return
        if self.affine:
            raise ValueError(
                f"expected input's size at dim={axis} to match num_features "
                f"({self.num_features}), but got: {size}."
                + channels_last_remedy(input.shape, axis, self.num_features)
            )
        warnings.warn(
            f"input's size at dim={axis} does not match num_features. "
            "You can silence this warning by not passing in num_features, "
            "which is not used because affine=False",
            stacklevel=4,
        )


class InstanceNorm2d(InstanceNormBase):
    """Normalize each channel of each image, channels last: (N, H, W, num_features).

    Each channel of each sample has its own mean and variance
    (:func:`jaxaccel.functional.instance_norm`); an image without a batch axis works too. With
    ``track_running_stats`` those of a batch, averaged over its samples, move the running ones,
    which normalize after ``model.eval()``; ``num_batches_tracked`` stays 0. ``weight`` and ``bias``
    are (num_features,) or None.

    Args:
        num_features: The channels.
        eps: Added to the variance, not negative.
        momentum: In [0, 1], the weight of a new batch in the running statistics; None never moves
            them.
        affine: Whether to scale and shift each channel (not by default).
        track_running_stats: Whether to keep running statistics (not by default), which normalize in
            evaluation.
        dtype: Of parameters and running statistics; None for float32, which also serves float16 and
            bfloat16 inputs.
        bias: Whether ``affine`` shifts too.
        channel_axis: The axis of the channels, of a batch; -1 is channels last, 1 is PyTorch's.

    Raises:
        ValueError: from a call, an input without three or four axes, of another number of
            channels (with ``affine``), or with one value per channel and sample.
        TypeError: from a call, a dtype of the input that does not go with the parameters'.

    PyTorch:
        ``torch.nn.InstanceNorm2d``: the same, its warning about ``num_features`` without ``affine``
        too, but channels are last. Left out: ``device`` (JAX places arrays). PyTorch raises
        ``RuntimeError`` for most shapes and dtypes.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> layer = ja.nn.InstanceNorm2d(4)
        >>> layer(jnp.ones((2, 3, 3, 4), jnp.float32)).shape
        (2, 3, 3, 4)

    References:
        Ulyanov, Vedaldi, Lempitsky. Instance Normalization: The Missing Ingredient for Fast
        Stylization. 2016. https://arxiv.org/abs/1607.08022
    """

    _dims = (3, 4)


class InstanceNorm1d(InstanceNormBase):
    """Normalize each channel of each sequence, channels last: (N, L, num_features).

    A sequence without a batch axis works too.

    Args:
        as :class:`InstanceNorm2d`.

    Raises:
        as :class:`InstanceNorm2d`, for an input without two or three axes.

    PyTorch:
        ``torch.nn.InstanceNorm1d``: as :class:`InstanceNorm2d` is to ``torch.nn.InstanceNorm2d``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> layer = ja.nn.InstanceNorm1d(1)
        >>> layer(jnp.array([[[1.0], [3.0]]], jnp.float32)).round(4).ravel().tolist()
        [-1.0, 1.0]
    """

    _dims = (2, 3)


class InstanceNorm3d(InstanceNormBase):
    """Normalize each channel of each volume, channels last: (N, D, H, W, num_features).

    A volume without a batch axis works too.

    Args:
        as :class:`InstanceNorm2d`.

    Raises:
        as :class:`InstanceNorm2d`, for an input without four or five axes.

    PyTorch:
        ``torch.nn.InstanceNorm3d``: as :class:`InstanceNorm2d` is to ``torch.nn.InstanceNorm2d``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> layer = ja.nn.InstanceNorm3d(4)
        >>> layer(jnp.ones((2, 3, 3, 3, 4), jnp.float32)).shape
        (2, 3, 3, 3, 4)
    """

    _dims = (4, 5)

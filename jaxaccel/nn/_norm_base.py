"""What the normalization layers share: parameters, running statistics and the mode."""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import nnx

from jaxaccel._filled import filled
from jaxaccel._shapes import checked_shape
from jaxaccel.nn._arguments import parameter_dtype


class NormBase(nnx.Module):
    """The variables of batch and instance normalization, in PyTorch's order, and their mode."""

    torch_transposed = ()
    is_norm: ClassVar[bool] = True
    """Whether ``optimizers.set_weight_decay`` treats its parameters as those of a norm."""
    torch_version_since: ClassVar[dict[str, int]] = {"num_batches_tracked": 2}
    """What state dicts of an earlier version of the class lack."""
    renewed_by_update_bn: ClassVar[bool] = False
    """Whether ``training.update_bn`` replaces the running statistics."""

    def __init__(
        self,
        num_features: int,
        eps: float,
        momentum: float | None,
        affine: bool,
        track_running_stats: bool,
        dtype: Any,
        bias: bool,
        channel_axis: int,
    ):
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        self.channel_axis = channel_axis
        self.use_running_average = False
        dtype, shape = parameter_dtype(dtype), checked_shape((num_features,))
        self.weight: nnx.Param[jax.Array] | None = nnx.data(None)
        self.bias: nnx.Param[jax.Array] | None = nnx.data(None)
        self.running_mean: nnx.BatchStat[jax.Array] | None = nnx.data(None)
        self.running_var: nnx.BatchStat[jax.Array] | None = nnx.data(None)
        self.num_batches_tracked: nnx.BatchStat[jax.Array] | None = nnx.data(None)
        if affine:
            self.weight = nnx.Param(filled(shape, 1, dtype))
        if affine and bias:
            self.bias = nnx.Param(filled(shape, 0, dtype))
        if track_running_stats:
            self.running_mean = nnx.BatchStat(filled(shape, 0, dtype))
            self.running_var = nnx.BatchStat(filled(shape, 1, dtype))
            self.num_batches_tracked = nnx.BatchStat(filled((), 0, int))

    def reset_running_stats(self) -> None:
        """Give the layer the running statistics of a new one, where it keeps any."""
        for variable, start in (
            (self.running_mean, 0.0),
            (self.running_var, 1.0),
            (self.num_batches_tracked, 0),
        ):
            if variable is not None:
                variable[...] = jnp.full_like(variable[...], start)

    def set_view(self, use_running_average: bool | None = None) -> None:
        """Take part in ``nnx.view``: switch the mode of a view."""
        if use_running_average is not None:
            self.use_running_average = use_running_average


def check_dims(input: jax.Array, dims: tuple[int, ...]) -> None:
    """Raise unless the input has one of these numbers of axes, with PyTorch's text."""
    if input.ndim not in dims:
        expected = " or ".join(f"{n}D" for n in dims)
        raise ValueError(f"expected {expected} input (got {input.ndim}D input)")


def store(variable: nnx.Variable[jax.Array] | None, value: jax.Array | None) -> None:
    """Give a variable, where there is one, a new array of its shape and dtype."""
    if variable is not None:
        assert value is not None
        # ``variable[...] = value`` traces a part of the old array first, to see that it is all.
        variable.set_value(value)

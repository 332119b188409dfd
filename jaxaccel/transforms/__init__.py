"""Gradients and weights on their way: what happens before or after the optimizer."""

from jaxaccel._names import teach
from jaxaccel.transforms._accumulate_gradients import (
    AccumulateGradientsState,
    accumulate_gradients,
)
from jaxaccel.transforms._centralize_gradients import centralize_gradients
from jaxaccel.transforms._clip_grad_norm import (
    ClipGradNormState,
    clip_grad_norm,
    clip_grads_with_norm,
    get_total_norm,
)
from jaxaccel.transforms._clip_grad_value import ClipGradValueState, clip_grad_value
from jaxaccel.transforms._weight_average import (
    AverageState,
    WeightAverage,
    exponential_moving_average,
    stochastic_weight_average,
)

__all__ = [
    "clip_grad_norm",
    "ClipGradNormState",
    "get_total_norm",
    "clip_grads_with_norm",
    "clip_grad_value",
    "ClipGradValueState",
    "centralize_gradients",
    "accumulate_gradients",
    "AccumulateGradientsState",
    "exponential_moving_average",
    "stochastic_weight_average",
    "WeightAverage",
    "AverageState",
]

teach(__name__)

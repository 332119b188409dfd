"""``torch.amp``: which numbers are kept, and which are computed with."""

from jaxaccel._names import teach
from jaxaccel.precision._autocast import autocast
from jaxaccel.precision._autocast_notes import DtypeRow
from jaxaccel.precision._cast import cast
from jaxaccel.precision._deepspeed_grad_scaler import deepspeed_grad_scaler
from jaxaccel.precision._dtype_report import DtypeReport, dtype_report
from jaxaccel.precision._grad_scaler import GradScaler, grad_scaler
from jaxaccel.precision._grad_scaler_state import GradScalerState
from jaxaccel.precision._low_precision_state import LowPrecisionState, low_precision_state
from jaxaccel.precision._master_weights import MasterWeightsState, master_weights
from jaxaccel.precision._mixed_precision_policy import mixed_precision_policy
from jaxaccel.precision._policy import Policy
from jaxaccel.precision._scaled_gradients import ScaledGradientsState, scaled_gradients
from jaxaccel.precision._stochastic_rounding import (
    StochasticRoundingState,
    stochastic_rounding,
)
from jaxaccel.precision._to import to

__all__ = [
    "autocast",
    "to",
    "dtype_report",
    "DtypeReport",
    "DtypeRow",
    "Policy",
    "mixed_precision_policy",
    "cast",
    "grad_scaler",
    "GradScaler",
    "GradScalerState",
    "deepspeed_grad_scaler",
    "scaled_gradients",
    "ScaledGradientsState",
    "master_weights",
    "MasterWeightsState",
    "stochastic_rounding",
    "StochasticRoundingState",
    "low_precision_state",
    "LowPrecisionState",
]

teach(__name__)

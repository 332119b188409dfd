"""Rows for ``jaxaccel.optimizers``: defaults, every option alone, options that meet, extremes.

Options of a row: ``one_minus_beta``, the smallest ``1 - beta``, where PyTorch's own ``1 - beta**t``
is the limit; ``own_error_ratio``, another bound than the usual one for the low-precision runs.
"""

from parity_tests import tolerances as tol
from parity_tests.cases import Case


def decaying(step):
    """A learning rate that falls on a line, one rounding away from exact in float32.

    Not so a power (below): its own float32 error counts as the optimizer's.
    """
    return (60 - _as_float(step)) * (0.05 / 60)


def decaying_power(step):
    """A learning rate that falls by 5 % a step: inexact in float32."""
    return 0.05 * 0.95 ** _as_float(step)


def rising(step):
    """A decay factor that climbs from 0.80 towards 0.95."""
    return 0.95 - 0.15 * 0.9 ** _as_float(step)


def _as_float(step):
    """Return a Python int or a traced integer as a float, which strict promotion asks for."""
    return step.astype(float) if hasattr(step, "astype") else float(step)


def _rows(function, oracle, rows):
    return [Case(function, kwargs, oracle, why, *rest) for why, kwargs, *rest in rows]


_BEYOND = {"own_error_ratio": tol.OWN_ERROR_RATIO_BEYOND}

SGD = _rows(
    "optimizers.sgd",
    "torch.optim.SGD",
    [
        ("defaults", {}),
        ("lr", {"lr": 0.1}),
        ("lr zero", {"lr": 0.0}),
        ("lr schedule", {"lr": decaying}),
        ("momentum", {"lr": 0.1, "momentum": 0.9}),
        ("momentum near one", {"lr": 0.01, "momentum": 0.999}),
        ("momentum above one", {"lr": 0.01, "momentum": 1.05}),
        ("momentum schedule", {"lr": 0.1, "momentum": rising}),
        ("dampening without momentum", {"lr": 0.1, "dampening": 0.5}),
        ("dampening", {"lr": 0.1, "momentum": 0.9, "dampening": 0.5}),
        ("dampening one", {"lr": 0.1, "momentum": 0.9, "dampening": 1.0}),
        ("dampening schedule", {"lr": 0.1, "momentum": 0.9, "dampening": rising}),
        ("nesterov", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
        ("nesterov momentum schedule", {"lr": 0.1, "momentum": rising, "nesterov": True}),
        ("weight decay", {"lr": 0.1, "weight_decay": 0.1}),
        ("weight decay schedule", {"lr": 0.1, "weight_decay": decaying}),
        ("maximize", {"lr": 0.1, "maximize": True}),
        ("maximize weight decay", {"lr": 0.1, "maximize": True, "weight_decay": 0.1}),
        (
            "all with nesterov",
            {
                "lr": decaying,
                "momentum": 0.9,
                "weight_decay": 0.1,
                "nesterov": True,
                "maximize": True,
            },
        ),
        (
            "all with nesterov and an inexact schedule",
            {
                "lr": decaying_power,
                "momentum": 0.9,
                "weight_decay": 0.1,
                "nesterov": True,
                "maximize": True,
            },
            _BEYOND,
        ),
        (
            "all with dampening",
            {
                "lr": decaying,
                "momentum": 0.9,
                "dampening": 0.3,
                "weight_decay": 0.1,
                "maximize": True,
            },
        ),
    ],
)

_BETA2_ZERO = ("beta2 zero and a small eps", {"lr": 0.01, "betas": (0.9, 0.0)})
_EXTREME_DECAY = ("weight decay extreme", {"lr": 0.1, "weight_decay": 4.0})

_ADAM_ROWS = [
    ("defaults", {}),
    ("lr", {"lr": 0.1}),
    ("lr zero", {"lr": 0.0}),
    ("lr schedule", {"lr": decaying}),
    ("betas", {"lr": 0.01, "betas": (0.8, 0.95)}),
    ("beta1 zero", {"lr": 0.01, "betas": (0.0, 0.999)}),
    ("beta1 below half", {"lr": 0.01, "betas": (0.3, 0.999)}),
    ("beta2 zero", {"lr": 0.01, "betas": (0.9, 0.0), "eps": 0.1}),
    ("both betas zero", {"lr": 0.01, "betas": (0.0, 0.0)}),
    ("beta2 near one", {"lr": 0.01, "betas": (0.9, 0.99999)}),
    ("beta2 nearer one", {"lr": 0.01, "betas": (0.9, 1 - 1e-7)}, {"one_minus_beta": 1e-7}),
    ("beta1 schedule", {"lr": 0.01, "betas": (rising, 0.999)}),
    ("both betas schedule", {"lr": 0.01, "betas": (rising, rising)}),
    ("eps", {"lr": 0.01, "eps": 1e-3}),
    ("eps one", {"lr": 0.1, "eps": 1.0}),
    ("eps zero", {"lr": 0.01, "eps": 0.0}),
    ("weight decay", {"lr": 0.01, "weight_decay": 0.1}),
    ("weight decay zero", {"lr": 0.01, "weight_decay": 0.0}),
    ("weight decay large", {"lr": 0.1, "weight_decay": 1.0}),
    ("weight decay schedule", {"lr": 0.01, "weight_decay": decaying}),
    ("amsgrad", {"lr": 0.01, "amsgrad": True}),
    ("amsgrad low beta2", {"lr": 0.01, "betas": (0.9, 0.5), "amsgrad": True}),
    ("amsgrad weight decay", {"lr": 0.01, "amsgrad": True, "weight_decay": 0.1}),
    ("maximize", {"lr": 0.01, "maximize": True}),
    ("maximize weight decay", {"lr": 0.01, "maximize": True, "weight_decay": 0.1}),
    (
        "everything",
        {
            "lr": decaying,
            "betas": (rising, 0.99),
            "eps": 1e-4,
            "weight_decay": 0.1,
            "amsgrad": True,
            "maximize": True,
        },
    ),
]

ADAM = _rows(
    "optimizers.adam",
    "torch.optim.Adam",
    [
        *_ADAM_ROWS,
        (*_BETA2_ZERO, _BEYOND),
        _EXTREME_DECAY,
        (
            "decoupled weight decay",
            {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True},
        ),
        (
            "decoupled everything",
            {
                "lr": decaying,
                "weight_decay": 0.1,
                "amsgrad": True,
                "maximize": True,
                "decoupled_weight_decay": True,
            },
        ),
    ],
)

ADAMW = _rows(
    "optimizers.adamw",
    "torch.optim.AdamW",
    [*_ADAM_ROWS, _BETA2_ZERO, (*_EXTREME_DECAY, _BEYOND)],
)

CASES = [*SGD, *ADAM, *ADAMW]

"""Rows for Adam and its relatives."""

from parity_tests import tolerances as tol
from parity_tests.optimizers.rows_hyperparameters import decaying, rising, rows

_BEYOND = {"own_error_ratio": tol.OWN_ERROR_RATIO_BEYOND}

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

ADAM = rows(
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

ADAMW = rows(
    "optimizers.adamw",
    "torch.optim.AdamW",
    [*_ADAM_ROWS, _BETA2_ZERO, (*_EXTREME_DECAY, _BEYOND)],
)

_SHARED_ROWS = [
    ("defaults", {}),
    ("lr zero", {"lr": 0.0}),
    ("lr schedule", {"lr": decaying}),
    ("betas", {"lr": 0.01, "betas": (0.8, 0.95)}),
    ("beta1 zero", {"lr": 0.01, "betas": (0.0, 0.999)}),
    ("both betas zero", {"lr": 0.01, "betas": (0.0, 0.0)}),
    ("both betas schedule", {"lr": 0.01, "betas": (rising, rising)}),
    ("eps", {"lr": 0.01, "eps": 1e-3}),
    ("eps one", {"lr": 0.1, "eps": 1.0}),
    ("eps zero", {"lr": 0.01, "eps": 0.0}),
    ("weight decay", {"lr": 0.01, "weight_decay": 0.1}),
    ("weight decay schedule", {"lr": 0.01, "weight_decay": decaying}),
    ("maximize", {"lr": 0.01, "maximize": True}),
    ("maximize weight decay", {"lr": 0.01, "maximize": True, "weight_decay": 0.1}),
]

_DECOUPLED_ROWS = [
    ("decoupled", {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    (
        "decoupled maximize",
        {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True},
    ),
    ("decoupled without decay", {"lr": 0.01, "decoupled_weight_decay": True}),
]

_ALL_SCHEDULED = {
    "lr": decaying,
    "betas": (rising, 0.99),
    "eps": 1e-4,
    "weight_decay": decaying,
    "maximize": True,
}

ADAMAX = rows(
    "optimizers.adamax",
    "torch.optim.Adamax",
    [
        *_SHARED_ROWS,
        ("beta2 low", {"lr": 0.01, "betas": (0.9, 0.5)}),
        ("beta2 near one", {"lr": 0.01, "betas": (0.9, 0.99999)}),
        ("everything", _ALL_SCHEDULED),
    ],
)

NADAM = rows(
    "optimizers.nadam",
    "torch.optim.NAdam",
    [
        *_SHARED_ROWS,
        *_DECOUPLED_ROWS,
        ("beta1 below half", {"lr": 0.01, "betas": (0.4, 0.999)}),
        ("beta2 near one", {"lr": 0.01, "betas": (0.9, 0.99999)}),
        ("momentum decay zero", {"lr": 0.01, "momentum_decay": 0.0}),
        ("momentum decay", {"lr": 0.01, "momentum_decay": 0.5}),
        ("momentum decay schedule", {"lr": 0.01, "momentum_decay": rising}),
        (
            "momentum decay extreme and beta1 near one",
            {"lr": 0.01, "betas": (0.9999, 0.999), "momentum_decay": 1e3},
        ),
        ("everything", {**_ALL_SCHEDULED, "momentum_decay": rising}),
        ("decoupled everything", {**_ALL_SCHEDULED, "decoupled_weight_decay": True}),
    ],
)

WHERE_RHO_ENDS_AT_FIVE = "beta2 where rho ends at five"

RADAM = rows(
    "optimizers.radam",
    "torch.optim.RAdam",
    [
        *_SHARED_ROWS,
        *_DECOUPLED_ROWS,
        ("beta2 small and never rectified", {"lr": 0.01, "betas": (0.9, 0.5)}),
        # rho falls short of 5 by less than float32 can tell: more than 5 is meant, not 5.
        (WHERE_RHO_ENDS_AT_FIVE, {"lr": 0.01, "betas": (0.9, 2 / 3)}),
        ("beta2 rectified late", {"lr": 0.01, "betas": (0.9, 0.7)}),
        ("beta2 near one", {"lr": 0.01, "betas": (0.9, 0.9999)}),
        (
            "beta2 nearer one",
            {"lr": 0.01, "betas": (0.9, 0.99999)},
            {"one_minus_beta": 1e-5},
        ),
        ("everything", _ALL_SCHEDULED),
        ("decoupled everything", {**_ALL_SCHEDULED, "decoupled_weight_decay": True}),
    ],
)

"""Rows for optimizers that step along the gradient, its running sum or its sign."""

from parity_tests import tolerances as tol
from parity_tests.cases.hyperparameters import decaying, decaying_power, rising, rows

_BEYOND = {"own_error_ratio": tol.OWN_ERROR_RATIO_BEYOND}

SGD = rows(
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

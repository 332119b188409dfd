"""Rows for ``param_groups``: an optimizer, its groups, and the arguments of the default group.

A group's ``"params"`` is what jaxaccel is given; ``options["leaves"]`` says, for PyTorch, which
leaves of ``SHAPES`` each group has, the default group last.
"""

from parity_tests.optimizers.rows_hyperparameters import decaying, rising
from parity_tests.registry import Case

SHAPES = {"a.kernel": (24, 9), "a.bias": (9,), "b.kernel": (9, 4), "b.scale": (4,)}
MATRICES = {"a.kernel": (24, 9), "b.kernel": (9, 4), "c.kernel": (9, 9)}

_BY_NAME = {"leaves": (("a.bias",), ("b.kernel", "b.scale"), ("a.kernel",))}


def _row(name, oracle, first, second, defaults, why="groups", **options):
    groups = [{"params": "bias$", **first}, {"params": "^b", **second}]
    return Case(
        f"optimizers.{name}", {"groups": groups, **defaults}, oracle, why, {**_BY_NAME, **options}
    )


CASES = [
    _row(
        "sgd",
        "torch.optim.SGD",
        {"lr": 0.1, "momentum": 0.5, "dampening": 0.2, "nesterov": False},
        {"weight_decay": 0.1, "momentum": 0.0},
        {"lr": decaying, "momentum": 0.9, "nesterov": False},
    ),
    _row(
        "adam",
        "torch.optim.Adam",
        {"betas": (0.5, 0.9), "weight_decay": 0.1, "decoupled_weight_decay": True},
        {"eps": 1e-3, "amsgrad": True, "maximize": True},
        {"lr": 0.01},
    ),
    _row(
        "adamw",
        "torch.optim.AdamW",
        {"weight_decay": 0.0},
        {"lr": decaying, "betas": (rising, 0.99)},
        {"lr": 0.01, "betas": (0.9, 0.99999)},
        quick="when a group's schedule is read",
    ),
    _row(
        "adamax",
        "torch.optim.Adamax",
        {"betas": (0.5, 0.9), "lr": decaying},
        {"weight_decay": 0.1, "eps": 1e-3},
        {"lr": 0.01},
    ),
    _row(
        "nadam",
        "torch.optim.NAdam",
        {"betas": (0.5, 0.9), "momentum_decay": 0.1},
        {"weight_decay": 0.1, "lr": decaying},
        {"lr": 0.01},
    ),
    _row(
        "radam",
        "torch.optim.RAdam",
        {"betas": (0.5, 0.9), "eps": 1e-3},
        {"weight_decay": 0.1, "lr": decaying},
        {"lr": 0.01},
    ),
    _row(
        "adagrad",
        "torch.optim.Adagrad",
        {"lr_decay": 0.1},
        {"weight_decay": 0.1, "lr": decaying, "eps": 1e-3},
        {"lr": 0.1, "initial_accumulator_value": 0.5},
    ),
    _row(
        "adadelta",
        "torch.optim.Adadelta",
        {"rho": 0.5, "lr": decaying},
        {"weight_decay": 0.1, "eps": 1e-3},
        {"lr": 1.0},
    ),
    _row(
        "rmsprop",
        "torch.optim.RMSprop",
        {"alpha": 0.9, "momentum": 0.9, "centered": True},
        {"weight_decay": 0.1, "lr": decaying},
        {"lr": 0.01},
    ),
    _row(
        "rprop",
        "torch.optim.Rprop",
        {"etas": (0.4, 1.3), "lr": 0.05},
        {"step_sizes": (1e-3, 0.02)},
        {"lr": 0.01},
    ),
    _row(
        "asgd",
        "torch.optim.ASGD",
        {"lambd": 0.1, "alpha": 0.5, "lr": decaying},
        {"weight_decay": 0.1, "t0": 10},
        {"lr": 0.05},
    ),
    _row(
        "adafactor",
        "torch.optim.Adafactor",
        {"beta2_decay": -0.5, "eps": (None, 1e-2)},
        {"weight_decay": 0.1, "lr": decaying, "eps": (1e-8, 1e-3)},
        {"lr": 0.05, "d": 1.5},
        layout="torch",
    ),
    Case(
        "optimizers.muon",
        {
            "groups": [{"params": "^a", "momentum": 0.5}, {"params": "^b", "lr": decaying}],
            "lr": 0.01,
            "weight_decay": 0.2,
        },
        "torch.optim.Muon",
        "groups",
        {
            "leaves": (("a.kernel",), ("b.kernel",), ("c.kernel",)),
            "shapes": MATRICES,
            "bfloat16_inside": "Newton-Schulz iterations",
            "layout": "torch",
        },
    ),
]

IN_WRAPPERS = Case(
    "optimizers.param_groups",
    {"lr": 0.05, "betas": (0.8, 0.95)},
    "",
    "adamw",
    {
        "inner": Case("optimizers.adamw", {}, "torch.optim.AdamW", "inner"),
        "groups": [{"params": "kernel", "weight_decay": 0.1, "lr": decaying}],
    },
)
"""For the table of wrappers."""

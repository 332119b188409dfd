"""Rows for optimizers that step along the gradient, its running sum or its sign."""

from parity_tests import tolerances as tol
from parity_tests.optimizers.rows_hyperparameters import decaying, decaying_power, rising, rows

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
        (
            "dampening",
            {"lr": 0.1, "momentum": 0.9, "dampening": 0.5},
            {"quick": "the first step is not dampened, where Nesterov's is"},
        ),
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


def shrinking(step):
    """A factor below 1 that falls from 0.6 to 0.43, as nearly exact in float32 as a rate."""
    return decaying(step) * 4.0 + 0.4


def growing(step):
    """A factor above 1 that climbs from 1.1 to 1.27, likewise."""
    return 1.3 - decaying(step) * 4.0


ASGD = rows(
    "optimizers.asgd",
    "torch.optim.ASGD",
    [
        ("defaults", {}),
        ("lr", {"lr": 0.1}),
        ("lr zero", {"lr": 0.0}),
        ("lr schedule", {"lr": decaying}),
        ("lambd", {"lr": 0.1, "lambd": 0.1}),
        ("lambd zero", {"lr": 0.1, "lambd": 0.0}),
        ("lambd large", {"lr": 0.5, "lambd": 0.6}),
        ("lambd schedule", {"lr": 0.1, "lambd": decaying}),
        ("alpha", {"lr": 0.1, "lambd": 0.1, "alpha": 0.25}),
        ("alpha zero", {"lr": 0.1, "lambd": 0.1, "alpha": 0.0}),
        ("alpha two", {"lr": 0.5, "lambd": 0.5, "alpha": 2.0}),
        ("alpha schedule", {"lr": 0.1, "lambd": 0.1, "alpha": rising}),
        ("t0", {"lr": 0.1, "t0": 10}),
        ("t0 zero", {"lr": 0.1, "t0": 0.0}),
        ("t0 negative and no integer", {"lr": 0.1, "t0": -2.5}),
        ("t0 schedule", {"lr": 0.1, "t0": decaying}),
        ("weight decay", {"lr": 0.1, "weight_decay": 0.1}),
        ("weight decay schedule", {"lr": 0.1, "weight_decay": decaying}),
        ("maximize", {"lr": 0.1, "maximize": True}),
        (
            "everything",
            {
                "lr": decaying,
                "lambd": 0.1,
                "alpha": rising,
                "t0": 5,
                "weight_decay": 0.1,
                "maximize": True,
            },
        ),
    ],
)

RPROP = rows(
    "optimizers.rprop",
    "torch.optim.Rprop",
    [
        ("defaults", {}),
        ("lr", {"lr": 0.1}),
        ("lr zero", {"lr": 0.0}),
        ("lr below the smallest step size", {"lr": 1e-3, "step_sizes": (0.01, 50)}),
        ("lr above the largest step size", {"lr": 1.0, "step_sizes": (1e-6, 0.1)}),
        ("lr schedule of which the beginning counts", {"lr": decaying}),
        ("etas", {"etas": (0.4, 1.3)}),
        ("etas far from one", {"etas": (0.01, 5.0)}),
        ("etaminus schedule", {"etas": (shrinking, 1.2)}),
        ("both etas schedule", {"etas": (shrinking, growing)}),
        ("step sizes", {"step_sizes": (0.005, 0.03)}),
        ("step sizes equal", {"step_sizes": (0.01, 0.01)}),
        ("step sizes crossed", {"step_sizes": (0.02, 0.01)}),
        ("largest step size schedule", {"lr": 0.05, "step_sizes": (1e-6, decaying)}),
        ("both step sizes schedule", {"lr": 0.05, "step_sizes": (decaying, rising)}),
        ("maximize", {"maximize": True}),
        (
            "everything",
            {
                "lr": decaying,
                "etas": (shrinking, growing),
                "step_sizes": (1e-3, decaying),
                "maximize": True,
            },
        ),
    ],
)


def like_torch(name):
    """Only the wide matrix and the frozen one are flax kernels."""
    return "flax" if name in ("wide", "frozen") else "torch"


MATRICES = {
    "shapes": {"matrix": (24, 9), "wide": (5, 12), "square": (6, 6), "column": (7, 1)},
    "real_only": "PyTorch refuses complex parameters",
    "matrices_only": "PyTorch refuses other parameters",
    "bfloat16_inside": "the Newton-Schulz iteration",
    "one_step": tol.FLOAT32_ONE_STEP_ITERATED,
}
_TORCH, _FLAX = ({"layout": layout} | MATRICES for layout in ("torch", "flax"))
_OPTIMIZED = {"optimized": "eight rounds come close to the bound of one step"}

MUON = rows(
    "optimizers.muon",
    "torch.optim.Muon",
    [
        ("defaults", {}, _TORCH),
        ("defaults in flax layout", {}, _FLAX),
        ("lr", {"lr": 0.1}, _FLAX),
        ("lr zero", {"lr": 0.0}, _TORCH),
        ("lr schedule", {"lr": decaying}, _TORCH),
        ("weight decay", {"lr": 0.05, "weight_decay": 1.0}, _TORCH),
        ("weight decay zero", {"lr": 0.05, "weight_decay": 0.0}, _TORCH),
        ("weight decay schedule", {"lr": 0.05, "weight_decay": decaying}, _TORCH),
        ("momentum", {"lr": 0.05, "momentum": 0.5}, _TORCH),
        ("momentum zero", {"lr": 0.05, "momentum": 0.0}, _TORCH),
        ("momentum near one", {"lr": 0.05, "momentum": 0.999}, _TORCH),
        ("momentum schedule", {"lr": 0.05, "momentum": rising}, _TORCH),
        ("no nesterov", {"lr": 0.05, "nesterov": False}, _TORCH),
        (
            "no nesterov momentum schedule",
            {"lr": 0.05, "momentum": rising, "nesterov": False},
            _TORCH,
        ),
        ("coefficients", {"lr": 0.05, "ns_coefficients": (2.0, -1.5, 0.5)}, _TORCH),
        (
            "coefficient schedule",
            {"lr": 0.05, "ns_coefficients": (2.0, -1.5, decaying)},
            _TORCH,
        ),
        ("eps above the norm", {"lr": 0.05, "eps": 10.0}, _TORCH),
        ("eps schedule above the norm", {"lr": 0.05, "eps": growing}, _TORCH),
        ("one step", {"lr": 0.05, "ns_steps": 1}, _TORCH),
        ("no step", {"lr": 0.05, "ns_steps": 0}, _TORCH),
        ("more steps", {"lr": 0.05, "ns_steps": 8}, _TORCH | _OPTIMIZED),
        ("original learning rates", {"lr": 0.05, "adjust_lr_fn": "original"}, _FLAX),
        ("adamw's learning rates", {"lr": 0.05, "adjust_lr_fn": "match_rms_adamw"}, _FLAX),
        ("layout by path", {"lr": 0.05}, MATRICES | {"layout": like_torch}),
        (
            "everything",
            {
                "lr": decaying,
                "weight_decay": decaying,
                "momentum": rising,
                "nesterov": True,
                "ns_coefficients": (3.0, -4.0, 2.0),
                "eps": 1e-4,
                "ns_steps": 4,
                "adjust_lr_fn": "match_rms_adamw",
            },
            _FLAX,
        ),
    ],
)

"""Rows for diagonal Newton; PyTorch has none, so the judge is the formula in float64 NumPy."""

from parity_tests.optimizers.rows_hyperparameters import decaying, rising, rows

CASES = rows(
    "optimizers.diagonal_newton",
    "",
    [
        ("defaults", {}),
        ("lr", {"lr": 0.1}),
        ("lr zero", {"lr": 0.0}),
        ("lr integer", {"lr": 2}),
        ("lr schedule", {"lr": decaying}),
        ("damping", {"lr": 0.1, "damping": 0.5}),
        ("damping zero", {"lr": 0.1, "damping": 0.0}),
        ("damping schedule", {"lr": 0.1, "damping": decaying}),
        ("beta", {"lr": 0.1, "damping": 0.1, "beta": 0.9}),
        ("beta below half", {"lr": 0.1, "damping": 0.1, "beta": 0.3}),
        ("beta near one", {"lr": 0.1, "damping": 0.1, "beta": 0.99999}),
        ("beta schedule", {"lr": 0.1, "damping": 0.1, "beta": rising}),
        ("everything", {"lr": decaying, "damping": decaying, "beta": 0.8}),
    ],
)

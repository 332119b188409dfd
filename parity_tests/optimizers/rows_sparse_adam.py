"""Rows for SparseAdam: the options, and the ways in which gradients name rows.

Options of a row: ``table``, the parameter's shape; ``draws``, how many rows a step names, some of
them more than once; ``distinct``, none of them twice; ``among``, all of them among the first few;
``outside``, how many more are named that are not in the table; ``empty``, that every second step
names none.
"""

from parity_tests.optimizers.rows_hyperparameters import decaying, rising, rows

CASES = rows(
    "optimizers.sparse_adam",
    "torch.optim.SparseAdam",
    [
        ("defaults", {}),
        ("lr", {"lr": 0.1}),
        ("lr integer", {"lr": 1}),
        ("lr schedule", {"lr": decaying}),
        ("betas", {"lr": 0.01, "betas": (0.8, 0.95)}),
        ("beta1 zero", {"lr": 0.01, "betas": (0.0, 0.999)}),
        ("beta1 below half", {"lr": 0.01, "betas": (0.3, 0.999)}),
        ("beta2 zero", {"lr": 0.01, "betas": (0.9, 0.0), "eps": 0.1}),
        ("beta2 near one", {"lr": 0.01, "betas": (0.9, 0.99999)}),
        ("both betas schedule", {"lr": 0.01, "betas": (rising, rising)}),
        # Adam's eps is added after the bias correction, this one before.
        ("eps", {"lr": 0.01, "eps": 1e-3}),
        ("eps one", {"lr": 0.1, "eps": 1.0}),
        ("eps schedule", {"lr": 0.01, "eps": decaying}),
        ("maximize", {"lr": 0.01, "maximize": True}),
        (
            "everything",
            {"lr": decaying, "betas": (rising, 0.99), "eps": 1e-4, "maximize": True},
            {"outside": 5, "among": 9},
        ),
        ("no row twice", {"lr": 0.01}, {"distinct": True}),
        ("more draws than rows", {"lr": 0.01}, {"table": (11, 40), "draws": 30}),
        ("all rows", {"lr": 0.01}, {"draws": 48, "distinct": True}),
        ("one row", {"lr": 0.01}, {"draws": 1, "table": (4, 300)}),
        ("no rows at times", {"lr": 0.01}, {"empty": True}),
        ("rows outside", {"lr": 0.01}, {"outside": 7}),
        ("vector", {"lr": 0.01}, {"table": (400,), "draws": 150}),
        ("matrices as rows", {"lr": 0.01}, {"table": (30, 3, 5)}),
    ],
)

_SIGNS_AND_ROW_NUMBERS = {
    "maximize",
    "eps one",
    "no row twice",
    "all rows",
    "no rows at times",
    "rows outside",
}
LOW_PRECISION = [case for case in CASES if case.why not in _SIGNS_AND_ROW_NUMBERS]
"""The rows that say something in low precision: a sign is exact, an ``eps`` that hides the second
moment rounds as its neighbours do, and which rows are named is a question of integers."""

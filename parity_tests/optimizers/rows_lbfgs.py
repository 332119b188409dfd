"""Rows for ``jaxaccel.optimizers.lbfgs``, each on one of the problems of ``test_lbfgs``.

Options of a row: ``problem``; ``calls``, how many updates; ``starts``, from how many points.
"""

from parity_tests.optimizers.rows_hyperparameters import decaying, rows

WOLFE = {"line_search_fn": "strong_wolfe"}


def _on(problem, calls=3, starts=2):
    return {"problem": problem, "calls": calls, "starts": starts}


CASES = rows(
    "optimizers.lbfgs",
    "torch.optim.LBFGS",
    [
        ("defaults in one call", {}, _on("rosenbrock", 1, 1)),
        ("defaults on rosenbrock", {}, _on("rosenbrock", 3, 6)),
        ("defaults on a quadratic", {}, _on("quadratic", 3, 6)),
        ("defaults on a diagonal", {}, _on("diagonal", 3, 6)),
        ("defaults on logistic regression", {}, _on("logistic", 3, 6)),
        ("wolfe on rosenbrock", WOLFE, _on("rosenbrock", 3, 6)),
        ("wolfe on a quadratic", WOLFE, _on("quadratic", 3, 6)),
        ("wolfe on a diagonal", WOLFE, _on("diagonal", 3, 6)),
        ("wolfe on logistic regression", WOLFE, _on("logistic", 3, 6)),
        ("wolfe on a tree", WOLFE, _on("tree")),
        ("wolfe on waves", WOLFE, _on("waves")),
        ("wolfe where the loss overflows", {"lr": 1e3, **WOLFE}, _on("cliff")),
        ("negative curvature is not stored", {"lr": 0.1}, _on("waves", 1)),
        ("max iter one", {"max_iter": 1}, _on("rosenbrock", 20)),
        ("max iter one wolfe", {"max_iter": 1, **WOLFE}, _on("rosenbrock", 20)),
        ("max iter five wolfe", {"max_iter": 5, **WOLFE}, _on("rosenbrock", 6)),
        ("max eval", {"max_eval": 7}, _on("rosenbrock", 6)),
        ("max eval one", {"max_eval": 1}, _on("quadratic", 6)),
        ("max eval inside a search", {"max_eval": 4, **WOLFE}, _on("waves", 8)),
        ("max eval one wolfe", {"max_eval": 1, "lr": 2.0, **WOLFE}, _on("waves", 8)),
        ("history size one", {"history_size": 1, "max_iter": 10}, _on("logistic", 4)),
        ("history size three wolfe", {"history_size": 3, **WOLFE}, _on("rosenbrock", 2)),
        ("tolerance grad", {"tolerance_grad": 0.1}, _on("quadratic", 4)),
        ("tolerance grad at once", {"tolerance_grad": 1e9, **WOLFE}, _on("quadratic", 2, 1)),
        ("tolerance change wolfe", {"tolerance_change": 0.3, **WOLFE}, _on("waves", 6)),
        ("lr schedule", {"lr": decaying, "max_iter": 4}, _on("rosenbrock", 8)),
        ("tolerance schedule", {"tolerance_grad": decaying}, _on("logistic", 4)),
    ],
)

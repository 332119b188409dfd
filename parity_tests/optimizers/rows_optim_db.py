"""Rows of PyTorch's own test database of optimizers: every input of all 15."""

from parity_tests.optimizers.rows_optimizers import CASES as OWN
from parity_tests.registry import HOW_NOT_WHAT, Case

OPTIONS = {case.function: case.options for case in OWN if case.why == "defaults"} | {
    "optimizers.lbfgs": {"problem": "rosenbrock", "calls": 2, "starts": 2}
}
"""Row options that belong to an optimizer: no complex leaf, matrices only, the layout."""


def infos():
    """Return PyTorch's database, whose import takes seconds."""
    from torch.testing._internal.common_optimizers import optim_db

    return optim_db


def name_of(info):
    """Return jaxaccel's name of an optimizer of the database."""
    return {"SparseAdam": "sparse_adam"}.get(
        info.optim_cls.__name__, info.optim_cls.__name__.lower()
    )


def cases(name=None):
    """Return a row for every input of the database, or of one optimizer.

    A number given as a float32 tensor becomes a float64 one: PyTorch rounds what it computes from
    it, such as Muon's adjusted learning rate, to the tensor's dtype.
    """
    import torch  # here: the tables are read where PyTorch is not installed too

    return [
        Case(
            f"optimizers.{name_of(info)}",
            {
                key: value.double() if isinstance(value, torch.Tensor) else value
                for key, value in each.kwargs.items()
                if key not in HOW_NOT_WHAT
            },
            f"torch.optim.{info.optim_cls.__name__}",
            each.desc,
            OPTIONS.get(f"optimizers.{name_of(info)}", {}),
        )
        for info in infos()
        for each in info.optim_inputs_func(device="cpu")
        if name in (None, name_of(info))
    ]

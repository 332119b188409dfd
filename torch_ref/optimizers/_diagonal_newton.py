"""Newton's method with the Hessian's diagonal: every parameter has a step of its own curvature."""

from typing import Any

import torch
from torch.optim import Optimizer

from torch_ref._math import bias_correction, ema, is_zero


class DiagonalNewton(Optimizer):
    """Diagonal Newton: the gradient divided by the curvature, parameter by parameter.

    ``step(hessian_diagonal=...)`` takes one tensor a parameter, in the order of the groups, or a
    dictionary of them in that order: what :func:`hessian_diagonal` returns for the parameters.
    """

    def __init__(self, params, lr=1.0, damping=1e-4, beta=0.0):
        for name, value in (("learning rate", lr), ("damping value", damping)):
            if not value >= 0.0:
                raise ValueError(f"Invalid {name}: {value}")
        if not 0.0 <= beta < 1.0:
            raise ValueError(f"Invalid beta value: {beta}")
        super().__init__(params, {"lr": lr, "damping": damping, "beta": beta})

    @torch.no_grad()
    def step(self, closure: Any = None, *, hessian_diagonal: Any = None) -> Any:
        """Take one step along gradients that are there, or that ``closure`` makes."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        params = [(param, group) for group in self.param_groups for param in group["params"]]
        for (param, group), curvature in zip(params, self._known(hessian_diagonal), strict=True):
            if param.grad is None:
                continue
            state = self.state[param]
            state["step"] = state.get("step", torch.tensor(0.0)) + 1
            average = state.get("hessian_diagonal")
            if average is None and not is_zero(group["beta"]):
                average = torch.zeros_like(param)
            update, _, average = _update_leaf(
                param, param.grad, curvature, average, int(state["step"]),
                lr=group["lr"], damping=group["damping"], beta=group["beta"],
            )  # fmt: skip
            if average is not None:
                state["hessian_diagonal"] = average
            param.add_(update)
        return loss

    def _known(self, hessian_diagonal):
        """Return the curvature as a list, one tensor a parameter."""
        if hessian_diagonal is None:
            raise ValueError(
                "DiagonalNewton needs the curvature: step(hessian_diagonal=...), for example from "
                "torch_ref.optimizers.hessian_diagonal"
            )
        is_mapping = hasattr(hessian_diagonal, "values") and not torch.is_tensor(hessian_diagonal)
        found = list(hessian_diagonal.values() if is_mapping else hessian_diagonal)
        count = sum(len(group["params"]) for group in self.param_groups)
        if len(found) != count:
            raise ValueError(
                f"hessian_diagonal must hold one tensor for each of {count} parameters, "
                f"got {len(found)}"
            )
        return found


def _update_leaf(param, grad, hessian_diagonal, average, step, *, lr, damping, beta):
    """Return the update of one tensor, its diagonal and the new average."""
    del param
    curvature = hessian_diagonal
    if average is not None:
        average = ema(average, hessian_diagonal, beta)
        curvature = average / bias_correction(beta, step)
    return -lr * grad / (curvature.abs() + damping), hessian_diagonal, average

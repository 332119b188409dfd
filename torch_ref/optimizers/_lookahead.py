"""Lookahead: every k steps of any optimizer, fall back part of the way."""

from typing import Any

import torch
from torch.optim import Optimizer

from torch_ref._math import lerp


class Lookahead(Optimizer):
    """Let another optimizer run ahead, and follow it by a share of the way every ``k`` steps.

    It is an optimizer itself: hand it to the training loop, to schedulers and to ``GradScaler``.
    ``param_groups`` are those of the optimizer inside, the same list. The slow weights start as
    the parameters are before the first step.
    """

    def __init__(self, optimizer: Optimizer, k: int = 5, alpha: float = 0.5, *, start: int = 0):
        if not isinstance(k, int) or isinstance(k, bool):
            raise TypeError(f"k must be an integer, got {k!r}")
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        if start < 0:
            raise ValueError(f"start must be at least 0, got {start}")
        super().__init__(optimizer.param_groups, optimizer.defaults)
        self.optimizer, self.k, self.alpha, self.start = optimizer, k, alpha, start
        self.param_groups = optimizer.param_groups

    def step(self, closure: Any = None, **extra: Any) -> Any:
        """Step with the optimizer inside, and jump if it is time; return what that returns."""
        for param in self._params():
            if param not in self.state:
                self.state[param] = {"step": torch.tensor(0.0), "slow": param.detach().clone()}
        loss = self.optimizer.step(closure, **extra)
        with torch.no_grad():
            for param in self._params():
                state = self.state[param]
                state["step"] += 1
                since = int(state["step"]) - self.start
                when = {"jumps": since > 0 and since % self.k == 0, "follows": since <= 0}
                # The inner step is taken: what is left of its update is nothing.
                nothing = torch.full_like(param, -0.0)
                _, slow = _update_leaf(param, nothing, state["slow"], **when, alpha=self.alpha)
                state["slow"].copy_(slow)
                if when["jumps"]:
                    param.copy_(slow)
        return loss

    def add_param_group(self, param_group):
        """Add a group to the optimizer inside, whose groups these are."""
        if hasattr(self, "optimizer"):
            self.optimizer.add_param_group(param_group)
        else:
            super().add_param_group(param_group)

    def state_dict(self):
        """Return the slow weights and counts, the numbers, and the state of the optimizer inside.

        Its key ``"optimizer"`` holds that optimizer's own state dict.
        """
        own = {"k": self.k, "alpha": self.alpha, "start": self.start}
        own["optimizer"] = self.optimizer.state_dict()
        return super().state_dict() | own

    def load_state_dict(self, state_dict):
        """Continue from what :meth:`state_dict` returned."""
        self.optimizer.load_state_dict(state_dict["optimizer"])
        self.k, self.alpha = state_dict["k"], state_dict["alpha"]
        self.start = state_dict["start"]
        super().load_state_dict({name: state_dict[name] for name in ("state", "param_groups")})
        self.param_groups = self.optimizer.param_groups

    def __getstate__(self):
        own = {"optimizer": self.optimizer, "k": self.k, "alpha": self.alpha, "start": self.start}
        return super().__getstate__() | own

    def _params(self):
        """Return the parameters of all groups."""
        return [param for group in self.param_groups for param in group["params"]]


def _update_leaf(param, update, slow, *, jumps, follows, alpha):
    """Return the update of one tensor, and its slow weights."""
    if follows:
        return update, param + update
    if not jumps:
        return update, slow
    fast = param + update
    reached = lerp(slow, fast, alpha)
    return torch.where(reached != fast, reached - param, update), reached

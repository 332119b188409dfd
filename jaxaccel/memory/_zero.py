"""What the ZeRO paper's formula says of a state."""

from __future__ import annotations

from typing import NamedTuple


class ZeroFormula(NamedTuple):
    """The ZeRO paper's formula, ``(2 + 2 + K)`` bytes a parameter, with a run's own numbers.

    In the paper's mixed precision with Adam ``K`` is 12: master weights and both moments in
    float32. In float32 throughout the formula reads ``(4 + 4 + 8)``.
    """

    parameter_count: int
    """Parameters, all devices together."""
    devices: int
    """Over which the state may be spread."""
    parameters: float
    """Bytes a parameter, 2 in the paper."""
    gradients: float
    """Bytes a parameter for its gradient, 2 in the paper."""
    optimizer_state: float
    """K."""

    def __str__(self) -> str:
        parts = f"{self.parameters:.4g} + {self.gradients:.4g} + {self.optimizer_state:.4g}"
        return f"({parts}) x {self.parameter_count:,}"

    def stage(self, number: int) -> int:
        """Return bytes on each device.

        Args:
            number: 0, nothing is spread (DDP); 1, the optimizer's state; 2, gradients too;
                3, parameters too (FSDP).

        Raises:
            ValueError: There is no such stage.
        """
        if number not in range(4):
            raise ValueError(f"ZeRO has the stages 0, 1, 2 and 3, got {number}")
        parts = self.parameters, self.gradients, self.optimizer_state
        spread = [place >= 3 - number for place in range(3)]
        shares = [part / self.devices if s else part for part, s in zip(parts, spread, strict=True)]
        return round(sum(shares) * self.parameter_count)

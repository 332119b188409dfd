"""``torch.amp``: which numbers are kept, and which are computed with."""

from jaxaccel.precision._policy import Policy

__all__ = ["Policy"]

"""``torch.amp``: which numbers are kept, and which are computed with."""

from jaxaccel._names import teach
from jaxaccel.precision._cast import cast
from jaxaccel.precision._policy import Policy

__all__ = ["Policy", "cast"]

teach(__name__)

"""``torch.amp``: which numbers are kept, and which are computed with."""

from jaxaccel._names import teach
from jaxaccel.precision._autocast import autocast
from jaxaccel.precision._cast import cast
from jaxaccel.precision._policy import Policy
from jaxaccel.precision._to import to

__all__ = ["Policy", "autocast", "cast", "to"]

teach(__name__)

"""``torch.amp``: which numbers are kept, and which are computed with."""

from jaxaccel._names import teach
from jaxaccel.precision._autocast import autocast
from jaxaccel.precision._autocast_notes import DtypeRow
from jaxaccel.precision._cast import cast
from jaxaccel.precision._dtype_report import DtypeReport, dtype_report
from jaxaccel.precision._policy import Policy
from jaxaccel.precision._to import to

__all__ = ["DtypeReport", "DtypeRow", "Policy", "autocast", "cast", "dtype_report", "to"]

teach(__name__)

"""What goes on inside a run: where it stops being finite, and how well its loss is conditioned."""

from jaxaccel._names import teach
from jaxaccel.monitoring._anomaly import Anomaly, Operation
from jaxaccel.monitoring._condition_number import Conditioning, condition_number
from jaxaccel.monitoring._detect_anomaly import detect_anomaly
from jaxaccel.monitoring._find_anomaly import find_anomaly

__all__ = [
    "detect_anomaly",
    "find_anomaly",
    "Anomaly",
    "Operation",
    "condition_number",
    "Conditioning",
]

teach(__name__)

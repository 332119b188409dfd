"""``torch.nn.init`` and PyTorch's layer defaults, as functions ``init(key, shape, dtype)``."""

from jaxaccel._names import teach
from jaxaccel.init._constant import constant, ones, zeros
from jaxaccel.init._default import default_bias, default_weight
from jaxaccel.init._dirac import dirac
from jaxaccel.init._eye import eye
from jaxaccel.init._gain import calculate_gain
from jaxaccel.init._kaiming import kaiming_normal, kaiming_uniform
from jaxaccel.init._normal import normal
from jaxaccel.init._orthogonal import orthogonal
from jaxaccel.init._sparse import sparse
from jaxaccel.init._trunc_normal import trunc_normal
from jaxaccel.init._uniform import uniform
from jaxaccel.init._xavier import xavier_normal, xavier_uniform

__all__ = [
    "calculate_gain",
    "uniform",
    "normal",
    "trunc_normal",
    "constant",
    "ones",
    "zeros",
    "eye",
    "dirac",
    "xavier_uniform",
    "xavier_normal",
    "kaiming_uniform",
    "kaiming_normal",
    "orthogonal",
    "sparse",
    "default_weight",
    "default_bias",
]

teach(__name__)

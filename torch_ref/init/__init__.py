"""``torch.nn.init`` and PyTorch's layer defaults, as functions ``init(key, shape, dtype)``."""

from torch_ref.init._constant import constant, ones, zeros
from torch_ref.init._default import default_bias, default_weight
from torch_ref.init._dirac import dirac
from torch_ref.init._eye import eye
from torch_ref.init._kaiming import kaiming_normal, kaiming_uniform
from torch_ref.init._normal import normal
from torch_ref.init._orthogonal import orthogonal
from torch_ref.init._sparse import sparse
from torch_ref.init._trunc_normal import trunc_normal
from torch_ref.init._uniform import uniform
from torch_ref.init._xavier import xavier_normal, xavier_uniform

__all__ = [
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

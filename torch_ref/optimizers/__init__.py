"""Optimizers that PyTorch lacks; beside them, the algorithms of all on one tensor, to be read.

``_adam.py`` and its siblings hold ``_update_leaf`` as ``jaxaccel/optimizers`` has it. PyTorch's own
optimizers are in ``torch.optim``.
"""

from torch_ref.optimizers._diagonal_newton import DiagonalNewton
from torch_ref.optimizers._hessian_diagonal import hessian_diagonal
from torch_ref.optimizers._lookahead import Lookahead

__all__ = ["Lookahead", "DiagonalNewton", "hessian_diagonal"]

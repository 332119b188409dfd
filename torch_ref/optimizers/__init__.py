"""The mirror of ``jaxaccel.optimizers``."""

from torch_ref.optimizers._adadelta import AdadeltaState, adadelta
from torch_ref.optimizers._adafactor import AdafactorState, adafactor
from torch_ref.optimizers._adagrad import AdagradState, adagrad
from torch_ref.optimizers._adam import AdamState, adam
from torch_ref.optimizers._adamax import AdamaxState, adamax
from torch_ref.optimizers._adamw import adamw
from torch_ref.optimizers._asgd import ASGDState, asgd
from torch_ref.optimizers._diagonal_newton import DiagonalNewtonState, diagonal_newton
from torch_ref.optimizers._hessian_diagonal import hessian_diagonal
from torch_ref.optimizers._lbfgs import LBFGSState, lbfgs
from torch_ref.optimizers._lookahead import LookaheadState, lookahead
from torch_ref.optimizers._muon import MuonState, muon
from torch_ref.optimizers._nadam import NAdamState, nadam
from torch_ref.optimizers._radam import RAdamState, radam
from torch_ref.optimizers._rmsprop import RMSpropState, rmsprop
from torch_ref.optimizers._rprop import RpropState, rprop
from torch_ref.optimizers._sgd import SGDState, sgd
from torch_ref.optimizers._sparse_adam import SparseAdamState, sparse_adam
from torch_ref.optimizers._sparse_rows import SparseRows, apply_sparse_updates

__all__ = [
    "sgd",
    "SGDState",
    "adam",
    "AdamState",
    "adamw",
    "adamax",
    "AdamaxState",
    "nadam",
    "NAdamState",
    "radam",
    "RAdamState",
    "adagrad",
    "AdagradState",
    "adadelta",
    "AdadeltaState",
    "rmsprop",
    "RMSpropState",
    "lbfgs",
    "LBFGSState",
    "adafactor",
    "AdafactorState",
    "lookahead",
    "LookaheadState",
    "sparse_adam",
    "SparseAdamState",
    "SparseRows",
    "apply_sparse_updates",
    "diagonal_newton",
    "DiagonalNewtonState",
    "hessian_diagonal",
    "asgd",
    "ASGDState",
    "rprop",
    "RpropState",
    "muon",
    "MuonState",
]

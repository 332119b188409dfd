"""``torch.optim``: optimizers as optax transformations, one a file."""

from jaxaccel._names import teach
from jaxaccel._tree import Counts
from jaxaccel._types import BufferDecay, DecayFactor, Hyperparameter
from jaxaccel.optimizers._adadelta import AdadeltaState, adadelta
from jaxaccel.optimizers._adafactor import AdafactorState, adafactor
from jaxaccel.optimizers._adagrad import AdagradState, adagrad
from jaxaccel.optimizers._adam import AdamState, adam
from jaxaccel.optimizers._adamax import AdamaxState, adamax
from jaxaccel.optimizers._adamw import adamw
from jaxaccel.optimizers._asgd import ASGDState, asgd
from jaxaccel.optimizers._count_per_parameter import (
    CountPerParameterState,
    count_per_parameter,
)
from jaxaccel.optimizers._diagonal_newton import DiagonalNewtonState, diagonal_newton
from jaxaccel.optimizers._hessian_diagonal import hessian_diagonal
from jaxaccel.optimizers._hyperparams import get_hyperparams, has_hyperparams, set_hyperparams
from jaxaccel.optimizers._lbfgs import LBFGSState, lbfgs
from jaxaccel.optimizers._load_state_dict import load_state_dict
from jaxaccel.optimizers._lookahead import LookaheadState, lookahead
from jaxaccel.optimizers._muon import MuonState, muon
from jaxaccel.optimizers._muon_with_adamw import MuonWithAdamWState, muon_with_adamw
from jaxaccel.optimizers._nadam import NAdamState, nadam
from jaxaccel.optimizers._no_decay import no_decay
from jaxaccel.optimizers._param_groups import ParamGroupsState, param_groups
from jaxaccel.optimizers._radam import RAdamState, radam
from jaxaccel.optimizers._rmsprop import RMSpropState, rmsprop
from jaxaccel.optimizers._rprop import RpropState, rprop
from jaxaccel.optimizers._set_weight_decay import set_weight_decay
from jaxaccel.optimizers._sgd import SGDState, sgd
from jaxaccel.optimizers._sparse_adam import SparseAdamState, sparse_adam
from jaxaccel.optimizers._sparse_rows import SparseRows, apply_sparse_updates
from jaxaccel.optimizers._state_dict import state_dict
from jaxaccel.optimizers._torch_fields import TorchFields

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
    "count_per_parameter",
    "CountPerParameterState",
    "Counts",
    "param_groups",
    "ParamGroupsState",
    "Hyperparameter",
    "DecayFactor",
    "BufferDecay",
    "has_hyperparams",
    "get_hyperparams",
    "set_hyperparams",
    "no_decay",
    "set_weight_decay",
    "muon_with_adamw",
    "MuonWithAdamWState",
    "TorchFields",
    "state_dict",
    "load_state_dict",
]

teach(__name__)

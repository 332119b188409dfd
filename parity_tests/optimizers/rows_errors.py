"""Rows of calls that must raise at once.

With an oracle PyTorch's own text is the judge; without one (``""``: PyTorch lets it pass) the row
says why that is an error here, and ``fragments`` must all be in the text. ``numeric`` names every
number of a function, each of which must refuse what is not a number.
"""

import math

import jax.numpy as jnp
import numpy as np

from parity_tests.optimizers.rows_hyperparameters import decaying, rows
from parity_tests.registry import Case

NAN = math.nan


_ADAM_ROWS = [
    ("lr negative", {"lr": -0.1}),
    ("lr negative integer", {"lr": -1}),
    ("lr nan", {"lr": NAN}),
    ("lr minus inf", {"lr": -math.inf}),
    ("eps negative", {"eps": -1e-8}),
    ("beta1 one", {"betas": (1.0, 0.999)}),
    ("beta1 negative", {"betas": (-0.1, 0.999)}),
    ("beta1 nan", {"betas": (NAN, 0.999)}),
    ("beta2 one integer", {"betas": (0.9, 1)}),
    ("beta2 above one", {"betas": (0.9, 1.5)}),
    ("beta2 negative", {"betas": (0.9, -1e-9)}),
    ("weight decay negative", {"weight_decay": -0.1}),
    ("weight decay nan", {"weight_decay": NAN}),
    # The first that PyTorch looks at is the one it names.
    ("lr and eps and betas", {"lr": -1.0, "eps": -1.0, "betas": (2.0, 2.0)}),
    ("eps and betas", {"eps": -1.0, "betas": (2.0, 2.0)}),
    ("betas and weight decay", {"betas": (0.9, 2.0), "weight_decay": -1.0}),
]

_LR_EPS_DECAY = [
    ("lr negative", {"lr": -0.1}),
    ("lr nan", {"lr": NAN}),
    ("eps negative", {"eps": -1e-8}),
    ("weight decay negative", {"weight_decay": -0.1}),
]

OPTIMIZERS = [
    *rows(
        "optimizers.sgd",
        "torch.optim.SGD",
        [
            ("lr negative", {"lr": -0.1}),
            ("lr negative integer", {"lr": -1}),
            ("momentum negative", {"momentum": -0.9}),
            ("weight decay negative", {"weight_decay": -1e-4}),
            ("nesterov without momentum", {"nesterov": True}),
            (
                "nesterov with dampening",
                {"momentum": 0.9, "dampening": 0.1, "nesterov": True},
            ),
            ("lr and momentum", {"lr": -1.0, "momentum": -1.0}),
            ("momentum and weight decay", {"momentum": -1.0, "weight_decay": -1.0}),
        ],
    ),
    *rows(
        "optimizers.sgd",
        "",
        [
            ("lr nan", {"lr": NAN}, {"fragments": ("Invalid learning rate", "nan")}),
            ("momentum nan", {"momentum": NAN}, {"fragments": ("Invalid momentum value", "nan")}),
        ],
    ),
    *rows("optimizers.adam", "torch.optim.Adam", _ADAM_ROWS),
    *rows(
        "optimizers.sparse_adam",
        "torch.optim.SparseAdam",
        [
            ("lr zero", {"lr": 0.0}),
            ("lr zero integer", {"lr": 0}),
            ("lr negative", {"lr": -0.1}),
            ("lr nan", {"lr": NAN}),
            ("eps zero", {"eps": 0.0}),
            ("eps negative", {"eps": -1e-8}),
            ("eps nan", {"eps": NAN}),
            ("beta1 one", {"betas": (1.0, 0.999)}),
            ("beta1 negative", {"betas": (-0.1, 0.999)}),
            ("beta2 one", {"betas": (0.9, 1.0)}),
            ("lr and eps and betas", {"lr": 0.0, "eps": 0.0, "betas": (2.0, 2.0)}),
            ("eps and betas", {"eps": 0.0, "betas": (2.0, 2.0)}),
        ],
    ),
    *rows(
        "optimizers.diagonal_newton",
        "",
        [
            ("lr negative", {"lr": -0.1}, {"fragments": ("Invalid learning rate", "-0.1")}),
            ("damping negative", {"damping": -1e-4}, {"fragments": ("damping", "-0.0001")}),
            ("damping nan", {"damping": NAN}, {"fragments": ("damping", "nan")}),
            ("beta one", {"beta": 1.0}, {"fragments": ("Invalid beta value", "1.0")}),
            ("beta negative", {"beta": -0.1}, {"fragments": ("Invalid beta value", "-0.1")}),
        ],
    ),
    *rows("optimizers.adamw", "torch.optim.AdamW", _ADAM_ROWS),
    *rows(
        "optimizers.lbfgs",
        "torch.optim.LBFGS",
        [("lr negative", {"lr": -0.1}), ("lr nan", {"lr": NAN})],
    ),
    *rows(
        "optimizers.asgd",
        "torch.optim.ASGD",
        [
            ("lr negative", {"lr": -0.1}),
            ("lr nan", {"lr": NAN}),
            ("weight decay negative", {"weight_decay": -0.1}),
            ("weight decay nan", {"weight_decay": NAN}),
            ("lr and weight decay", {"lr": -1.0, "weight_decay": -1.0}),
        ],
    ),
    *rows(
        "optimizers.rprop",
        "torch.optim.Rprop",
        [
            ("lr negative", {"lr": -0.1}),
            ("lr nan", {"lr": NAN}),
            ("etaminus one", {"etas": (1.0, 1.2)}),
            ("etaminus zero", {"etas": (0, 1.2)}),
            ("etaminus nan", {"etas": (NAN, 1.2)}),
            ("etaplus one", {"etas": (0.5, 1)}),
            ("etaplus nan", {"etas": (0.5, NAN)}),
            ("etas swapped", {"etas": (1.2, 0.5)}),
            ("lr and etas", {"lr": -1.0, "etas": (1.2, 0.5)}),
        ],
    ),
    *rows(
        "optimizers.rprop",
        "",
        [
            ("etas one number", {"etas": 0.5}, {"fragments": ("etas", "pair", "0.5")}),
            (
                "etaplus one and etaminus schedule",
                {"etas": (decaying, 1.0)},
                {"fragments": ("Invalid eta values", "1.0")},
            ),
            ("step sizes one number", {"step_sizes": 50}, {"fragments": ("step_sizes", "50")}),
        ],
    ),
    *rows(
        "optimizers.muon",
        "torch.optim.Muon",
        [
            ("lr negative", {"lr": -0.1}),
            ("lr nan", {"lr": NAN}),
            ("momentum negative", {"momentum": -0.9}),
            ("momentum nan", {"momentum": NAN}),
            ("weight decay negative", {"weight_decay": -0.1}),
            ("weight decay nan", {"weight_decay": NAN}),
            ("adjust lr fn unknown", {"adjust_lr_fn": "arbitrary"}),
            ("adjust lr fn empty", {"adjust_lr_fn": ""}),
            ("lr and momentum", {"lr": -1.0, "momentum": -1.0}),
            ("momentum and weight decay", {"momentum": -1.0, "weight_decay": -1.0}),
            ("weight decay and adjust lr fn", {"weight_decay": -1.0, "adjust_lr_fn": "a"}),
        ],
    ),
    # PyTorch finds these at the first step.
    *rows(
        "optimizers.muon",
        "",
        [
            (
                "hundred steps",
                {"ns_steps": 100},
                {"fragments": ("Number of steps must be less than 100", "ns_steps=100")},
            ),
            ("steps fractional", {"ns_steps": 5.0}, {"fragments": ("ns_steps", "5.0")}),
            ("steps bool", {"ns_steps": True}, {"fragments": ("ns_steps", "True")}),
            (
                "two coefficients",
                {"ns_coefficients": (2.0, -1.5)},
                {"fragments": ("ns_coefficients", "tuple of 3", "(2.0, -1.5)")},
            ),
            (
                "coefficients one number",
                {"ns_coefficients": 2.0},
                {"fragments": ("Coefficients must be a tuple of exactly 3 values", "2.0")},
            ),
            ("layout unknown", {"layout": "keras"}, {"fragments": ("layout", "'keras'")}),
        ],
    ),
    *rows("optimizers.adamax", "torch.optim.Adamax", _ADAM_ROWS),
    *rows(
        "optimizers.nadam",
        "torch.optim.NAdam",
        [
            *_ADAM_ROWS,
            ("momentum decay negative", {"momentum_decay": -0.1}),
            ("momentum decay nan", {"momentum_decay": NAN}),
            (
                "weight decay and momentum decay",
                {"weight_decay": -1.0, "momentum_decay": -1.0},
            ),
        ],
    ),
    *rows("optimizers.radam", "torch.optim.RAdam", _ADAM_ROWS),
    *rows(
        "optimizers.adagrad",
        "torch.optim.Adagrad",
        [
            *_LR_EPS_DECAY,
            ("lr decay negative", {"lr_decay": -0.1}),
            ("lr decay nan", {"lr_decay": NAN}),
            ("initial accumulator value negative", {"initial_accumulator_value": -0.1}),
            ("lr and lr decay", {"lr": -1.0, "lr_decay": -1.0}),
            ("lr decay and weight decay", {"lr_decay": -1.0, "weight_decay": -1.0}),
            (
                "weight decay and initial accumulator value",
                {"weight_decay": -1.0, "initial_accumulator_value": -1.0},
            ),
            (
                "initial accumulator value and eps",
                {"initial_accumulator_value": -1.0, "eps": -1.0},
            ),
        ],
    ),
    *rows(
        "optimizers.adadelta",
        "torch.optim.Adadelta",
        [
            *_LR_EPS_DECAY,
            ("rho negative", {"rho": -0.1}),
            ("rho above one", {"rho": 1.5}),
            ("rho above one integer", {"rho": 2}),
            ("rho nan", {"rho": NAN}),
            ("lr and rho", {"lr": -1.0, "rho": 2.0}),
            ("rho and eps", {"rho": 2.0, "eps": -1.0}),
            ("eps and weight decay", {"eps": -1.0, "weight_decay": -1.0}),
        ],
    ),
    *rows(
        "optimizers.rmsprop",
        "torch.optim.RMSprop",
        [
            *_LR_EPS_DECAY,
            ("momentum negative", {"momentum": -0.9}),
            ("alpha negative", {"alpha": -0.1}),
            ("alpha nan", {"alpha": NAN}),
            ("lr and eps", {"lr": -1.0, "eps": -1.0}),
            ("eps and momentum", {"eps": -1.0, "momentum": -1.0}),
            ("momentum and weight decay", {"momentum": -1.0, "weight_decay": -1.0}),
            ("weight decay and alpha", {"weight_decay": -1.0, "alpha": -1.0}),
        ],
    ),
    *rows(
        "optimizers.adafactor",
        "torch.optim.Adafactor",
        [
            ("lr negative", {"lr": -0.1}),
            ("lr nan", {"lr": NAN}),
            ("beta2 decay positive", {"beta2_decay": 0.8}),
            ("beta2 decay nan", {"beta2_decay": NAN}),
            ("eps1 negative", {"eps": (-1e-30, 1e-3)}),
            ("eps2 negative", {"eps": (None, -1e-3)}),
            ("eps2 nan", {"eps": (None, NAN)}),
            ("d below one", {"d": 0.9}),
            ("d zero integer", {"d": 0}),
            ("d nan", {"d": NAN}),
            ("weight decay negative", {"weight_decay": -0.1}),
            ("lr and beta2 decay", {"lr": -1.0, "beta2_decay": 1.0}),
            ("beta2 decay and eps1", {"beta2_decay": 1.0, "eps": (-1.0, 1e-3)}),
            ("eps1 and eps2", {"eps": (-1.0, -1.0)}),
            ("eps2 and d", {"eps": (None, -1.0), "d": 0.0}),
            ("d and weight decay", {"d": 0.0, "weight_decay": -1.0}),
        ],
    ),
    *rows(
        "optimizers.adafactor",
        "",
        [
            ("eps one number", {"eps": 1e-3}, {"fragments": ("eps", "pair", "0.001")}),
            ("layout unknown", {"layout": "keras"}, {"fragments": ("layout", "'keras'")}),
        ],
    ),
    *rows(
        "optimizers.adam",
        "",
        [
            ("betas one number", {"betas": 0.9}, {"fragments": ("betas", "0.9")}),
            (
                "betas three",
                {"betas": (0.9, 0.9, 0.9)},
                {"fragments": ("betas", "(0.9, 0.9, 0.9)")},
            ),
        ],
    ),
]

TRANSFORMS = [
    *rows(
        "transforms.clip_grad_norm",
        "torch.nn.utils.clip_grad_norm_",
        [
            ("norm type text", {"max_norm": 1.0, "norm_type": "two"}),
            ("norm type none", {"max_norm": 1.0, "norm_type": None}),
        ],
    ),
    # PyTorch turns every gradient's sign, or makes every entry the bound.
    *rows(
        "transforms.clip_grad_norm",
        "",
        [
            ("max norm negative", {"max_norm": -1.0}, {"fragments": ("max_norm", "-1.0")}),
            ("max norm nan", {"max_norm": NAN}, {"fragments": ("max_norm", "nan")}),
        ],
    ),
    *rows(
        "transforms.clip_grad_value",
        "",
        [
            ("clip value negative", {"clip_value": -1.0}, {"fragments": ("clip_value", "-1.0")}),
            ("clip value nan", {"clip_value": NAN}, {"fragments": ("clip_value", "nan")}),
        ],
    ),
]

ERRORS = [*OPTIMIZERS, *TRANSFORMS]

NUMBERS = [
    Case(function, kwargs, "", f"{name} {index}" if index else name, {"name": name, "index": index})
    for function, kwargs, names in [
        ("optimizers.sgd", {"momentum": 0.5}, ["lr", "momentum", "dampening", "weight_decay"]),
        ("optimizers.adam", {}, ["lr", "betas", "eps", "weight_decay"]),
        ("optimizers.adamw", {}, ["lr", "betas", "eps", "weight_decay"]),
        ("optimizers.adamax", {}, ["lr", "betas", "eps", "weight_decay"]),
        ("optimizers.nadam", {}, ["lr", "betas", "eps", "weight_decay", "momentum_decay"]),
        ("optimizers.radam", {}, ["lr", "betas", "eps", "weight_decay"]),
        (
            "optimizers.adagrad",
            {},
            ["lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps"],
        ),
        ("optimizers.adadelta", {}, ["lr", "rho", "eps", "weight_decay"]),
        ("optimizers.rmsprop", {}, ["lr", "alpha", "eps", "weight_decay", "momentum"]),
        ("optimizers.adafactor", {}, ["lr", "weight_decay"]),
        ("optimizers.asgd", {}, ["lr", "lambd", "alpha", "t0", "weight_decay"]),
        ("optimizers.rprop", {}, ["lr"]),
        ("optimizers.muon", {}, ["lr", "weight_decay", "momentum", "eps"]),
        ("transforms.clip_grad_norm", {}, ["max_norm"]),
        ("transforms.clip_grad_value", {}, ["clip_value"]),
    ]
    for name in names
    for index in ((0, 1) if name == "betas" else (None,))
]
NUMBERS += [
    Case("optimizers.adafactor", {}, "", why, {"name": name, "index": index, "value": value})
    for why, name, index, value in [
        ("eps 1", "eps", 1, 0.375),
        ("beta2 decay", "beta2_decay", None, -0.375),
        ("d", "d", None, 1.375),
    ]
]
NUMBERS += [
    Case(function, {name: usual}, "", f"{name} {index}", {"name": name, "index": index} | value)
    for function, name, usual, index, value in [
        ("optimizers.rprop", "etas", (0.5, 1.5), 0, {}),
        ("optimizers.rprop", "etas", (0.5, 1.5), 1, {"value": 1.375}),
        ("optimizers.rprop", "step_sizes", (0.25, 0.5), 0, {}),
        ("optimizers.rprop", "step_sizes", (0.25, 0.5), 1, {}),
        ("optimizers.muon", "ns_coefficients", (2.0, -1.5, 0.5), 0, {}),
        ("optimizers.muon", "ns_coefficients", (2.0, -1.5, 0.5), 1, {"value": -1.375}),
        ("optimizers.muon", "ns_coefficients", (2.0, -1.5, 0.5), 2, {}),
    ]
]
"""Every number of every function: ``name``, ``index`` where the argument is a pair, and ``value``
where the usual one is out of range."""

NEEDS_PARAMS = [
    Case(function, kwargs, "", why)
    for function, kwargs, why in [
        ("optimizers.sgd", {"weight_decay": 0.1}, "weight decay"),
        ("optimizers.sgd", {"weight_decay": decaying}, "weight decay schedule"),
        ("optimizers.adam", {"weight_decay": 0.1}, "weight decay"),
        ("optimizers.adam", {"weight_decay": decaying}, "weight decay schedule"),
        (
            "optimizers.adam",
            {"weight_decay": 0.1, "decoupled_weight_decay": True},
            "decoupled weight decay",
        ),
        ("optimizers.adamw", {}, "defaults"),
        ("optimizers.adamw", {"weight_decay": decaying}, "weight decay schedule"),
        ("optimizers.adamax", {"weight_decay": 0.1}, "weight decay"),
        ("optimizers.nadam", {"weight_decay": 0.1}, "weight decay"),
        (
            "optimizers.nadam",
            {"weight_decay": 0.1, "decoupled_weight_decay": True},
            "decoupled weight decay",
        ),
        ("optimizers.radam", {"weight_decay": 0.1}, "weight decay"),
        (
            "optimizers.radam",
            {"weight_decay": 0.1, "decoupled_weight_decay": True},
            "decoupled weight decay",
        ),
        ("optimizers.adagrad", {"weight_decay": 0.1}, "weight decay"),
        ("optimizers.adadelta", {"weight_decay": 0.1}, "weight decay"),
        ("optimizers.rmsprop", {"weight_decay": 0.1}, "weight decay"),
        ("optimizers.lbfgs", {"max_iter": 1}, "one iteration"),
        ("optimizers.adafactor", {}, "defaults"),
        ("optimizers.asgd", {}, "defaults"),
        ("optimizers.muon", {}, "defaults"),
        ("optimizers.muon", {"weight_decay": decaying}, "weight decay schedule"),
    ]
]

NEEDS_NO_PARAMS = [
    Case(function, kwargs, "", why)
    for function, kwargs, why in [
        ("optimizers.sgd", {"lr": 0.1, "momentum": 0.9}, "momentum"),
        ("optimizers.adam", {}, "defaults"),
        ("optimizers.adamw", {"weight_decay": 0}, "weight decay zero"),
        ("optimizers.adamax", {}, "defaults"),
        ("optimizers.nadam", {"decoupled_weight_decay": True}, "decoupled without decay"),
        ("optimizers.radam", {"decoupled_weight_decay": True}, "decoupled without decay"),
        ("optimizers.adagrad", {}, "defaults"),
        ("optimizers.adadelta", {}, "defaults"),
        ("optimizers.rmsprop", {"centered": True, "momentum": 0.9}, "centered momentum"),
        ("optimizers.rprop", {}, "defaults"),
        ("optimizers.muon", {"weight_decay": 0}, "weight decay zero"),
        ("transforms.clip_grad_norm", {"max_norm": 1.0}, "max norm"),
        ("transforms.clip_grad_value", {"clip_value": 1.0}, "clip value"),
    ]
]

NO_NUMBERS = {
    "text": ("0.1", "'0.1'"),
    "none": (None, "None"),
    "bool": (True, "True"),
    "complex": (0.1j, "0.1j"),
    "list": ([0.1], "[0.1]"),
}
"""What is given in the place of a number, and how the error shows it."""

CLOTHES = {
    "python": float,
    "numpy-float64": np.float64,
    "numpy-float32": np.float32,
    "numpy-array": np.asarray,
    "numpy-array-of-one": lambda x: np.array([x]),
    "jax-float64": lambda x: jnp.asarray(x, jnp.float64),
    "jax-float32": lambda x: jnp.asarray(x, jnp.float32),
    "jax-weak": jnp.asarray,
    "jax-array-of-one": lambda x: jnp.array([x]),
    "schedule-of-python": lambda x: lambda step: x,
    "schedule-of-numpy": lambda x: lambda step: np.float64(x),
    "schedule-of-jax": lambda x: lambda step: jnp.asarray(x, jnp.float64),
    "schedule-of-the-step": lambda x: lambda step: x + 0.0 * step.astype(float),
}
"""A number in other clothes: what takes a Python float takes these."""

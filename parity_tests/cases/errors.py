"""Rows of calls that must raise at once.

With an oracle PyTorch's own text is the judge; without one (``""``: PyTorch lets it pass) the row
says why that is an error here, and ``fragments`` must all be in the text. ``numeric`` names every
number of a function, each of which must refuse what is none.
"""

import math

from parity_tests.cases import Case
from parity_tests.cases.hyperparameters import decaying, rows

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
    *rows("optimizers.adamw", "torch.optim.AdamW", _ADAM_ROWS),
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

CASES = [*OPTIMIZERS, *TRANSFORMS]

NUMBERS = [
    Case(function, kwargs, "", f"{name} {index}" if index else name, {"name": name, "index": index})
    for function, kwargs, names in [
        ("optimizers.sgd", {"momentum": 0.5}, ["lr", "momentum", "dampening", "weight_decay"]),
        ("optimizers.adam", {}, ["lr", "betas", "eps", "weight_decay"]),
        ("optimizers.adamw", {}, ["lr", "betas", "eps", "weight_decay"]),
        ("transforms.clip_grad_norm", {}, ["max_norm"]),
        ("transforms.clip_grad_value", {}, ["clip_value"]),
    ]
    for name in names
    for index in ((0, 1) if name == "betas" else (None,))
]
"""Every number of every function: ``name``, and ``index`` where the argument is a pair."""

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
    ]
]

NEEDS_NO_PARAMS = [
    Case(function, kwargs, "", why)
    for function, kwargs, why in [
        ("optimizers.sgd", {"lr": 0.1, "momentum": 0.9}, "momentum"),
        ("optimizers.adam", {}, "defaults"),
        ("optimizers.adamw", {"weight_decay": 0}, "weight decay zero"),
        ("transforms.clip_grad_norm", {"max_norm": 1.0}, "max norm"),
        ("transforms.clip_grad_value", {"clip_value": 1.0}, "clip value"),
    ]
]

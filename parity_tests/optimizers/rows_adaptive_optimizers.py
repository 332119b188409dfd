"""Rows for optimizers that divide by a running size of the gradient, without Adam's moments."""

from parity_tests.optimizers.rows_hyperparameters import decaying, rising, rows

_EVERYTHING = {"lr": decaying, "weight_decay": 0.1, "maximize": True}

_COMMON = [
    ("defaults", {}),
    ("lr", {"lr": 0.1}),
    ("lr zero", {"lr": 0.0}),
    ("lr schedule", {"lr": decaying}),
    ("weight decay", {"weight_decay": 0.1}),
    ("weight decay schedule", {"lr": 0.05, "weight_decay": decaying}),
    ("maximize", {"maximize": True}),
    ("maximize weight decay", {"maximize": True, "weight_decay": 0.1}),
]

ADAGRAD = rows(
    "optimizers.adagrad",
    "torch.optim.Adagrad",
    [
        *_COMMON,
        ("lr decay", {"lr": 0.1, "lr_decay": 0.1}),
        ("lr decay large", {"lr": 1.0, "lr_decay": 10.0}),
        ("lr decay schedule", {"lr": 0.1, "lr_decay": decaying}),
        ("initial accumulator value", {"initial_accumulator_value": 0.5}),
        ("initial accumulator value schedule", {"initial_accumulator_value": decaying}),
        ("initial accumulator value large", {"lr": 10.0, "initial_accumulator_value": 1e4}),
        ("eps", {"eps": 1e-2}),
        ("eps one", {"lr": 0.1, "eps": 1.0}),
        ("eps zero", {"eps": 0.0}),
        ("eps schedule", {"eps": decaying}),
        (
            "everything",
            _EVERYTHING | {"lr_decay": 0.05, "initial_accumulator_value": 0.1, "eps": 1e-4},
        ),
    ],
)

ADADELTA = rows(
    "optimizers.adadelta",
    "torch.optim.Adadelta",
    [
        *_COMMON,
        ("rho", {"rho": 0.5}),
        ("rho zero", {"rho": 0.0}),
        ("rho one", {"rho": 1.0}),
        ("rho near one", {"rho": 0.99999}),
        ("rho schedule", {"rho": rising}),
        ("eps", {"eps": 1e-2}),
        ("eps tiny", {"eps": 1e-12}),
        ("eps zero", {"eps": 0.0}),
        ("eps schedule", {"eps": decaying}),
        ("everything", _EVERYTHING | {"rho": rising, "eps": 1e-4}),
    ],
)

RMSPROP = rows(
    "optimizers.rmsprop",
    "torch.optim.RMSprop",
    [
        *_COMMON,
        ("alpha", {"alpha": 0.9}),
        ("alpha zero", {"alpha": 0.0, "eps": 0.1}),
        ("alpha near one", {"alpha": 0.99999}),
        ("alpha schedule", {"alpha": rising}),
        ("eps", {"eps": 1e-2}),
        ("eps zero", {"eps": 0.0}),
        ("eps schedule", {"eps": decaying}),
        ("momentum", {"momentum": 0.9}),
        ("momentum schedule", {"momentum": rising}),
        ("momentum lr schedule", {"lr": decaying, "momentum": 0.9}),
        ("centered", {"centered": True}),
        ("centered alpha", {"alpha": 0.9, "centered": True}),
        ("centered momentum", {"centered": True, "momentum": 0.9}),
        ("centered weight decay", {"centered": True, "weight_decay": 0.1}),
        (
            "everything",
            _EVERYTHING | {"alpha": 0.95, "eps": 1e-4, "momentum": rising, "centered": True},
        ),
    ],
)

_KERNELS = {
    "matrix": (24, 9),
    "image": (8, 5, 3, 3),
    "signal": (6, 5, 4),
    "column": (7, 1),
    "vector": (13,),
    "scalar": (),
}


def _ten_times_decaying(step):
    """A first epsilon that falls through the roots of the second moments."""
    return 10 * decaying(step)


def _half_and_rising(step):
    """A second epsilon above the parameters' root mean square."""
    return 0.5 + rising(step)


def _minus_rising(step):
    return -rising(step)


def _one_and_decaying(step):
    return 1.0 + decaying(step)


def _of_leaf(path):
    """Return PyTorch's layout for every kernel but one."""
    return "flax" if path == "image" else "torch"


_FLAX = {"": "flax"}
_ALL = {"": "flax", " in layout torch": "torch", " in layouts by leaf": _of_leaf}


def _in_layouts(layouts, rows):
    """Return the rows once in every layout, without a complex leaf."""
    refused = "torch.optim.Adafactor raises for complex parameters"
    return [
        (
            why + suffix,
            kwargs,
            {"real_only": refused, "layout": layout, **dict(*options)},
        )
        for why, kwargs, *options in rows
        for suffix, layout in layouts.items()
    ]


ADAFACTOR = rows(
    "optimizers.adafactor",
    "torch.optim.Adafactor",
    [
        *_in_layouts(_ALL, [("defaults", {}, {"shapes": _KERNELS})]),
        *_in_layouts(
            _FLAX,
            [
                *_COMMON[1:],
                ("lr above the relative step", {"lr": 0.5}, {"quick": "the bound of the step"}),
                ("beta2 decay", {"beta2_decay": -0.5}),
                ("beta2 decay zero", {"beta2_decay": 0.0}),
                ("beta2 decay strong", {"beta2_decay": -3.0}),
                ("beta2 decay schedule", {"beta2_decay": _minus_rising}),
                ("eps1", {"eps": (0.3, 1e-3)}),
                ("eps1 zero", {"eps": (0.0, 1e-3)}),
                ("eps1 above all roots", {"eps": (10.0, 1e-3)}),
                ("eps2 above the parameters", {"eps": (None, 2.0)}),
                ("eps2 zero", {"eps": (None, 0.0)}),
                ("both eps schedule", {"eps": (_ten_times_decaying, _half_and_rising)}),
                ("d", {"d": 1.5}),
                ("d schedule", {"d": _one_and_decaying}),
                ("weight decay large", {"lr": 0.1, "weight_decay": 1.0}),
                (
                    "everything",
                    _EVERYTHING | {"beta2_decay": -0.6, "eps": (0.3, 1.5), "d": 1.1},
                    {"shapes": _KERNELS},
                ),
            ],
        ),
    ],
)

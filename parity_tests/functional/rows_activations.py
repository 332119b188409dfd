"""Rows for ``jaxaccel.functional`` and for their layers in ``jaxaccel.nn``.

Options of a function's row: ``shape``, of a random input (else it is a line of points, among them
the bends and ends of all functions); ``weight``, the shape of the slopes; ``steep``, the points in
infinity whose gradient is 0 times infinity here and a limit in PyTorch; ``constant``, the precision
of a constant in PyTorch's gradient. Those of a layer's row are
those of ``harness/layer.py``.
"""

from parity_tests.registry import Case

POINTS = [
    *(-1e3, -60.0, -20.0, -6.0, -5.5, -3.0, -2.0, -1.2, -1.0, -0.75, -0.5, -0.25, -1e-8, -0.0),
    *(0.0, 1e-8, 0.25, 0.5, 0.75, 1.0, 1.2, 2.0, 3.0, 5.5, 6.0, 10.0, 20.0, 20.001, 60.0, 1e3),
]
"""Both zeros, every bend of the defaults and of the rows, and far out."""

FLOAT32_CONSTANT = {"constant": "float32"}
"""Gradients of PyTorch in double precision that hold a third or a sixth in single precision."""

INFINITE = [float("-inf"), float("inf")]


def _rows(name, *rows):
    return [
        Case(f"functional.{name}", kwargs, f"torch.nn.functional.{name}", why, dict(*options))
        for why, kwargs, *options in rows
    ]


ELEMENTWISE = [
    *_rows("relu", ("defaults", {})),
    *_rows(
        "leaky_relu",
        ("defaults", {}),
        ("slope", {"negative_slope": 0.3}),
        ("slope zero", {"negative_slope": 0.0}, {"steep": [float("-inf")]}),
    ),
    *_rows(
        "threshold",
        ("below", {"threshold": -1.0, "value": 7.0}),
        ("at a point", {"threshold": 0.5, "value": -0.5}),
    ),
    *_rows("elu", ("defaults", {}), ("alpha", {"alpha": 2.0}), ("negative", {"alpha": -0.5})),
    *_rows("selu", ("defaults", {})),
    *_rows(
        "celu",
        ("defaults", {}),
        ("alpha", {"alpha": 2.0}),
        ("third", {"alpha": 3.0}, FLOAT32_CONSTANT),
    ),
    *_rows(
        "gelu",
        ("defaults", {}),
        ("exact", {"approximate": "none"}),
        ("tanh", {"approximate": "tanh"}),
    ),
    *_rows("silu", ("defaults", {})),
    *_rows("mish", ("defaults", {})),
    *_rows("sigmoid", ("defaults", {})),
    *_rows("logsigmoid", ("defaults", {})),
    *_rows("tanh", ("defaults", {})),
    *_rows("softsign", ("defaults", {})),
    *_rows(
        "softplus",
        ("defaults", {}),
        ("beta", {"beta": 2.5}),
        ("threshold", {"threshold": 2.0}),
        ("threshold at a point", {"beta": 2.0, "threshold": 1.5}),
        ("beta negative", {"beta": -1.5, "threshold": 6.0}),
    ),
    *_rows(
        "hardtanh",
        ("defaults", {}),
        ("both ends", {"min_val": -2.0, "max_val": 0.5}),
        ("one point", {"min_val": 1.0, "max_val": 1.0}),
    ),
    *_rows("relu6", ("defaults", {})),
    *_rows("hardsigmoid", ("defaults", {}, FLOAT32_CONSTANT)),
    *_rows("hardswish", ("defaults", {})),
    *_rows("tanhshrink", ("defaults", {})),
    *_rows("softshrink", ("defaults", {}), ("lambd", {"lambd": 1.2}), ("zero", {"lambd": 0.0})),
    *_rows(
        "hardshrink",
        ("defaults", {}),
        ("lambd", {"lambd": 1.2}),
        ("zero", {"lambd": 0.0}),
        ("negative", {"lambd": -1.0}),
    ),
]

ALONG = [
    *_rows(
        "glu",
        ("defaults", {}, {"shape": (3, 6)}),
        ("channels first", {"dim": 1}, {"shape": (2, 4, 3)}),
        ("counted from behind", {"dim": -3}, {"shape": (2, 4, 3)}),
    ),
    *(
        case
        for name in ("softmax", "log_softmax", "softmin")
        for case in _rows(
            name,
            ("last", {"dim": -1}, {"shape": (3, 6)}),
            ("channels first", {"dim": 1}, {"shape": (2, 4, 3)}),
            ("one value", {"dim": 0}, {"shape": (1, 3)}),
            ("a number", {"dim": 0}, {"shape": ()}),
        )
    ),
]

PRELU = _rows(
    "prelu",
    ("one slope", {}, {"shape": (2, 5, 3), "weight": (1,)}),
    ("each channel", {}, {"shape": (2, 5, 3), "weight": (5,)}),
    ("images", {}, {"shape": (2, 5, 3, 2), "weight": (5,)}),
    ("vectors", {}, {"shape": (4, 5), "weight": (5,)}),
    ("one vector", {}, {"shape": (5,), "weight": (1,)}),
    ("a number", {}, {"shape": (), "weight": (1,)}),
)

BUILTINS = {
    f"functional.{name}"
    for name in ("gelu", "logsigmoid", "softplus", "softshrink", "hardshrink", "prelu")
}
"""PyTorch's have no signature to read but the first line of their documentation."""


def _layers(name, *rows, shape=(4, 6)):
    return [
        Case(f"nn.{name}", kwargs, f"torch.nn.{name}", why, {"shape": shape, **dict(*options)})
        for why, kwargs, *options in rows
    ]


DIMS = [
    ("last", {"dim": -1}),
    ("first", {"dim": 0}),
    ("middle", {"dim": 1}, {"shape": (2, 4, 3)}),
]

LAYERS = [
    *_layers("ReLU", ("defaults", {})),
    *_layers("LeakyReLU", ("defaults", {}), ("slope", {"negative_slope": 0.3})),
    *_layers(
        "PReLU",
        ("defaults", {}),
        ("each channel", {"num_parameters": 6}),
        ("images", {"num_parameters": 5}, {"shape": (2, 5, 3, 2), "spatial": 2}),
        ("init", {"init": 0.5}),
    ),
    *_layers("Threshold", ("both", {"threshold": 0.25, "value": -2.0})),
    *_layers("ELU", ("defaults", {}), ("alpha", {"alpha": 2.0})),
    *_layers("SELU", ("defaults", {})),
    *_layers("CELU", ("defaults", {}), ("alpha", {"alpha": 2.0})),
    *_layers("GELU", ("defaults", {}), ("tanh", {"approximate": "tanh"})),
    *_layers("SiLU", ("defaults", {})),
    *_layers("Mish", ("defaults", {})),
    *_layers("Sigmoid", ("defaults", {})),
    *_layers("LogSigmoid", ("defaults", {})),
    *_layers("GLU", ("defaults", {}), ("dim", {"dim": 0})),
    *_layers("Tanh", ("defaults", {})),
    *_layers("Softsign", ("defaults", {})),
    *_layers(
        "Softplus", ("defaults", {}), ("beta", {"beta": 2.0}), ("threshold", {"threshold": 0.5})
    ),
    *_layers("Hardtanh", ("defaults", {}), ("both", {"min_val": -0.5, "max_val": 0.25})),
    *_layers("ReLU6", ("defaults", {})),
    *_layers("Hardsigmoid", ("defaults", {}, FLOAT32_CONSTANT)),
    *_layers("Hardswish", ("defaults", {})),
    *_layers("Tanhshrink", ("defaults", {})),
    *_layers("Softshrink", ("defaults", {}), ("lambd", {"lambd": 0.1})),
    *_layers("Hardshrink", ("defaults", {}), ("lambd", {"lambd": 0.1})),
    *_layers("Softmax", *DIMS),
    *_layers("LogSoftmax", *DIMS),
    *_layers("Softmin", *DIMS),
]

CASES = [*ELEMENTWISE, *ALONG, *PRELU, *LAYERS]

BAD = [
    *_layers("CELU", ("alpha zero", {"alpha": 0.0})),
    *_layers("GELU", ("approximate", {"approximate": "erf"})),
    *_layers("Hardtanh", ("ends equal", {"min_val": 1.0, "max_val": 1.0})),
]
"""Constructors that raise here at once; PyTorch raises there or when the layer is called."""

BAD_INPUTS = [
    *_rows("glu", ("odd", {"dim": 1}, {"shape": (2, 3)}), ("a number", {}, {"shape": ()})),
    *_rows("celu", ("alpha zero", {"alpha": 0.0}, {"shape": (2,)})),
    *_rows("gelu", ("approximate", {"approximate": "erf"}, {"shape": (2,)})),
    *_rows("hardtanh", ("ends", {"min_val": 2.0, "max_val": 1.0}, {"shape": (2,)})),
    *_rows("softmax", ("axis", {"dim": 2}, {"shape": (2, 3)})),
    *_rows("log_softmax", ("axis", {"dim": -3}, {"shape": (2, 3)})),
    *_rows("softmin", ("axis", {"dim": 1}, {"shape": ()})),
    *_rows("prelu", ("channels", {}, {"shape": (2, 3), "weight": (2,)})),
    *_rows("prelu", ("one vector", {}, {"shape": (2,), "weight": (2,)})),
]
"""Calls whose text is PyTorch's to the letter."""

DIFFERENT = {
    **{
        f"functional.{name}": {"omits": ["inplace"]}
        for name in (
            *("relu", "leaky_relu", "threshold", "elu", "selu", "celu", "silu", "mish"),
            *("hardtanh", "relu6", "hardsigmoid", "hardswish"),
        )
    },
    **{
        f"functional.{name}": {"adds": ["dim"], "omits": ["dim", "_stacklevel"]}
        for name in ("softmax", "log_softmax", "softmin")
    },
    **{
        f"nn.{name}": {"omits": ["inplace"]}
        for name in (
            *("ReLU", "LeakyReLU", "Threshold", "ELU", "SELU", "CELU", "SiLU", "Mish"),
            *("ReLU6", "Hardsigmoid", "Hardswish"),
        )
    },
    "nn.Hardtanh": {"omits": ["inplace", "min_value", "max_value"]},
    "nn.PReLU": {"adds": ["channel_axis"]},
    **{
        f"nn.{name}": {"adds": ["dim"], "omits": ["dim"]}
        for name in ("Softmax", "LogSoftmax", "Softmin")
    },
}
"""Arguments that only jaxaccel has, or only PyTorch; ``dim`` has no default here."""

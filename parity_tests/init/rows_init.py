"""Rows for ``jaxaccel.init``.

Options: ``shape`` (of a kernel in PyTorch's layout, or of a bias) replaces the usual shapes;
``layer``, the arguments of the PyTorch layer that is the judge; ``parameter``, its parameter;
``warns``, that PyTorch warns of the arguments.
"""

from parity_tests.registry import Case


def _rows(function, rows):
    return [Case(function, kwargs, f"torch.nn.{function}_", why) for why, kwargs in rows]


KAIMING = [
    ("defaults", {}),
    ("a", {"a": 0.3}),
    ("a integer", {"a": 2}),
    ("mode fan out", {"mode": "fan_out"}),
    ("mode in capitals", {"mode": "FAN_OUT"}),
    ("nonlinearity relu", {"nonlinearity": "relu"}),
    ("nonlinearity relu ignores a", {"a": 0.3, "nonlinearity": "relu"}),
    ("nonlinearity tanh", {"nonlinearity": "tanh"}),
    ("nonlinearity linear", {"nonlinearity": "linear"}),
    ("nonlinearity selu fan out", {"mode": "fan_out", "nonlinearity": "selu"}),
    ("torchvision resnet", {"mode": "fan_out", "nonlinearity": "relu"}),
]
XAVIER = [
    ("defaults", {}),
    ("gain", {"gain": 5 / 3}),
    ("gain zero", {"gain": 0.0}),
]

WEIGHTS = [
    *_rows("init.kaiming_uniform", KAIMING),
    *_rows("init.kaiming_normal", KAIMING),
    *_rows("init.xavier_uniform", XAVIER),
    *_rows("init.xavier_normal", XAVIER),
]

FILLS = [
    *_rows(
        "init.uniform",
        [
            ("defaults", {}),
            ("positional range", {"a": -0.3, "b": 0.7}),
            ("a alone", {"a": -2.0}),
            ("integers", {"a": -1, "b": 1}),
            ("one number", {"a": 0.25, "b": 0.25}),
        ],
    ),
    *_rows(
        "init.normal",
        [
            ("defaults", {}),
            ("bert", {"mean": 0.0, "std": 0.02}),
            ("mean", {"mean": 1.5}),
            ("integers", {"mean": 1, "std": 2}),
            ("std zero", {"mean": 0.5, "std": 0.0}),
        ],
    ),
    *_rows(
        "init.trunc_normal",
        [
            ("defaults", {}),
            ("vit", {"std": 0.02}),
            ("one std", {"mean": 0.1, "std": 0.5, "a": -0.4, "b": 0.6}),
            ("left of the mean", {"mean": 1.0, "std": 2.0, "a": -1.0, "b": 0.5}),
            ("right of the mean", {"mean": -1.0, "std": 2.0, "a": -0.5, "b": 1.0}),
            ("narrow", {"a": -0.1, "b": 0.1}),
        ],
    ),
    *(
        case._replace(options={"warns": True})
        for case in _rows(
            "init.trunc_normal",
            [("left tail", {"a": -5.0, "b": -4.0}), ("right tail", {"a": 4.0, "b": 5.0})],
        )
    ),
]
"""Initializers that are told what to draw."""

CONSTANTS = [
    *_rows("init.constant", [("number", {"val": 0.3}), ("integer", {"val": -2})]),
    *_rows("init.ones", [("defaults", {})]),
    *_rows("init.zeros", [("defaults", {})]),
    *(
        case._replace(options={"shape": shape})
        for shape, case in zip(
            [(4, 4), (5, 3), (2, 6), (0, 3)],
            _rows("init.eye", [(why, {}) for why in ("square", "tall", "wide", "empty")]),
            strict=True,
        )
    ),
    *(
        Case("init.dirac", kwargs, "torch.nn.init.dirac_", why, {"shape": shape})
        for why, shape, kwargs in [
            ("defaults", (4, 4, 3, 3), {}),
            ("line", (4, 4, 3), {}),
            ("volume", (3, 3, 2, 3, 1), {}),
            ("even window", (3, 5, 4, 2), {}),
            ("more outputs", (6, 2, 3, 3), {}),
            ("groups", (6, 2, 3, 3), {"groups": 3}),
            ("groups with few inputs", (6, 1, 3, 3), {"groups": 2}),
            ("groups with many inputs", (4, 5, 3), {"groups": 2}),
            ("no outputs", (0, 2, 3), {"groups": 2}),
        ]
    ),
]
"""Initializers that draw nothing."""

ORTHOGONAL = [
    Case("init.orthogonal", kwargs, "torch.nn.init.orthogonal_", why, {"shape": shape})
    for why, shape, kwargs in [
        ("square", (12, 12), {}),
        ("tall", (17, 5), {}),
        ("wide", (5, 17), {}),
        ("one row", (1, 9), {}),
        ("below sixteen numbers", (3, 4), {}),
        ("kernel", (4, 3, 3, 2), {}),
        ("tall kernel", (20, 2, 3), {}),
        ("gain", (8, 6), {"gain": 5 / 3}),
        ("gain negative", (8, 6), {"gain": -1}),
        ("empty", (0, 3), {}),
    ]
]

SPARSE = [
    Case("init.sparse", kwargs, "torch.nn.init.sparse_", why, {"shape": shape})
    for why, shape, kwargs in [
        ("tenth", (30, 20), {"sparsity": 0.1}),
        ("most", (7, 50), {"sparsity": 0.9, "std": 0.5}),
        ("none", (7, 5), {"sparsity": 0.0}),
        ("all", (7, 5), {"sparsity": 1}),
        ("rounded up", (3, 5), {"sparsity": 0.01}),
        ("no inputs", (7, 0), {"sparsity": 0.5}),
        ("no outputs", (0, 7), {"sparsity": 0.5}),
    ]
]

LAYER_DEFAULTS = [
    Case(
        "init.default_weight",
        {},
        "torch.nn.Linear",
        "linear",
        {"shape": (120, 80), "layer": (80, 120), "parameter": "weight"},
    ),
    Case(
        "init.default_weight",
        {},
        "torch.nn.Conv2d",
        "conv",
        {"shape": (48, 24, 3, 5), "layer": (24, 48, (3, 5)), "parameter": "weight"},
    ),
    Case(
        "init.default_bias",
        {"fan_in": 80},
        "torch.nn.Linear",
        "linear",
        {"shape": (6000,), "layer": (80, 6000), "parameter": "bias"},
    ),
    Case(
        "init.default_bias",
        {"fan_in": 45},
        "torch.nn.Conv2d",
        "conv",
        {"shape": (6000,), "layer": (3, 6000, (3, 5)), "parameter": "bias"},
    ),
]

GAINS = [
    Case("init.calculate_gain", kwargs, "torch.nn.init.calculate_gain", why)
    for why, kwargs in [
        *(
            (name.replace("_", " "), {"nonlinearity": name})
            for name in (
                "linear",
                "conv1d",
                "conv2d",
                "conv3d",
                "conv_transpose1d",
                "conv_transpose2d",
                "conv_transpose3d",
                "sigmoid",
                "tanh",
                "relu",
                "leaky_relu",
                "selu",
            )
        ),
        ("leaky relu slope", {"nonlinearity": "leaky_relu", "param": 0.2}),
        ("leaky relu integer slope", {"nonlinearity": "leaky_relu", "param": 2}),
        ("relu ignores param", {"nonlinearity": "relu", "param": 0.2}),
    ]
]

CASES = [*WEIGHTS, *FILLS, *CONSTANTS, *ORTHOGONAL, *SPARSE, *LAYER_DEFAULTS, *GAINS]

BAD = [
    Case(function, kwargs, oracle, why)
    for function, oracle, kwargs, why in [
        ("init.kaiming_uniform", "torch.nn.init.kaiming_uniform_", {"mode": "fan"}, "mode"),
        ("init.kaiming_normal", "torch.nn.init.kaiming_normal_", {"mode": "Avg"}, "mode capital"),
        ("init.kaiming_uniform", "torch.nn.init.kaiming_uniform_", {"a": True}, "a bool"),
        ("init.kaiming_normal", "torch.nn.init.kaiming_normal_", {"a": "1"}, "a text"),
        (
            "init.kaiming_normal",
            "torch.nn.init.kaiming_normal_",
            {"nonlinearity": "gelu"},
            "nonlinearity",
        ),
        ("init.uniform", "torch.nn.init.uniform_", {"a": 2.0}, "a above b"),
        ("init.uniform", "torch.nn.init.uniform_", {"a": 0.5, "b": -0.25}, "b negative"),
        ("init.normal", "torch.nn.init.normal_", {"std": -1.5}, "std negative"),
        ("init.trunc_normal", "torch.nn.init.trunc_normal_", {"a": 2.0, "b": 1.0}, "a above b"),
        (
            "init.sparse",
            "torch.nn.init.sparse_",
            {"sparsity": 0.5, "std": -1.0},
            "std negative",
        ),
        ("init.xavier_uniform", "torch.nn.init.xavier_uniform_", {"gain": -1.0}, "gain negative"),
        ("init.xavier_normal", "torch.nn.init.xavier_normal_", {"gain": -1.0}, "gain negative"),
        (
            "init.calculate_gain",
            "torch.nn.init.calculate_gain",
            {"nonlinearity": "swish"},
            "nonlinearity",
        ),
        (
            "init.calculate_gain",
            "torch.nn.init.calculate_gain",
            {"nonlinearity": "leaky_relu", "param": "x"},
            "param text",
        ),
    ]
]

BAD_SHAPES = [
    Case(f"init.{name}", kwargs, f"torch.nn.init.{name}_", why, {"shape": shape})
    for name, why, shape, kwargs in [
        ("eye", "vector", (3,), {}),
        ("eye", "kernel", (3, 3, 3), {}),
        ("dirac", "matrix", (3, 3), {}),
        ("dirac", "six axes", (1, 1, 1, 1, 1, 1), {}),
        ("dirac", "outputs not in groups", (4, 2, 3), {"groups": 3}),
        ("orthogonal", "vector", (3,), {}),
        ("sparse", "vector", (3,), {"sparsity": 0.5}),
        ("sparse", "kernel", (3, 3, 3), {"sparsity": 0.5}),
        ("kaiming_uniform", "vector", (3,), {}),
        ("xavier_normal", "scalar", (), {}),
    ]
]

"""Rows for ``jaxaccel.init``.

Options: ``shape`` (of a kernel in PyTorch's layout, or of a bias) replaces the usual shapes;
``layer``, the arguments of the PyTorch layer that is the judge; ``parameter``, its parameter.
"""

from parity_tests.cases import Case


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

CASES = [*WEIGHTS, *LAYER_DEFAULTS, *GAINS]

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

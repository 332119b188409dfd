"""Rows for ``Linear``, ``Conv2d``, ``BatchNorm2d``, ``LayerNorm`` and the dropouts.

``kwargs`` go to both constructors; the options are those of ``harness/layer.py``. The rows of
their siblings are in ``rows_linear.py``, ``rows_conv.py``, ``rows_norm_layers.py`` and
``rows_reshaping.py``.
"""

from parity_tests.registry import Case


def _rows(name, shape, rows, spatial=0):
    common = {"shape": shape, "spatial": spatial}
    return [
        Case(f"nn.{name}", kwargs, f"torch.nn.{name}", why, {**common, **dict(*options)})
        for why, kwargs, *options in rows
    ]


LINEAR = _rows(
    "Linear",
    (6, 7),
    [
        ("defaults", {"in_features": 7, "out_features": 4}),
        ("no bias", {"in_features": 7, "out_features": 4, "bias": False}),
        ("sequences", {"in_features": 7, "out_features": 4}, {"shape": (2, 3, 5, 7)}),
    ],
)

CONV = [
    case._replace(kwargs={"in_channels": 4, "out_channels": 6, "kernel_size": 3, **case.kwargs})
    for case in _rows(
        "Conv2d",
        (2, 4, 9, 8),
        [
            ("defaults", {}),
            ("kernel oblong", {"kernel_size": (2, 5)}),
            ("padding", {"padding": 1}),
            ("padding same even kernel", {"padding": "same", "kernel_size": (4, 2)}),
            ("padding valid", {"padding": "valid", "stride": 2}),
            ("groups depthwise", {"groups": 4, "out_channels": 8}),
            ("no bias", {"bias": False}),
            ("reflect", {"padding": (1, 2), "padding_mode": "reflect"}),
            ("replicate", {"padding": (2, 1), "padding_mode": "replicate"}),
            ("circular", {"padding": (1, 2), "padding_mode": "circular"}),
            (
                "reflect same",
                {
                    "padding": "same",
                    "padding_mode": "reflect",
                    "kernel_size": (4, 3),
                    "dilation": (1, 2),
                },
            ),
            ("replicate valid", {"padding": "valid", "padding_mode": "replicate"}),
            (
                "all together",
                {
                    "kernel_size": (2, 3),
                    "stride": (2, 1),
                    "padding": (1, 2),
                    "dilation": (1, 2),
                    "groups": 2,
                },
            ),
            ("one image", {"padding": 1}, {"shape": (4, 9, 8)}),
            (
                "one image circular",
                {"padding": (1, 2), "padding_mode": "circular"},
                {"shape": (4, 9, 8)},
            ),
        ],
        spatial=2,
    )
]

BATCH_NORM = _rows(
    "BatchNorm2d",
    (4, 5, 3, 2),
    [
        ("defaults", {"num_features": 5}),
        ("evaluation", {"num_features": 5}, {"mode": "eval"}),
        ("eps", {"num_features": 5, "eps": 1e-2}),
        ("momentum", {"num_features": 5, "momentum": 0.4}),
        ("momentum None", {"num_features": 5, "momentum": None}),
        ("momentum None evaluation", {"num_features": 5, "momentum": None}, {"mode": "eval"}),
        ("no affine", {"num_features": 5, "affine": False}),
        ("no bias", {"num_features": 5, "bias": False}),
        ("no running statistics", {"num_features": 5, "track_running_stats": False}),
        (
            "no running statistics evaluation",
            {"num_features": 5, "track_running_stats": False},
            {"mode": "eval"},
        ),
        (
            "no running statistics momentum None",
            {"num_features": 5, "track_running_stats": False, "momentum": None},
        ),
    ],
    spatial=2,
)

LAYER_NORM = _rows(
    "LayerNorm",
    (4, 3, 6),
    [
        ("defaults", {"normalized_shape": 6}),
        ("several axes", {"normalized_shape": (3, 6)}),
        ("a list", {"normalized_shape": [6]}),
        ("eps", {"normalized_shape": 6, "eps": 1e-2}),
        ("no affine", {"normalized_shape": 6, "elementwise_affine": False}),
        ("no bias", {"normalized_shape": 6, "bias": False}),
    ],
)

DROPOUT = [
    *_rows("Dropout", (20, 5), [("defaults", {}), ("p", {"p": 0.1}), ("one", {"p": 1.0})]),
    *_rows("Dropout1d", (9, 8, 4), [("p", {"p": 0.3})], 1),
    *_rows("Dropout2d", (9, 8, 2, 3), [("p", {"p": 0.3})], 2),
    *_rows("Dropout3d", (9, 8, 2, 3, 2), [("p", {"p": 0.3})], 3),
]

LAYERS = [*LINEAR, *CONV, *BATCH_NORM, *LAYER_NORM]

CASES = [*LAYERS, *DROPOUT]

CONV_ARGUMENTS = {"in_channels": 4, "out_channels": 6, "kernel_size": 3}
BAD = [
    *_rows(
        "Conv2d",
        (1, 4, 5, 5),
        [
            ("groups zero", {**CONV_ARGUMENTS, "groups": 0}),
            ("groups of in channels", {**CONV_ARGUMENTS, "groups": 3}),
            ("groups of out channels", {**CONV_ARGUMENTS, "groups": 4}),
            ("padding negative", {**CONV_ARGUMENTS, "padding": -1}),
            ("padding same strided", {**CONV_ARGUMENTS, "padding": "same", "stride": 2}),
            ("padding of three", {**CONV_ARGUMENTS, "padding": [1, 2, 3]}),
            ("stride zero", {**CONV_ARGUMENTS, "stride": 0}),
            ("dilation zero", {**CONV_ARGUMENTS, "dilation": 0}),
            ("kernel zero", {**CONV_ARGUMENTS, "kernel_size": 0}),
        ],
    ),
    *_rows("Dropout", (1, 4), [("p above one", {"p": 1.5}), ("p negative", {"p": -0.1})]),
]
"""Constructors that raise here at once; PyTorch raises there or when the layer is called."""

BAD_INPUTS = [
    *_rows(
        "Linear",
        (3, 4),
        [("another length", {"in_features": 3, "out_features": 2})],
    ),
    *_rows(
        "BatchNorm2d",
        (3, 4, 4),
        [("three axes", {"num_features": 3})],
    ),
    *_rows(
        "LayerNorm",
        (3, 4),
        [("another length", {"normalized_shape": 3})],
    ),
]
"""Calls whose text is PyTorch's to the letter; where a shape in it has channels last, it is not."""

"""Rows for the normalization layers of ``jaxaccel.nn``.

``kwargs`` go to both constructors; the options are those of ``harness/layer.py``. The rows of
``BatchNorm2d`` and ``LayerNorm`` are in ``rows_layers.py``.
"""

from parity_tests.registry import Case


def _rows(name, shape, rows, spatial=0, oracle=None):
    common = {"shape": shape, "spatial": spatial}
    return [
        Case(f"nn.{name}", kwargs, f"torch.nn.{oracle or name}", why, {**common, **dict(*options)})
        for why, kwargs, *options in rows
    ]


EVAL = {"mode": "eval"}


def _batch_norm(name, shape, spatial, features=3):
    defaults = {"num_features": features}
    return _rows(
        name,
        shape,
        [
            ("defaults", defaults),
            ("evaluation", defaults, EVAL),
            ("eps", {**defaults, "eps": 1e-2}),
            ("momentum", {**defaults, "momentum": 0.4}),
            ("momentum None", {**defaults, "momentum": None}),
            ("no affine", {**defaults, "affine": False}),
            ("no bias", {**defaults, "bias": False}),
            ("no running statistics", {**defaults, "track_running_stats": False}),
            (
                "no running statistics evaluation",
                {**defaults, "track_running_stats": False},
                EVAL,
            ),
        ],
        spatial,
    )


BATCH_NORM = [
    *_batch_norm("BatchNorm1d", (5, 3, 4), 1),
    *_rows(
        "BatchNorm1d",
        (6, 3),
        [
            ("vectors", {"num_features": 3}),
            ("vectors evaluation", {"num_features": 3}, EVAL),
        ],
    ),
    *_batch_norm("BatchNorm3d", (2, 3, 2, 3, 2), 3),
    *_batch_norm("SyncBatchNorm", (4, 3, 2, 3), 2),
    *_rows(
        "SyncBatchNorm",
        (6, 3),
        [
            ("vectors", {"num_features": 3}),
            ("volumes", {"num_features": 3}, {"shape": (2, 3, 2, 1, 3), "spatial": 3}),
        ],
    ),
]

AFFINE = {"num_features": 3, "affine": True}
TRACKED = {"num_features": 3, "track_running_stats": True}


def _instance_norm(name, shape, spatial):
    return _rows(
        name,
        shape,
        [
            ("defaults", {"num_features": 3}),
            ("evaluation", {"num_features": 3}, EVAL),
            ("eps", {"num_features": 3, "eps": 1e-2}),
            ("affine", AFFINE),
            ("no bias", {**AFFINE, "bias": False}),
            ("tracked", TRACKED),
            ("tracked evaluation", {**TRACKED, "affine": True}, EVAL),
            ("momentum", {**TRACKED, "momentum": 0.4}),
            ("momentum None", {**TRACKED, "momentum": None}),
            ("one sample", {**AFFINE, "track_running_stats": True}, {"shape": shape[1:]}),
            ("one sample evaluation", TRACKED, {"shape": shape[1:], **EVAL}),
        ],
        spatial,
    )


INSTANCE_NORM = [
    *_instance_norm("InstanceNorm1d", (4, 3, 5), 1),
    *_instance_norm("InstanceNorm2d", (2, 3, 4, 3), 2),
    *_instance_norm("InstanceNorm3d", (2, 3, 2, 3, 2), 3),
]

GROUP_NORM = _rows(
    "GroupNorm",
    (2, 6, 3, 2),
    [
        ("defaults", {"num_groups": 3, "num_channels": 6}),
        ("one group", {"num_groups": 1, "num_channels": 6}),
        ("one channel each", {"num_groups": 6, "num_channels": 6}),
        ("eps", {"num_groups": 2, "num_channels": 6, "eps": 1e-2}),
        ("no affine", {"num_groups": 2, "num_channels": 6, "affine": False}),
        ("no bias", {"num_groups": 2, "num_channels": 6, "bias": False}),
        ("vectors", {"num_groups": 2, "num_channels": 6}, {"shape": (5, 6), "spatial": 0}),
        ("volumes", {"num_groups": 2, "num_channels": 6}, {"shape": (2, 6, 1, 3, 2), "spatial": 3}),
    ],
    spatial=2,
)

LAYER_NORM = _rows(
    "LayerNorm",
    (2, 4, 3, 5),
    [
        ("three axes", {"normalized_shape": (4, 3, 5)}),
        ("three axes no bias", {"normalized_shape": [4, 3, 5], "bias": False}),
        ("all axes", {"normalized_shape": (2, 4, 3, 5), "elementwise_affine": False}),
    ],
)

RMS_NORM = _rows(
    "RMSNorm",
    (4, 3, 6),
    [
        ("defaults", {"normalized_shape": 6}),
        ("several axes", {"normalized_shape": (3, 6)}),
        ("a list", {"normalized_shape": [4, 3, 6]}),
        ("eps", {"normalized_shape": 6, "eps": 1e-2}),
        ("no affine", {"normalized_shape": 6, "elementwise_affine": False}),
    ],
)

LOCAL_RESPONSE_NORM = _rows(
    "LocalResponseNorm",
    (2, 5, 3, 2),
    [
        ("defaults", {"size": 3}),
        ("even size", {"size": 2, "alpha": 1.0}),
        ("wider than the channels", {"size": 9, "alpha": 1.0}),
        ("beta", {"size": 3, "alpha": 1.0, "beta": 0.5}),
        ("k", {"size": 3, "alpha": 1.0, "k": 2.0}),
        ("sequences", {"size": 3, "alpha": 1.0}, {"shape": (2, 5, 4), "spatial": 1}),
        ("volumes", {"size": 3, "alpha": 1.0}, {"shape": (2, 5, 2, 1, 2), "spatial": 3}),
    ],
    spatial=2,
)

LAYERS = [
    *BATCH_NORM,
    *INSTANCE_NORM,
    *GROUP_NORM,
    *LAYER_NORM,
    *RMS_NORM,
    *LOCAL_RESPONSE_NORM,
]

CHANNELS_SECOND = [
    case._replace(options={**case.options, "spatial": 0, "own": {"channel_axis": 1}})
    for case in [
        *_rows(
            "BatchNorm2d",
            (4, 3, 3, 2),
            [
                ("channels second", {"num_features": 3}),
                ("channels second evaluation", {"num_features": 3}, EVAL),
            ],
        ),
        *_rows("BatchNorm1d", (5, 3, 4), [("channels second", {"num_features": 3})]),
        *_rows("BatchNorm3d", (2, 3, 2, 3, 2), [("channels second", {"num_features": 3})]),
        *_rows("SyncBatchNorm", (4, 3, 2), [("channels second", {"num_features": 3})]),
        *_rows(
            "InstanceNorm2d",
            (2, 3, 4, 3),
            [
                ("channels second", {**AFFINE, "track_running_stats": True}),
                ("channels first of one sample", AFFINE, {"shape": (3, 4, 2)}),
                ("channels second evaluation", TRACKED, EVAL),
            ],
        ),
        *_rows("InstanceNorm1d", (4, 3, 5), [("channels second", AFFINE)]),
        *_rows("InstanceNorm3d", (2, 3, 2, 3, 2), [("channels second", AFFINE)]),
        *_rows(
            "GroupNorm", (2, 6, 3, 2), [("channels second", {"num_groups": 3, "num_channels": 6})]
        ),
        *_rows("LocalResponseNorm", (2, 5, 3, 2), [("channels second", {"size": 3, "alpha": 1.0})]),
    ]
]
"""PyTorch's own layout."""

CASES = [*LAYERS, *CHANNELS_SECOND]

TWENTY_BATCHES = [
    *_rows(
        "BatchNorm1d",
        (4, 3, 5),
        [
            ("twenty batches", {"num_features": 3}),
            ("twenty batches momentum None", {"num_features": 3, "momentum": None}),
        ],
        spatial=1,
    ),
    *_rows("BatchNorm1d", (6, 3), [("twenty batches of vectors", {"num_features": 3})]),
    *_rows("BatchNorm2d", (2, 3, 3, 2), [("twenty batches", {"num_features": 3})], spatial=2),
    *_rows(
        "BatchNorm3d",
        (2, 3, 2, 3, 2),
        [("twenty batches", {"num_features": 3, "momentum": None})],
        spatial=3,
    ),
    *_rows("InstanceNorm1d", (4, 3, 5), [("twenty batches", TRACKED)], spatial=1),
    *_rows("InstanceNorm2d", (2, 3, 4, 3), [("twenty batches", TRACKED)], spatial=2),
    *_rows("InstanceNorm3d", (2, 3, 2, 3, 2), [("twenty batches", TRACKED)], spatial=3),
]
"""Running statistics in training, then evaluation."""

EIGHT_DEVICES = [
    *_rows(
        "SyncBatchNorm",
        (16, 3, 2, 3),
        [
            ("eight devices", {"num_features": 3}),
            ("eight devices momentum None", {"num_features": 3, "momentum": None}),
            (
                "eight devices no running statistics",
                {"num_features": 3, "track_running_stats": False},
            ),
        ],
        spatial=2,
        oracle="BatchNorm2d",
    ),
    *_rows(
        "SyncBatchNorm",
        (8, 3),
        [("eight devices of one value", {"num_features": 3, "bias": False})],
        oracle="BatchNorm1d",
    ),
]
"""Without a process group torch.nn.SyncBatchNorm is a BatchNorm, and this the judge."""

BAD = [
    *_rows(
        "GroupNorm",
        (2, 6, 3),
        [
            ("groups no divisor", {"num_groups": 4, "num_channels": 6}),
            ("groups negative", {"num_groups": -2, "num_channels": 6}),
        ],
    ),
]
"""Constructors that raise here at once; PyTorch raises there or when the layer is called."""

BAD_INPUTS = [
    *_rows(
        "BatchNorm1d",
        (2, 3, 4, 3),
        [
            ("four axes", {"num_features": 3}),
            ("one axis", {"num_features": 3}, {"shape": (3,)}),
            ("one value", {"num_features": 3}, {"shape": (1, 3)}),
            (
                "one value no running statistics evaluation",
                {"num_features": 3, "track_running_stats": False},
                {"shape": (1, 3), **EVAL},
            ),
            ("other channels", {"num_features": 3}, {"shape": (5, 4)}),
        ],
    ),
    *_rows("BatchNorm3d", (2, 3, 4, 3), [("four axes", {"num_features": 3})]),
    *_rows(
        "SyncBatchNorm",
        (3,),
        [
            ("one axis", {"num_features": 3}),
            ("no channels", {"num_features": 3}, {"shape": (3, 0)}),
            ("one value", {"num_features": 3}, {"shape": (1, 3)}),
        ],
    ),
    *_rows(
        "InstanceNorm1d",
        (3,),
        [
            ("one axis", {"num_features": 3}),
            ("other channels", AFFINE, {"shape": (2, 4, 4)}),
            ("one sample of other channels", AFFINE, {"shape": (4, 4)}),
        ],
    ),
    *_rows(
        "InstanceNorm2d",
        (3, 3),
        [
            ("two axes", {"num_features": 3}),
            ("other channels", AFFINE, {"shape": (2, 4, 4, 4)}),
            ("one sample of one value", {"num_features": 1}, {"shape": (1, 1, 1)}),
        ],
    ),
    *_rows("InstanceNorm3d", (3, 3, 3), [("three axes", {"num_features": 3})]),
    *_rows(
        "GroupNorm",
        (2, 4),
        [
            ("other channels", {"num_groups": 3, "num_channels": 6}),
            ("one axis", {"num_groups": 3, "num_channels": 6}, {"shape": (6,)}),
        ],
    ),
]
"""Calls whose text is PyTorch's to the letter, in PyTorch's layout where the layer has one."""

CONV = {"in_channels": 4, "out_channels": 6, "kernel_size": 3}
SQUARE = {**CONV, "out_channels": 4}
FUSED = [
    *_rows("Conv1d", (2, 4, 6), [("fused", CONV, {"bn": "BatchNorm1d"})], spatial=1),
    *_rows(
        "Conv2d",
        (2, 4, 5, 4),
        [
            ("fused", CONV, {"bn": "BatchNorm2d"}),
            (
                "fused no bias",
                {**CONV, "bias": False},
                {"bn": "BatchNorm2d", "quick": "the mean that a bias takes over"},
            ),
            (
                "fused groups reflect",
                {**CONV, "groups": 2, "padding": 1, "padding_mode": "reflect"},
                {"bn": "SyncBatchNorm"},
            ),
            ("fused no affine", CONV, {"bn": "BatchNorm2d", "affine": False}),
        ],
        spatial=2,
    ),
    *_rows("Conv3d", (2, 4, 3, 4, 3), [("fused", CONV, {"bn": "BatchNorm3d"})], spatial=3),
    *_rows("ConvTranspose1d", (2, 4, 5), [("fused", CONV, {"bn": "BatchNorm1d"})], spatial=1),
    *_rows(
        "ConvTranspose2d",
        (2, 4, 3, 4),
        [
            ("fused", {**CONV, "stride": 2, "bias": False}, {"bn": "BatchNorm2d"}),
            ("fused square", SQUARE, {"bn": "BatchNorm2d"}),
            (
                "fused groups",
                {**CONV, "groups": 2},
                {"bn": "BatchNorm2d", "unfused": "PyTorch broadcasts to another shape"},
            ),
        ],
        spatial=2,
    ),
    *_rows(
        "ConvTranspose3d",
        (1, 4, 2, 3, 2),
        [("fused", {**CONV, "kernel_size": 2}, {"bn": "BatchNorm3d"})],
        spatial=3,
    ),
    *_rows(
        "Linear",
        (5, 4),
        [
            ("fused", {"in_features": 4, "out_features": 3}, {"bn": "BatchNorm1d"}),
            (
                "fused no bias",
                {"in_features": 4, "out_features": 3, "bias": False},
                {"bn": "BatchNorm1d"},
            ),
            (
                "fused no affine",
                {"in_features": 4, "out_features": 3},
                {
                    "bn": "BatchNorm1d",
                    "affine": False,
                    "unfused": "PyTorch multiplies with the weight that is None",
                },
            ),
        ],
    ),
]
"""Layers before a batch normalization; ``unfused`` says why PyTorch cannot fuse them."""

LINEAR = {"in_features": 4, "out_features": 3}
BAD_FUSIONS = [
    Case(f"nn.{name}", kwargs, f"torch.nn.{name}", why, {"norm": norm, "text": text, **options})
    for name, kwargs, common, rows in [
        (
            "Conv2d",
            {**CONV, "out_channels": 3},
            {"fuse": "fuse_conv_bn"},
            [
                ("training", {}, "Fusion only for eval!", {}),
                (
                    "no running statistics",
                    {"track_running_stats": False},
                    "bn.running_mean and bn.running_var must not be None",
                    EVAL,
                ),
                (
                    "not transposed",
                    {},
                    "transpose=True does not go with a Conv2d",
                    {**EVAL, "transpose": {"transpose": True}, "unseen": "a shape, with luck"},
                ),
                (
                    "one feature",
                    {"num_features": 1},
                    "got conv.out_channels=3 and bn.num_features=1",
                    {**EVAL, "unseen": "broadcasts"},
                ),
                (
                    "channels second",
                    {"channel_axis": 1},
                    "bn.channel_axis must be -1",
                    {**EVAL, "unseen": "PyTorch's own layout"},
                ),
            ],
        ),
        (
            "ConvTranspose2d",
            {**CONV, "out_channels": 3},
            {"fuse": "fuse_conv_bn"},
            [
                (
                    "transposed",
                    {},
                    "transpose=False does not go with a ConvTranspose2d",
                    {**EVAL, "unseen": "a shape, with luck"},
                )
            ],
        ),
        (
            "Linear",
            LINEAR,
            {"fuse": "fuse_linear_bn"},
            [
                ("training", {}, "Fusion only for eval!", {}),
                (
                    "no running statistics",
                    {"track_running_stats": False},
                    "bn.running_mean and bn.running_var must not be None",
                    EVAL,
                ),
                (
                    "other features",
                    {"num_features": 4},
                    "To fuse, linear.out_features == bn.num_features or bn.num_features == 1, "
                    "got linear.out_features=3 and bn.num_features=4",
                    EVAL,
                ),
            ],
        ),
    ]
    for why, changes, text, more in rows
    for norm, options in [({"num_features": 3, **changes}, {**common, **more})]
]
"""``text``: the error's; ``unseen``: what PyTorch does instead of raising it."""

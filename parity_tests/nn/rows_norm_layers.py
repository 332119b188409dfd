"""Rows for the normalization layers of ``jaxaccel.nn``.

``kwargs`` go to both constructors; the options are those of ``harness/layer.py``. The rows of
``BatchNorm2d`` and ``LayerNorm`` are in ``rows_layers.py``; what is refused is in
``rows_norm_errors.py``, and layers that a BatchNorm is fused into are in ``rows_fused_layers.py``.
"""

from parity_tests.registry import Case


def layer_rows(name, shape, rows, spatial=0, oracle=None):
    """Return a layer's rows; ``shape`` is that of the inputs, unless a row has its own."""
    common = {"shape": shape, "spatial": spatial}
    return [
        Case(f"nn.{name}", kwargs, f"torch.nn.{oracle or name}", why, {**common, **dict(*options)})
        for why, kwargs, *options in rows
    ]


EVAL = {"mode": "eval"}


def _batch_norm(name, shape, spatial, features=3):
    defaults = {"num_features": features}
    return layer_rows(
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
    *layer_rows(
        "BatchNorm1d",
        (6, 3),
        [
            ("vectors", {"num_features": 3}),
            ("vectors evaluation", {"num_features": 3}, EVAL),
        ],
    ),
    *_batch_norm("BatchNorm3d", (2, 3, 2, 3, 2), 3),
    *_batch_norm("SyncBatchNorm", (4, 3, 2, 3), 2),
    *layer_rows(
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
    return layer_rows(
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

GROUP_NORM = layer_rows(
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

LAYER_NORM = layer_rows(
    "LayerNorm",
    (2, 4, 3, 5),
    [
        ("three axes", {"normalized_shape": (4, 3, 5)}),
        ("three axes no bias", {"normalized_shape": [4, 3, 5], "bias": False}),
        ("all axes", {"normalized_shape": (2, 4, 3, 5), "elementwise_affine": False}),
    ],
)

RMS_NORM = layer_rows(
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

LOCAL_RESPONSE_NORM = layer_rows(
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
        *layer_rows(
            "BatchNorm2d",
            (4, 3, 3, 2),
            [
                ("channels second", {"num_features": 3}),
                ("channels second evaluation", {"num_features": 3}, EVAL),
            ],
        ),
        *layer_rows("BatchNorm1d", (5, 3, 4), [("channels second", {"num_features": 3})]),
        *layer_rows("BatchNorm3d", (2, 3, 2, 3, 2), [("channels second", {"num_features": 3})]),
        *layer_rows("SyncBatchNorm", (4, 3, 2), [("channels second", {"num_features": 3})]),
        *layer_rows(
            "InstanceNorm2d",
            (2, 3, 4, 3),
            [
                ("channels second", {**AFFINE, "track_running_stats": True}),
                ("channels first of one sample", AFFINE, {"shape": (3, 4, 2)}),
                ("channels second evaluation", TRACKED, EVAL),
            ],
        ),
        *layer_rows("InstanceNorm1d", (4, 3, 5), [("channels second", AFFINE)]),
        *layer_rows("InstanceNorm3d", (2, 3, 2, 3, 2), [("channels second", AFFINE)]),
        *layer_rows(
            "GroupNorm", (2, 6, 3, 2), [("channels second", {"num_groups": 3, "num_channels": 6})]
        ),
        *layer_rows(
            "LocalResponseNorm", (2, 5, 3, 2), [("channels second", {"size": 3, "alpha": 1.0})]
        ),
    ]
]
"""PyTorch's own layout."""

CASES = [*LAYERS, *CHANNELS_SECOND]

TWENTY_BATCHES = [
    *layer_rows(
        "BatchNorm1d",
        (4, 3, 5),
        [
            ("twenty batches", {"num_features": 3}),
            ("twenty batches momentum None", {"num_features": 3, "momentum": None}),
        ],
        spatial=1,
    ),
    *layer_rows("BatchNorm1d", (6, 3), [("twenty batches of vectors", {"num_features": 3})]),
    *layer_rows("BatchNorm2d", (2, 3, 3, 2), [("twenty batches", {"num_features": 3})], spatial=2),
    *layer_rows(
        "BatchNorm3d",
        (2, 3, 2, 3, 2),
        [("twenty batches", {"num_features": 3, "momentum": None})],
        spatial=3,
    ),
    *layer_rows("InstanceNorm1d", (4, 3, 5), [("twenty batches", TRACKED)], spatial=1),
    *layer_rows("InstanceNorm2d", (2, 3, 4, 3), [("twenty batches", TRACKED)], spatial=2),
    *layer_rows("InstanceNorm3d", (2, 3, 2, 3, 2), [("twenty batches", TRACKED)], spatial=3),
]
"""Running statistics in training, then evaluation."""

EIGHT_DEVICES = [
    *layer_rows(
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
    *layer_rows(
        "SyncBatchNorm",
        (8, 3),
        [("eight devices of one value", {"num_features": 3, "bias": False})],
        oracle="BatchNorm1d",
    ),
]
"""Without a process group torch.nn.SyncBatchNorm is a BatchNorm, and this the judge."""

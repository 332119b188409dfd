"""Rows of what the normalization layers of ``jaxaccel.nn`` refuse: constructors and inputs."""

from parity_tests.nn.rows_norm_layers import AFFINE, EVAL, layer_rows

BAD = [
    *layer_rows(
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
    *layer_rows(
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
    *layer_rows("BatchNorm3d", (2, 3, 4, 3), [("four axes", {"num_features": 3})]),
    *layer_rows(
        "SyncBatchNorm",
        (3,),
        [
            ("one axis", {"num_features": 3}),
            ("no channels", {"num_features": 3}, {"shape": (3, 0)}),
            ("one value", {"num_features": 3}, {"shape": (1, 3)}),
        ],
    ),
    *layer_rows(
        "InstanceNorm1d",
        (3,),
        [
            ("one axis", {"num_features": 3}),
            ("other channels", AFFINE, {"shape": (2, 4, 4)}),
            ("one sample of other channels", AFFINE, {"shape": (4, 4)}),
        ],
    ),
    *layer_rows(
        "InstanceNorm2d",
        (3, 3),
        [
            ("two axes", {"num_features": 3}),
            ("other channels", AFFINE, {"shape": (2, 4, 4, 4)}),
            ("one sample of one value", {"num_features": 1}, {"shape": (1, 1, 1)}),
        ],
    ),
    *layer_rows("InstanceNorm3d", (3, 3, 3), [("three axes", {"num_features": 3})]),
    *layer_rows(
        "GroupNorm",
        (2, 4),
        [
            ("other channels", {"num_groups": 3, "num_channels": 6}),
            ("one axis", {"num_groups": 3, "num_channels": 6}, {"shape": (6,)}),
        ],
    ),
]
"""Calls whose text is PyTorch's to the letter, in PyTorch's layout where the layer has one."""

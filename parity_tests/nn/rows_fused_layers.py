"""Rows for ``nn.fuse_conv_bn`` and ``nn.fuse_linear_bn``: layers, and the BatchNorm behind each.

Options of a row: ``bn``, the BatchNorm's class; ``affine``, whether it has weights; ``unfused``,
why PyTorch's own fusion is no judge.
"""

from parity_tests.nn.rows_norm_layers import EVAL, layer_rows
from parity_tests.registry import Case

CONV = {"in_channels": 4, "out_channels": 6, "kernel_size": 3}
SQUARE = {**CONV, "out_channels": 4}
FUSED = [
    *layer_rows("Conv1d", (2, 4, 6), [("fused", CONV, {"bn": "BatchNorm1d"})], spatial=1),
    *layer_rows(
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
    *layer_rows("Conv3d", (2, 4, 3, 4, 3), [("fused", CONV, {"bn": "BatchNorm3d"})], spatial=3),
    *layer_rows("ConvTranspose1d", (2, 4, 5), [("fused", CONV, {"bn": "BatchNorm1d"})], spatial=1),
    *layer_rows(
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
    *layer_rows(
        "ConvTranspose3d",
        (1, 4, 2, 3, 2),
        [("fused", {**CONV, "kernel_size": 2}, {"bn": "BatchNorm3d"})],
        spatial=3,
    ),
    *layer_rows(
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

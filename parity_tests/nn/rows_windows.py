"""Rows for the pads and windows of ``jaxaccel.nn``; the options are ``harness/layer.py``'s.

``after`` is how many axes follow the channels in the output, where it is another number than in the
input. What the options do to each other, PyTorch's own database asks for.
"""

from parity_tests.registry import Case


def _rows(name, shape, rows, spatial=0):
    common = {"shape": shape, "spatial": spatial}
    return [
        Case(f"nn.{name}", kwargs, f"torch.nn.{name}", why, {**common, **dict(*options)})
        for why, kwargs, *options in rows
    ]


_SHAPES = {1: (2, 3, 5), 2: (2, 3, 5, 4), 3: (1, 2, 4, 3, 5)}
_LENGTHS = {1: (2, 1), 2: (2, 1, 0, 3), 3: (2, 1, 0, 1, 3, 2)}

PADS = [
    case
    for kind in ("Zero", "Constant", "Reflection", "Replication", "Circular")
    for axes, shape in _SHAPES.items()
    for case in _rows(
        f"{kind}Pad{axes}d",
        shape,
        [
            (
                "all sides",
                {"padding": _LENGTHS[axes]} | ({"value": -1.5} if kind == "Constant" else {}),
            )
        ],
        axes,
    )
]

DRAWN = [
    *_rows("RReLU", (3, 4), [("slopes", {"lower": 0.1, "upper": 0.3}, {"mode": "eval"})]),
    *_rows("AlphaDropout", (3, 4), [("p", {"p": 0.2}, {"mode": "eval"})]),
    *_rows("FeatureAlphaDropout", (3, 4, 5), [("p", {"p": 0.2}, {"mode": "eval"})], 1),
]
"""In evaluation; what is drawn, functional's test_draws asks for."""

LAYERS = [
    *PADS,
    *DRAWN,
    *(
        case
        for axes, shape in _SHAPES.items()
        for case in _rows(
            f"LPPool{axes}d",
            shape,
            [
                (
                    "all together",
                    {"norm_type": 2, "kernel_size": 2, "stride": 1, "ceil_mode": True},
                )
            ],
            axes,
        )
    ),
    *_rows("Softmax2d", (2, 3, 4, 5), [("defaults", {})], 2),
    *_rows("ChannelShuffle", (2, 6, 3, 2), [("thirds", {"groups": 3})], 2),
    *_rows("UpsamplingNearest2d", (2, 3, 4, 5), [("size", {"size": 7})], 2),
    *_rows("UpsamplingNearest2d", (2, 3, 4, 5), [("factor", {"scale_factor": 1.5})], 2),
    *_rows("UpsamplingBilinear2d", (2, 3, 4, 5), [("size", {"size": (7, 3)})], 2),
    *_rows("UpsamplingBilinear2d", (2, 3, 4, 5), [("factor", {"scale_factor": 1.5})], 2),
    *_rows(
        "Unfold",
        (2, 3, 5, 4),
        [
            (
                "all together",
                {"kernel_size": (2, 3), "dilation": 2, "padding": 1, "stride": 2},
                {"after": 1},
            )
        ],
        2,
    ),
    *_rows(
        "Fold",
        (2, 12, 10),
        [
            (
                "all together",
                {
                    "output_size": (6, 5),
                    "kernel_size": (2, 3),
                    "dilation": (2, 1),
                    "padding": (0, 1),
                    "stride": (2, 1),
                },
                {"after": 2},
            )
        ],
        1,
    ),
]

CASES = LAYERS

DIFFERENT = {
    f"nn.{name}": {"adds": ["rngs"], "omits": ["inplace"]}
    for name in ("RReLU", "AlphaDropout", "FeatureAlphaDropout")
}
"""Arguments that only jaxaccel has, or only PyTorch; the docstrings say why."""

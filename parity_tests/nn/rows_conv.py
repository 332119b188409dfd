"""Rows for the convolutions of one and three axes and the transposed ones of one to three.

``kwargs`` go to both constructors; the options are those of ``harness/layer.py``. The rows of
``Conv2d`` are in ``rows_layers.py``, and what a convolution does with its arguments is asked in
``functional/rows_conv.py``. ``text`` is a pattern of what an error says.
"""

from parity_tests.registry import Case

SIZES = (7, 5, 6)
BASE = {"in_channels": 4, "out_channels": 6, "kernel_size": 3}


def _rows(name, rows):
    axes = int(name[-2])
    common = {"shape": (2, 4, *SIZES[:axes]), "spatial": axes}
    return [
        Case(
            f"nn.{name}", {**BASE, **kwargs}, f"torch.nn.{name}", why, {**common, **dict(*options)}
        )
        for why, kwargs, *options in rows
    ]


CONV = [
    *_rows(
        "Conv1d",
        [
            ("defaults", {}),
            ("kernel in a list", {"kernel_size": [2]}),
            ("padding same even kernel", {"padding": "same", "kernel_size": 4}),
            ("groups depthwise", {"groups": 4, "out_channels": 8}),
            ("no bias", {"bias": False}),
            ("reflect all but one", {"padding": 6, "padding_mode": "reflect"}),
            ("replicate beyond the size", {"padding": 9, "padding_mode": "replicate"}),
            ("circular once around", {"padding": 7, "padding_mode": "circular"}),
            ("all together", {"stride": 2, "padding": 3, "dilation": 2, "groups": 2}),
        ],
    ),
    *_rows(
        "Conv3d",
        [
            ("defaults", {}),
            ("padding of one number in a list", {"padding": [1]}),
            ("no bias", {"bias": False, "kernel_size": 1}),
            ("reflect", {"padding": (1, 4, 2), "padding_mode": "reflect"}),
            ("replicate", {"padding": (1, 6, 0), "padding_mode": "replicate"}),
            ("circular", {"padding": (0, 5, 1), "padding_mode": "circular"}),
            (
                "all together",
                {
                    "kernel_size": (2, 3, 1),
                    "stride": (2, 1, 3),
                    "padding": (1, 2, 0),
                    "dilation": (1, 2, 3),
                    "groups": 2,
                },
            ),
        ],
    ),
]

TRANSPOSED = [
    *_rows(
        "ConvTranspose1d",
        [
            ("defaults", {"padding_mode": "zeros"}),
            ("groups depthwise", {"groups": 4, "out_channels": 8}),
            ("no bias", {"bias": False}),
            (
                "all together",
                {"stride": 3, "padding": 2, "output_padding": 1, "groups": 2, "dilation": 2},
            ),
        ],
    ),
    *_rows(
        "ConvTranspose2d",
        [
            ("defaults", {"padding_mode": "zeros"}),
            (
                "groups of three channels",
                {"groups": 2, "in_channels": 6, "out_channels": 8},
                {"shape": (2, 6, 4, 5), "quick": "the order of the groups"},
            ),
            ("no bias", {"bias": False}),
            ("one image", {}, {"shape": (4, 7, 5)}),
            (
                "all together",
                {
                    "kernel_size": (2, 3),
                    "stride": (3, 2),
                    "padding": (2, 1),
                    "output_padding": (2, 1),
                    "groups": 2,
                    "dilation": (1, 2),
                },
            ),
        ],
    ),
    *_rows(
        "ConvTranspose3d",
        [
            ("defaults", {"padding_mode": "zeros"}),
            ("no bias", {"bias": False}),
            (
                "all together",
                {
                    "kernel_size": (2, 3, 1),
                    "stride": (3, 1, 2),
                    "padding": (1, 2, 0),
                    "output_padding": (2, 0, 1),
                    "groups": 2,
                    "dilation": (1, 2, 1),
                },
            ),
        ],
    ),
]

CASES = [*CONV, *TRANSPOSED]

OUTPUT_SIZES = [
    *_rows("ConvTranspose1d", [("largest", {"stride": 3}, {"output_size": (23,)})]),
    *_rows(
        "ConvTranspose2d",
        [
            ("smallest", {"stride": 2, "output_padding": 1}, {"output_size": (15, 11)}),
            ("between", {"stride": (3, 2), "padding": (1, 0)}, {"output_size": (20, 12)}),
            ("one image", {"stride": 2}, {"output_size": (16, 11), "shape": (4, 7, 5)}),
        ],
    ),
    *_rows("ConvTranspose3d", [("oblong", {"stride": 2}, {"output_size": (15, 12, 13)})]),
]
"""Rows whose call names the spatial sizes of its output."""

_BAD = [
    ("groups zero", {"groups": 0}),
    ("groups of in channels", {"groups": 3}),
    ("groups of out channels", {"groups": 4}),
    ("kernel zero", {"kernel_size": 0}),
    ("kernel negative", {"kernel_size": -1}),
    ("stride zero", {"stride": 0}),
    ("dilation zero", {"dilation": 0}),
    ("padding negative", {"padding": -1}),
    ("padding of four", {"padding": [1, 2, 3, 4]}),
    ("stride of four", {"stride": (1, 2, 3, 4)}),
    ("dilation of four", {"dilation": [1, 2, 3, 4]}),
]
BAD = [
    *(
        row
        for name in ("Conv1d", "Conv2d", "Conv3d")
        for row in _rows(
            name,
            [
                *_BAD,
                ("padding same strided", {"padding": "same", "stride": 2}),
                ("no outputs", {"out_channels": 0}),
            ],
        )
    ),
    *(row for name in ("ConvTranspose1d", "ConvTranspose2d") for row in _rows(name, _BAD)),
    *_rows("ConvTranspose3d", [row for row in _BAD if row[0] != "kernel zero"]),
    *(
        row
        for name in ("ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d")
        for row in _rows(
            name,
            [
                ("no inputs", {"in_channels": 0}, {"shape": (2, 0, *SIZES[: int(name[-2])])}),
                ("output padding negative", {"output_padding": -1}),
                ("output padding of four", {"output_padding": [1, 2, 3, 4]}),
                ("output padding of the stride", {"output_padding": 2, "stride": 2}),
                ("output padding without a stride", {"output_padding": 1}),
                ("padding mode", {"padding_mode": "reflect"}),
            ],
        )
    ),
]
"""Constructors that raise here at once, with PyTorch's text; PyTorch raises there or later."""

BAD_INPUTS = [
    row
    for name in ("Conv1d", "Conv3d")
    for row in _rows(
        name,
        [
            ("reflect", {"padding": 7, "padding_mode": "reflect"}, {"text": "[Pp]adding"}),
            ("circular", {"padding": 8, "padding_mode": "circular"}, {"text": "[Pp]adding"}),
        ],
    )
]
"""Calls that raise: both texts contain ``text``; PyTorch's shapes have channels first."""

"""Rows for the pools of ``jaxaccel.functional``; the options are those of ``harness/function.py``.

``text`` is what an error says where PyTorch's own words, or its order of axes, are not ours.
"""

import numpy as np

from parity_tests.registry import Case


def _rows(name, shape, rows):
    spatial = int(name[-2])
    return [
        Case(
            f"functional.{name}",
            kwargs,
            f"torch.nn.functional.{name}",
            why,
            {"arrays": {"input": shape}, "spatial": spatial, **dict(*options)},
        )
        for why, kwargs, *options in rows
    ]


def _of_shape(*shape, **options):
    return {"arrays": {"input": shape}, **options}


def _without_padding(rows):
    """Return the rows that pad, with padding that does not count."""
    return [
        (f"{why} without padding", {**kwargs, "count_include_pad": False}, *options)
        for why, kwargs, *options in rows
        if "padding" in kwargs
    ]


PLANTED = {
    1: (np.s_[..., 3], np.s_[..., 11], np.s_[..., 5:10]),
    2: (np.s_[..., 2, 3], np.s_[..., 5, 1], np.s_[..., 3:6, 4:7]),
    3: (np.s_[..., 1, 2, 3], np.s_[..., 4, 1, 1], np.s_[..., 1:4, 1:3, 4:6]),
}
"""Where the inputs hold NaN, infinity, and minus infinity (whole windows of it)."""

_BOTH_1D = [
    ("defaults", {"kernel_size": 2}),
    ("a tuple", {"kernel_size": (3,), "stride": (2,), "padding": (1,)}),
    ("overlapping wide", {"kernel_size": 5, "stride": 1}),
    ("stride beyond the kernel", {"kernel_size": 2, "stride": 3}),
    ("padding", {"kernel_size": 3, "stride": 2, "padding": 1}),
    ("ceil mode", {"kernel_size": 2, "ceil_mode": True}),
    ("ceil mode padding", {"kernel_size": 4, "stride": 3, "padding": 2, "ceil_mode": True}),
    ("ceil mode drops a window", {"kernel_size": 2, "stride": 4, "padding": 1, "ceil_mode": True}),
    ("one series", {"kernel_size": 2}, _of_shape(3, 13)),
]

_BOTH_2D = [
    ("defaults", {"kernel_size": 2}),
    ("kernel oblong", {"kernel_size": (2, 3)}),
    ("kernel 1", {"kernel_size": 1, "stride": 2}),
    ("overlapping", {"kernel_size": 3, "stride": 2}),
    ("overlapping wide", {"kernel_size": 4, "stride": 1}),
    ("stride oblong", {"kernel_size": 2, "stride": (1, 3)}),
    ("stride beyond the kernel", {"kernel_size": 2, "stride": 3}),
    ("padding", {"kernel_size": 3, "stride": 2, "padding": 1}),
    ("padding oblong", {"kernel_size": (2, 5), "padding": (1, 2)}),
    ("ceil mode", {"kernel_size": 2, "ceil_mode": True}),
    ("ceil mode overlapping", {"kernel_size": 3, "stride": 2, "ceil_mode": True}),
    ("ceil mode padding", {"kernel_size": 3, "stride": 3, "padding": 1, "ceil_mode": True}),
    ("ceil mode drops a window", {"kernel_size": 2, "stride": 4, "padding": 1, "ceil_mode": True}),
    ("whole input", {"kernel_size": (9, 8)}),
    ("one image", {"kernel_size": 2}, _of_shape(3, 9, 8)),
]

_BOTH_3D = [
    ("defaults", {"kernel_size": 2}),
    ("all of one", {"kernel_size": (2,), "stride": (1,)}),
    ("oblong", {"kernel_size": (1, 3, 2), "stride": (2, 1, 3)}),
    ("padding", {"kernel_size": 3, "stride": 2, "padding": 1}),
    ("padding oblong", {"kernel_size": (2, 1, 4), "padding": (1, 0, 2)}),
    ("ceil mode padding", {"kernel_size": 2, "stride": 3, "padding": 1, "ceil_mode": True}),
    ("one volume", {"kernel_size": 2}, _of_shape(2, 5, 4, 6)),
]

_SHAPES = {1: (2, 3, 13), 2: (2, 3, 9, 8), 3: (2, 2, 5, 4, 6)}

MAX_POOL = [
    *_rows(
        "max_pool1d",
        _SHAPES[1],
        [*_BOTH_1D, ("dilation", {"kernel_size": 3, "padding": 1, "dilation": 3})],
    ),
    *_rows(
        "max_pool2d",
        _SHAPES[2],
        [
            *_BOTH_2D,
            ("dilation", {"kernel_size": 3, "stride": 1, "dilation": 2}),
            ("dilation oblong padding", {"kernel_size": 3, "padding": 1, "dilation": (2, 1)}),
        ],
    ),
    *_rows(
        "max_pool3d",
        _SHAPES[3],
        [*_BOTH_3D, ("dilation", {"kernel_size": 2, "stride": 1, "dilation": (3, 1, 2)})],
    ),
]

AVG_POOL = [
    *_rows("avg_pool1d", _SHAPES[1], [*_BOTH_1D, *_without_padding(_BOTH_1D)]),
    *_rows(
        "avg_pool2d",
        _SHAPES[2],
        [
            *_BOTH_2D,
            *_without_padding(_BOTH_2D),
            ("divisor override", {"kernel_size": 3, "padding": 1, "divisor_override": 7}),
            ("divisor override negative", {"kernel_size": 2, "divisor_override": -2}),
        ],
    ),
    *_rows(
        "avg_pool3d",
        _SHAPES[3],
        [
            *_BOTH_3D,
            *_without_padding(_BOTH_3D),
            ("divisor override", {"kernel_size": 2, "padding": 1, "divisor_override": 5}),
        ],
    ),
]

_ADAPTIVE = {
    1: [
        ("defaults", {"output_size": 4}),
        ("one", {"output_size": 1}),
        ("even bins", {"output_size": 4}, _of_shape(2, 3, 12)),
        ("nothing changes", {"output_size": (13,)}),
        ("more than there are", {"output_size": 17}),
        ("one series", {"output_size": 5}, _of_shape(3, 13)),
    ],
    2: [
        ("defaults", {"output_size": 5}),
        ("one", {"output_size": 1}),
        ("oblong", {"output_size": (3, 4)}),
        ("the input's own", {"output_size": (None, 3)}),
        ("more than there are", {"output_size": [7, 11]}),
        ("one image", {"output_size": 4}, _of_shape(3, 9, 8)),
    ],
    3: [
        ("defaults", {"output_size": 3}),
        ("one", {"output_size": 1}),
        ("oblong", {"output_size": (2, None, 5)}),
        ("one volume", {"output_size": 2}, _of_shape(2, 5, 4, 6)),
    ],
}
ADAPTIVE = [
    case
    for axes, rows in _ADAPTIVE.items()
    for kind in ("avg", "max")
    for case in _rows(f"adaptive_{kind}_pool{axes}d", _SHAPES[axes], rows)
]

CASES = [*MAX_POOL, *AVG_POOL, *ADAPTIVE]

BUILTINS = {case.function for case in CASES} - {
    f"functional.adaptive_avg_pool{axes}d" for axes in (2, 3)
}
"""PyTorch's have no signature to read but the first line of their documentation."""

_WINDOWS = [
    ("padding too large", {"kernel_size": 2, "padding": 2}),
    ("padding negative", {"kernel_size": 2, "padding": -1}),
    ("kernel zero", {"kernel_size": 0, "stride": 1}),
    ("stride zero", {"kernel_size": 2, "stride": 0}),
    ("stride negative", {"kernel_size": 2, "stride": -1}),
    ("kernel of four", {"kernel_size": (2, 2, 2, 2)}),
    ("stride of four", {"kernel_size": 2, "stride": (1, 1, 1, 1)}),
]
_DILATED = [
    ("dilation zero", {"kernel_size": 2, "dilation": 0}),
    ("padding too large dilated", {"kernel_size": 2, "dilation": 2, "padding": 2}),
    ("padding for the dilation", {"kernel_size": 2, "dilation": 3, "padding": 2}),
]
_OF_FOUR = {"text": "must either be"}
"""PyTorch has a wording of its own for each pool."""


def _bad(name, shape, rows):
    exact = name in ("max_pool2d", "avg_pool2d", "max_pool3d")
    return _rows(
        name,
        shape,
        [
            (why, kwargs, _OF_FOUR) if why.endswith("of four") and not exact else (why, kwargs)
            for why, kwargs in rows
        ],
    )


BAD = [
    *_bad("max_pool1d", (1, 4, 9), [*_WINDOWS, *_DILATED]),
    *_bad(
        "max_pool2d",
        (1, 4, 9, 9),
        [*_WINDOWS, *_DILATED[:2], ("kernel oblong", {"kernel_size": (2, 0), "stride": 1})],
    ),
    *_bad("max_pool3d", (1, 4, 9, 9, 9), [*_WINDOWS, *_DILATED[:2]]),
    *_bad("avg_pool1d", (1, 4, 9), _WINDOWS),
    *_bad(
        "avg_pool2d",
        (1, 4, 9, 9),
        [*_WINDOWS, ("divisor zero", {"kernel_size": 2, "divisor_override": 0})],
    ),
    *_bad(
        "avg_pool3d",
        (1, 4, 9, 9, 9),
        [*_WINDOWS, ("divisor zero", {"kernel_size": 2, "divisor_override": 0})],
    ),
    *_rows("adaptive_avg_pool2d", (1, 4, 9, 9), [("negative", {"output_size": (-1, 2)})]),
    *(
        case
        for name, axes in (
            ("adaptive_avg_pool1d", 1),
            ("adaptive_avg_pool3d", 3),
            ("adaptive_max_pool2d", 2),
        )
        for case in _rows(
            name,
            (1, 4, *(9,) * axes),
            [
                ("negative", {"output_size": -1}, {"text": "must be greater than or equal to 0"}),
                (
                    "of four",
                    {"output_size": (2, 2, 2, 2)},
                    {
                        "text": "should contain one int"
                        if axes == 1
                        else f"output_size must be {axes}"
                    },
                ),
                (
                    "no integer",
                    {"output_size": 2.0},
                    {"text": "'output_size' .* must be .*tuple of ints"},
                ),
            ],
        )
    ),
]
"""Arguments that make no pool."""

BAD_INPUTS = [
    *_rows(
        "max_pool1d",
        (1, 3, 4),
        [
            (
                "too small",
                {"kernel_size": 5},
                {"text": r"Invalid computed output size: 0"},
            ),
            (
                "four axes",
                {"kernel_size": 2},
                _of_shape(1, 1, 3, 4, text="Expected 2D or 3D"),
            ),
        ],
    ),
    *_rows(
        "max_pool2d",
        (1, 3, 4, 4),
        [
            (
                "too small",
                {"kernel_size": 5},
                {"text": r"\(3x4x4\). Calculated output size: \(3x0x0\)"},
            ),
            ("two axes", {"kernel_size": 2}, _of_shape(4, 4, text="non-empty 3D or 4D")),
            ("empty", {"kernel_size": 2}, _of_shape(1, 0, 4, 4, text="Expected 3D or 4D")),
        ],
    ),
    *_rows(
        "avg_pool3d",
        (1, 3, 4, 4, 4),
        [
            ("too small", {"kernel_size": 5}, {"text": "Output size is too small"}),
            ("six axes", {"kernel_size": 2}, _of_shape(*(1,) * 6, text="non-empty 4D or 5D")),
        ],
    ),
    *(
        case
        for kind in ("avg", "max")
        for case in _rows(
            f"adaptive_{kind}_pool2d",
            (4, 4),
            [
                (
                    "two axes",
                    {"output_size": 2},
                    {"text": "Input dimension should be at least 3"},
                ),
                (
                    "empty",
                    {"output_size": 2},
                    _of_shape(1, 3, 0, 4, text="to have non-zero size"),
                ),
            ],
        )
    ),
]
"""Inputs that have no pool."""

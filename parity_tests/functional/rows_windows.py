"""Rows for windows, unpools and lookups; the options are those of ``harness/function.py``.

``text`` is what an error says where PyTorch's own words, or its order of axes, are not ours. What
the options do to each other, and the indices of the pools, PyTorch's own database asks for.
"""

from parity_tests.registry import Case


def _rows(name, shape, spatial, rows, **options):
    common = {"arrays": {"input": shape}, "spatial": spatial, **options}
    return [
        Case(f"functional.{name}", kwargs, f"torch.nn.functional.{name}", why, common | dict(*more))
        for why, kwargs, *more in rows
    ]


def _of_shape(*shape, **options):
    return {"arrays": {"input": shape}, **options}


_PLACES = {
    1: [[[1, 2, 5], [0, 3, 4]]],
    2: [[[[1, 4], [11, 14]], [[0, 6], [8, 10]]]],
    3: [[[[[0, 3], [9, 12]], [[21, 30], [44, 63]]]]],
}
"""Where values were, in their channel's points."""

_UNPOOLS = [
    case
    for axes, places in _PLACES.items()
    for case in _rows(
        f"max_unpool{axes}d",
        ((1, 2, 3), (1, 2, 2, 2), (1, 1, 2, 2, 2))[axes - 1],
        axes,
        [("defaults", {"kernel_size": 2})],
        constants={"indices": places},
        moved=("indices",),
    )
]

_SIZES = [
    *_rows(
        "max_unpool1d",
        (1, 2, 3),
        1,
        [
            ("all together", {"kernel_size": 3, "stride": 2, "padding": 1, "output_size": (6,)}),
        ],
        constants={"indices": _PLACES[1]},
        moved=("indices",),
    ),
    *_rows(
        "max_unpool2d",
        (1, 2, 2, 2),
        2,
        [
            (
                "all together",
                {"kernel_size": (3, 2), "stride": 2, "padding": (1, 0), "output_size": (4, 5)},
            )
        ],
        constants={"indices": _PLACES[2]},
        moved=("indices",),
    ),
    *_rows(
        "max_unpool3d",
        (1, 1, 2, 2, 2),
        3,
        [
            (
                "all together",
                {"kernel_size": 3, "stride": 2, "padding": 0, "output_size": (4, 5, 6)},
            )
        ],
        constants={"indices": _PLACES[3]},
        moved=("indices",),
    ),
]

_NORMS = [
    case
    for axes, shape in enumerate([(2, 3, 9), (2, 3, 6, 5), (1, 2, 4, 5, 4)], 1)
    for case in _rows(
        f"lp_pool{axes}d",
        shape,
        axes,
        [
            ("defaults", {"norm_type": 2.0, "kernel_size": 2}),
            (
                "all together",
                {"norm_type": 4, "kernel_size": 2, "stride": 3, "ceil_mode": True},
            ),
        ],
    )
]

_IMAGE = (2, 3, 6, 5)

CASES = [
    *_UNPOOLS,
    *_SIZES,
    *_NORMS,
    *_rows(
        "lp_pool2d",
        _IMAGE,
        2,
        [
            ("largest", {"norm_type": float("inf"), "kernel_size": (2, 3)}),
            ("smallest", {"norm_type": float("-inf"), "kernel_size": 2, "stride": 1}),
        ],
    ),
    *_rows(
        "unfold",
        _IMAGE,
        2,
        [
            ("defaults", {"kernel_size": 2}),
            ("all together", {"kernel_size": (2, 3), "dilation": 2, "padding": 1, "stride": 2}),
            ("one image", {"kernel_size": 3}, _of_shape(3, 6, 5)),
        ],
        after=1,
    ),
    *_rows(
        "fold",
        (2, 12, 20),
        1,
        [
            ("defaults", {"output_size": (6, 5), "kernel_size": 2}),
            (
                "all together",
                {
                    "output_size": (6, 5),
                    "kernel_size": (2, 3),
                    "dilation": (2, 1),
                    "padding": (0, 1),
                    "stride": (2, 1),
                },
                _of_shape(2, 12, 10),
            ),
            ("one image", {"output_size": 4, "kernel_size": 2}, _of_shape(4, 9)),
        ],
        after=2,
    ),
    *_rows(
        "channel_shuffle",
        (2, 6, 3, 2),
        2,
        [("thirds", {"groups": 3}), ("halves", {"groups": 2})],
    ),
    *_rows(
        "grid_sample",
        _IMAGE,
        2,
        [
            ("defaults", {"align_corners": False}),
            ("nearest", {"mode": "nearest", "align_corners": False}),
            (
                "all together",
                {"mode": "bicubic", "padding_mode": "reflection", "align_corners": True},
            ),
        ],
        arrays={"input": _IMAGE, "grid": (2, 4, 3, 2)},
    ),
    *_rows(
        "grid_sample",
        (1, 2, 3, 4, 5),
        3,
        [("volumes", {"padding_mode": "border", "align_corners": False})],
        arrays={"input": (1, 2, 3, 4, 5), "grid": (1, 2, 3, 2, 3)},
    ),
    *_rows(
        "affine_grid",
        (),
        0,
        [
            ("defaults", {"size": (2, 3, 4, 5), "align_corners": False}),
            ("corners", {"size": (2, 3, 4, 5), "align_corners": True}),
        ],
        arrays={"theta": (2, 2, 3)},
        own={"size": (2, 4, 5, 3)},
    ),
    *_rows(
        "affine_grid",
        (),
        0,
        [("volumes", {"size": (1, 3, 4, 5, 1), "align_corners": False})],
        arrays={"theta": (1, 3, 4)},
        own={"size": (1, 4, 5, 1, 3)},
    ),
]

BAD = [
    *_rows(
        "unfold",
        (1, 2, 4, 4),
        2,
        [
            ("kernel zero", {"kernel_size": 0}),
            ("kernel of three", {"kernel_size": (2, 2, 2)}),
            ("dilation zero", {"kernel_size": 2, "dilation": 0}),
            ("stride zero", {"kernel_size": 2, "stride": 0}),
            ("padding negative", {"kernel_size": 2, "padding": -1}),
            ("too small", {"kernel_size": 5}),
            ("no channels", {"kernel_size": 2}, _of_shape(1, 0, 4, 4, text="3D or 4D")),
        ],
    ),
    *_rows(
        "fold",
        (1, 7, 9),
        1,
        [
            ("no product", {"output_size": 4, "kernel_size": 2}, {"text": "to be divisible by"}),
            ("size of three", {"output_size": (4, 4, 4), "kernel_size": 2}),
            (
                "other windows",
                {"output_size": (1, 4), "kernel_size": 2},
                _of_shape(1, 8, 9, text=r"sliding blocks 0 \* 3 = 0, but got"),
            ),
            ("a vector", {"output_size": 4, "kernel_size": 2}, _of_shape(8, spatial=0)),
        ],
        after=2,
    ),
    *_rows(
        "channel_shuffle",
        (1, 3, 4, 4),
        2,
        [
            ("not divided", {"groups": 2}),
            ("no groups", {"groups": 0}),
            ("two axes", {"groups": 3}, _of_shape(1, 3, spatial=0)),
        ],
    ),
    *_rows(
        "max_unpool2d",
        (1, 1, 2, 2),
        2,
        [
            ("another size", {"kernel_size": 2, "output_size": (9, 9)}),
            ("one size", {"kernel_size": 2, "output_size": (4,)}),
            ("no points", {"kernel_size": 2, "padding": 3}),
        ],
        constants={"indices": [[[[0, 1], [2, 3]]]]},
        moved=("indices",),
    ),
    *_rows(
        "max_unpool2d",
        (1, 1, 2, 2),
        2,
        [("outside", {"kernel_size": 2})],
        constants={"indices": [[[[0, 1], [2, 99]]]]},
        moved=("indices",),
    ),
    *_rows(
        "grid_sample",
        (1, 1, 2, 2),
        2,
        [
            ("mode", {"mode": "x", "align_corners": False}),
            ("padding mode", {"padding_mode": "x", "align_corners": False}),
        ],
        arrays={"input": (1, 1, 2, 2), "grid": (1, 2, 2, 2)},
    ),
    *_rows(
        "grid_sample",
        (1, 1, 2, 2),
        2,
        [("three numbers", {"align_corners": False}), ("batches", {"align_corners": False})],
        arrays={"input": (1, 1, 2, 2), "grid": (1, 2, 2, 3)},
    )[:1],
    *_rows(
        "affine_grid",
        (),
        0,
        [("other axes", {"size": (1, 2, 2), "align_corners": False})],
        arrays={"theta": (1, 2, 3)},
    ),
]
"""Calls that raise."""

BUILTINS = {"functional.channel_shuffle"}
"""PyTorch's have no signature to read but the first line of their documentation."""

ARRAYS = ("theta", "grid")
"""What these work on besides an input."""

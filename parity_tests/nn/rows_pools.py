"""Rows for the pools of ``jaxaccel.nn``; the options are those of ``harness/layer.py``.

What a pool does with its arguments is asked in ``functional/rows_pools.py``; here, whether a layer
hands on each of them.
"""

from parity_tests.registry import Case

_SHAPES = {1: (2, 3, 13), 2: (2, 3, 9, 8), 3: (2, 2, 5, 4, 6)}


def _rows(name, rows):
    axes = int(name[-2])
    return [
        Case(
            f"nn.{name}", kwargs, f"torch.nn.{name}", why, {"shape": _SHAPES[axes], "spatial": axes}
        )
        for why, kwargs in rows
    ]


_WINDOW = {"kernel_size": 4, "stride": 3, "padding": 2, "ceil_mode": True}

CASES = [
    *(
        case
        for axes in (1, 2, 3)
        for case in _rows(
            f"MaxPool{axes}d",
            [
                ("defaults", {"kernel_size": 2}),
                (
                    "all together",
                    {"kernel_size": 2, "stride": 3, "padding": 1, "dilation": 2, "ceil_mode": True},
                ),
            ],
        )
    ),
    *(
        case
        for axes in (1, 2, 3)
        for case in _rows(
            f"AvgPool{axes}d",
            [
                ("defaults", {"kernel_size": 2}),
                ("all together", _WINDOW),
                ("without padding", {**_WINDOW, "count_include_pad": False}),
                *([("divisor", {**_WINDOW, "divisor_override": 7})] if axes > 1 else []),
            ],
        )
    ),
    *(
        case
        for axes in (1, 2, 3)
        for kind in ("Avg", "Max")
        for case in _rows(
            f"Adaptive{kind}Pool{axes}d",
            [("defaults", {"output_size": 4}), ("a tuple", {"output_size": (3, 4, 2)[:axes]})],
        )
    ),
]

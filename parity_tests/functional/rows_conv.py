"""Rows for the convolutions; the options are those of ``harness/function.py``."""

from parity_tests.registry import Case

SIZES = {1: (7,), 2: (9, 8), 3: (7, 5, 6)}
SIZES_TRANSPOSED = {1: (7,), 2: (7, 5), 3: (4, 3, 3)}


def _rows(name, rows):
    """Return rows of (why, kwargs, and what differs from a window of 3 and 4 to 6 channels)."""
    return [_row(name, *row) for row in rows]


def _row(name, why, kwargs, changes=None):
    changes = dict(changes or {})
    axes, transposed = int(name[-2]), "transpose" in name
    sizes = (SIZES_TRANSPOSED if transposed else SIZES)[axes]
    window = changes.pop("window", (3,) * axes)
    inputs, outputs = changes.pop("channels", (4, 6))
    groups = changes.pop("groups_of_weight", max(kwargs.get("groups", 1), 1))
    first, second = (inputs, outputs) if transposed else (outputs, inputs)
    arrays = {
        "input": changes.pop("shape", (2, inputs, *sizes)),
        "weight": changes.pop("weight", (first, second // groups, *window)),
        "bias": changes.pop("bias", (outputs,)),
    }
    options = {
        "arrays": {key: shape for key, shape in arrays.items() if shape is not None},
        "spatial": axes,
        "kernels": ("weight",),
        **changes,
    }
    return Case(f"functional.{name}", kwargs, f"torch.nn.functional.{name}", why, options)


CONV = [
    *_rows(
        "conv1d",
        [
            ("defaults", {}),
            ("kernel even", {}, {"window": (2,)}),
            ("stride", {"stride": 3}),
            ("padding", {"padding": 2}),
            ("padding same even kernel", {"padding": "same"}, {"window": (4,)}),
            ("dilation", {"dilation": 3}),
            ("groups depthwise", {"groups": 4}, {"channels": (4, 8)}),
            ("no bias", {}, {"bias": None}),
            ("one sequence", {}, {"shape": (4, 7)}),
            ("empty batch", {}, {"shape": (0, 4, 7)}),
        ],
    ),
    *_rows(
        "conv2d",
        [
            ("defaults", {}),
            ("kernel 1", {}, {"window": (1, 1)}),
            ("kernel even", {}, {"window": (2, 2)}),
            ("kernel oblong", {}, {"window": (2, 5)}),
            ("kernel as large as the input", {}, {"window": (9, 8)}),
            ("stride", {"stride": 2}),
            ("stride oblong", {"stride": (3, 1)}),
            ("stride larger than the kernel", {"stride": 2}, {"window": (1, 1)}),
            ("padding", {"padding": 1}),
            ("padding oblong", {"padding": (0, 3)}),
            ("padding same", {"padding": "same"}),
            ("padding same even kernel", {"padding": "same"}, {"window": (4, 2)}),
            ("padding same dilated", {"padding": "same", "dilation": (2, 3)}, {"window": (2, 3)}),
            ("padding valid", {"padding": "valid", "stride": 2}),
            ("dilation", {"dilation": 2}),
            ("dilation oblong", {"dilation": (3, 1)}),
            ("groups", {"groups": 2}),
            ("groups depthwise", {"groups": 4}, {"channels": (4, 8)}),
            ("no bias", {}, {"bias": None}),
            (
                "all together",
                {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2), "groups": 2},
                {"window": (2, 3)},
            ),
            ("one image", {"padding": 1}, {"shape": (4, 9, 8)}),
        ],
    ),
    *_rows(
        "conv3d",
        [
            ("defaults", {}),
            ("kernel oblong", {}, {"window": (1, 2, 4)}),
            ("stride oblong", {"stride": (3, 1, 2)}),
            ("padding of one number in a list", {"padding": [1]}),
            (
                "padding same dilated",
                {"padding": "same", "dilation": (3, 1, 2)},
                {"window": (2, 1, 3)},
            ),
            ("groups", {"groups": 2}),
            ("no bias", {}, {"bias": None, "window": (1, 1, 1)}),
            ("one volume", {}, {"shape": (4, *SIZES[3])}),
            (
                "all together",
                {
                    "stride": (2, 1, 3),
                    "padding": (1, 2, 0),
                    "dilation": (1, 2, 3),
                    "groups": 2,
                },
                {"window": (2, 3, 1)},
            ),
        ],
    ),
]

TRANSPOSED = [
    *_rows(
        "conv_transpose1d",
        [
            ("defaults", {}),
            ("stride", {"stride": 3}),
            ("padding", {"padding": 1}),
            ("output padding", {"stride": 3, "output_padding": 2}),
            ("dilation", {"dilation": 2}),
            ("groups depthwise", {"groups": 4}, {"channels": (4, 8)}),
            ("no bias", {}, {"bias": None}),
            ("one sequence", {}, {"shape": (4, 7)}),
            ("empty batch", {}, {"shape": (0, 4, 7)}),
        ],
    ),
    *_rows(
        "conv_transpose2d",
        [
            ("defaults", {}),
            ("kernel oblong", {}, {"window": (1, 4)}),
            ("stride oblong", {"stride": (2, 3)}),
            ("stride beyond the kernel", {"stride": 3}, {"window": (2, 2)}),
            ("padding", {"padding": 1}),
            ("padding beyond the kernel", {"padding": (3, 2)}, {"window": (1, 2)}),
            ("output padding of the dilation", {"output_padding": (1, 0), "dilation": 2}),
            (
                "groups of three channels",
                {"groups": 2},
                {
                    "channels": (6, 8),
                    "shape": (2, 6, 4, 5),
                    "quick": "the order of the groups",
                },
            ),
            ("no bias", {}, {"bias": None}),
            ("one image", {}, {"shape": (4, 7, 5)}),
            (
                "all together",
                {
                    "stride": (3, 2),
                    "padding": (2, 1),
                    "output_padding": (2, 1),
                    "groups": 2,
                    "dilation": (1, 2),
                },
                {"window": (2, 3)},
            ),
        ],
    ),
    *_rows(
        "conv_transpose3d",
        [
            ("defaults", {}),
            ("no bias", {}, {"bias": None}),
            (
                "all together",
                {
                    "stride": (3, 1, 2),
                    "padding": (1, 2, 0),
                    "output_padding": (2, 0, 1),
                    "groups": 2,
                    "dilation": (1, 2, 1),
                },
                {"window": (2, 3, 1)},
            ),
            ("one volume", {}, {"window": (2, 2, 2), "shape": (4, 3, 2, 2)}),
        ],
    ),
]

CASES = [*CONV, *TRANSPOSED]

BUILTINS = {case.function for case in CASES}
"""PyTorch's have no signature to read but the first line of their documentation."""

_BAD = [
    ("groups zero", {"groups": 0}),
    ("groups negative", {"groups": -1}),
    ("kernel zero", {}, {"window": (0, 3)}),
    ("stride zero", {"stride": 0}),
    ("dilation zero", {"dilation": 0}),
    ("padding negative", {"padding": -1}),
    ("padding of four", {"padding": [1, 2, 3, 4]}),
    ("stride of four", {"stride": (1, 2, 3, 4)}),
    ("dilation of four", {"dilation": [1, 2, 3, 4]}),
    ("axes", {}, {"shape": (4, 4), "text_of_both": "input to conv.*2d, but got input of size"}),
    ("channels", {}, {"shape": (2, 5, 9, 8), "text_of_both": "4 channels, but got 5 channels"}),
    (
        "no points",
        {},
        {"shape": (2, 4, 0, 0), "text_of_both": "Only zero batch or zero channel|Kernel size"},
    ),
    ("bias", {}, {"bias": (5,), "text_of_both": "bias to be 1-dimensional with 6 elements, but"}),
    ("weight of three axes", {}, {"weight": (6, 4, 3), "text": "needs a weight of 4 axes"}),
]

BAD = [
    *_rows(
        "conv2d",
        [
            *_BAD,
            ("padding same strided", {"padding": "same", "stride": 2}),
            ("padding full", {"padding": "full"}, {"text_of_both": "Invalid padding string"}),
            ("groups of outputs", {"groups": 4}, {"groups_of_weight": 4}),
            ("groups beyond outputs", {"groups": 7}, {"weight": (6, 1, 3, 3)}),
            (
                "groups of inputs",
                {"groups": 2},
                {"groups_of_weight": 1, "text_of_both": "to have 8 channels, but got 4 channels"},
            ),
            (
                "window",
                {},
                {"window": (10, 3), "text_of_both": r"\(9 x 8\). Kernel size: \(10 x 3\)"},
            ),
        ],
    ),
    *_rows(
        "conv_transpose2d",
        [
            *_BAD,
            ("groups of inputs", {"groups": 3}, {"groups_of_weight": 1}),
            ("groups beyond inputs", {"groups": 8}, {"groups_of_weight": 1}),
            ("output padding negative", {"output_padding": -1}),
            ("output padding of four", {"output_padding": [1, 2, 3, 4]}),
            ("output padding of the stride", {"output_padding": 2, "stride": 2}),
            ("output padding without a stride", {"output_padding": 1}),
            (
                "padding a word",
                {"padding": "same"},
                {"text": "must be tuple of ints, but found element of type str"},
            ),
            (
                "no output",
                {"padding": 5},
                {"text_of_both": r"output size per channel: \(-?\d+ x -?\d+\). Output size is too"},
            ),
        ],
    ),
    *_rows("conv_transpose1d", [("output padding", {"output_padding": 1})]),
    *_rows("conv1d", [("kernel zero", {}, {"window": (0,)})]),
    *_rows("conv3d", [("kernel zero", {}, {"window": (0, 1, 1)})]),
    *(
        row
        for name in ("conv1d", "conv3d", "conv_transpose1d", "conv_transpose3d")
        for row in _rows(
            name,
            [
                ("axes", {}, {"shape": (4,), "text_of_both": f"input to {name}, but got input of"}),
                (
                    "channels",
                    {},
                    {
                        "shape": (2, 5, *SIZES[int(name[-2])]),
                        "text_of_both": "4 channels, but got 5 channels",
                    },
                ),
            ],
        )
    ),
]
"""Calls that raise."""

"""Rows for the layers of ``jaxaccel.nn`` that move, repeat or drop numbers.

``kwargs`` go to both constructors; the options are those of ``harness/layer.py``. ``after``
is how many axes follow the channels in the output, where it is another number than in the input;
``text`` is what an error says where PyTorch's own words, or its order of axes, are not ours.
"""

from parity_tests.registry import Case


def _rows(name, shape, rows, spatial=0):
    common = {"shape": shape, "spatial": spatial}
    return [
        Case(f"nn.{name}", kwargs, f"torch.nn.{name}", why, {**common, **dict(*options)})
        for why, kwargs, *options in rows
    ]


PLAIN = {"own": {"channel_axis": None}, "spatial": 0, "after": 0}
SECOND = {"own": {"channel_axis": 1}, "spatial": 0, "after": 0}

FLATTEN = [
    *_rows(
        "Flatten",
        (2, 3, 4, 5),
        [
            ("defaults", {}, {"after": 0}),
            ("everything", {"start_dim": 0}, {"after": 0}),
            ("spatial axes", {"start_dim": 2}, {"after": 1}),
            ("spatial axes from the end", {"start_dim": -2, "end_dim": -1}, {"after": 1}),
            ("batch and channels", {"start_dim": 0, "end_dim": 1}, {"after": 0}),
            ("channels and height", {"start_dim": 1, "end_dim": 2}, {"after": 0}),
            ("a single axis", {"start_dim": 2, "end_dim": 2}, {"after": 2}),
            ("no channels", {}, PLAIN),
            ("no channels the middle", {"start_dim": 1, "end_dim": 2}, PLAIN),
            ("channels second", {"start_dim": 2}, SECOND),
            ("empty batch", {}, {"after": 0, "shape": (0, 3, 4, 5)}),
        ],
        spatial=2,
    ),
    *_rows(
        "Flatten",
        (2, 3, 5),
        [
            ("series", {}, {"after": 0}),
            ("volumes", {"start_dim": 3}, {"shape": (2, 3, 4, 2, 2), "spatial": 3, "after": 2}),
        ],
        spatial=1,
    ),
    *_rows(
        "Flatten",
        (2, 3),
        [
            ("vectors", {}, {"after": 0}),
            ("all vectors", {"start_dim": 0}, {"after": 0}),
            ("a number", {"start_dim": 0}, {"after": 0, "shape": ()}),
        ],
    ),
]

UNFLATTEN = _rows(
    "Unflatten",
    (2, 24),
    [
        ("images", {"dim": 1, "unflattened_size": (3, 2, 4)}, {"after": 2}),
        ("a list", {"dim": -1, "unflattened_size": [3, -1]}, {"after": 1}),
        ("one size inferred", {"dim": 1, "unflattened_size": (-1, 2, 4)}, {"after": 2}),
        ("no channels", {"dim": 1, "unflattened_size": (3, 8)}, PLAIN),
        ("the batch", {"dim": 0, "unflattened_size": (2, 1)}, {"after": 0}),
        (
            "the batch of images",
            {"dim": 0, "unflattened_size": (2, 3)},
            {"shape": (6, 3, 4, 5), "spatial": 2, "after": 2},
        ),
        (
            "a spatial axis",
            {"dim": 2, "unflattened_size": (2, 2)},
            {"shape": (2, 3, 4, 5), "spatial": 2, "after": 3},
        ),
    ],
)

SHUFFLES = [
    *_rows("PixelShuffle", (2, 12, 3, 4), [("two", {"upscale_factor": 2})], spatial=2),
    *_rows("PixelUnshuffle", (2, 3, 6, 4), [("two", {"downscale_factor": 2})], spatial=2),
]

IDENTITY = _rows("Identity", (2, 3), [("unused arguments", {"args": 1, "kwargs": True})])


UPSAMPLE = [
    *_rows(
        "Upsample",
        (2, 3, 7),
        [
            ("factor", {"scale_factor": 2}),
            ("size", {"size": 17, "mode": "nearest-exact"}),
            (
                "recomputed",
                {"scale_factor": 1.7, "mode": "linear", "recompute_scale_factor": True},
            ),
        ],
        spatial=1,
    ),
    *_rows(
        "Upsample",
        (2, 3, 5, 4),
        [
            ("corners", {"size": (8, 3), "mode": "bicubic", "align_corners": True}),
            ("two factors", {"scale_factor": (1.6, 0.7), "mode": "bilinear"}),
        ],
        spatial=2,
    ),
]

MOVES = [*FLATTEN, *UNFLATTEN]
LAYERS = [*SHUFFLES, *IDENTITY, *UPSAMPLE]
CASES = [*MOVES, *LAYERS]

BAD = [
    *_rows("Flatten", (2, 3, 4), [("the end first", {"start_dim": 2, "end_dim": 1})]),
    *_rows(
        "Unflatten",
        (2, 6),
        [
            ("a float", {"dim": 1, "unflattened_size": (1.0, 6)}),
            ("a number", {"dim": 1, "unflattened_size": 6}),
            ("nothing", {"dim": 1, "unflattened_size": ()}),
            (
                "two sizes inferred",
                {"dim": 1, "unflattened_size": (-1, -1)},
                {"text": "only one dimension can be inferred"},
            ),
        ],
    ),
    *_rows(
        "PixelShuffle",
        (1, 8, 4, 4),
        [
            ("zero", {"upscale_factor": 0}),
            (
                "a float",
                {"upscale_factor": 2.0},
                {"text": r"'upscale_factor' \(position \d\) must be int, not float"},
            ),
        ],
    ),
    *_rows("PixelUnshuffle", (1, 8, 4, 4), [("negative", {"downscale_factor": -1})]),
    *_rows(
        "Upsample",
        (1, 2, 4, 4),
        [
            ("neither", {}),
            ("zero", {"scale_factor": 0}),
            ("both", {"size": 3, "scale_factor": 2.0}),
            ("corners of nearest", {"size": 3, "align_corners": False}),
            ("recomputed size", {"size": 3, "recompute_scale_factor": True}),
            (
                "size of floats",
                {"size": (2.5, 2)},
                {"text": "must be tuple of ints.* element of type float at pos 0"},
            ),
            ("mode", {"size": 3, "mode": "quintic"}, {"text": "mode must be one of .*'quintic'"}),
        ],
    ),
]
"""Constructors that raise here at once; PyTorch raises there or when the layer is called."""

BAD_INPUTS = [
    *_rows(
        "Flatten",
        (2, 3, 4),
        [
            ("no such axis", {"end_dim": 3}),
            ("the end first from behind", {"start_dim": 2, "end_dim": -2}),
        ],
        spatial=1,
    ),
    *_rows(
        "Unflatten",
        (2, 6),
        [
            ("no such axis", {"dim": 2, "unflattened_size": (2, 3)}),
            ("does not come out", {"dim": 1, "unflattened_size": (4, 2)}),
            ("does not come out inferred", {"dim": 1, "unflattened_size": (4, -1)}),
        ],
    ),
]
"""Layers that raise when they are called."""

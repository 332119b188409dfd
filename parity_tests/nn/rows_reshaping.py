"""Rows for the layers of ``jaxaccel.nn`` that move, repeat or drop numbers.

``kwargs`` go to both constructors; the options are those of ``parity_tests/layers.py``. ``after``
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
    *_rows(
        "PixelShuffle",
        (2, 12, 3, 4),
        [
            ("two", {"upscale_factor": 2}),
            ("three", {"upscale_factor": 3}, {"shape": (2, 18, 2, 3)}),
            ("one", {"upscale_factor": 1}),
            ("one image", {"upscale_factor": 2}, {"shape": (8, 3, 4)}),
            ("two batch axes", {"upscale_factor": 2}, {"shape": (2, 3, 8, 3, 4)}),
        ],
        spatial=2,
    ),
    *_rows(
        "PixelUnshuffle",
        (2, 3, 6, 4),
        [
            ("two", {"downscale_factor": 2}),
            ("three", {"downscale_factor": 3}, {"shape": (2, 2, 6, 9)}),
            ("one image", {"downscale_factor": 2}, {"shape": (3, 6, 4)}),
        ],
        spatial=2,
    ),
]

IDENTITY = _rows("Identity", (2, 3), [("unused arguments", {"args": 1, "kwargs": True})])


def _upsample(axes, shape, rows):
    return _rows("Upsample", shape, rows, spatial=axes)


_MODES = {1: ["linear"], 2: ["bilinear", "bicubic"], 3: ["trilinear"]}
_UPSAMPLE_SHAPES = {1: (2, 3, 7), 2: (2, 3, 5, 4), 3: (1, 2, 4, 3, 5)}
_SIZES = {1: 11, 2: (8, 3), 3: (6, 2, 5)}

UPSAMPLE = [
    *_upsample(
        1,
        (2, 3, 7),
        [
            ("nearest factor", {"scale_factor": 2}),
            ("nearest smaller", {"scale_factor": 0.4}),
            ("nearest size", {"size": 17}),
            ("nearest exact", {"size": 17, "mode": "nearest-exact"}),
            ("nearest exact smaller", {"scale_factor": 0.6, "mode": "nearest-exact"}),
            ("nearest on the edge of rounding", {"scale_factor": 3.3}, {"shape": (1, 1, 39)}),
            (
                "linear fraction",
                {"scale_factor": 1.7, "mode": "linear"},
                {"quick": "the factor is the given one, not that of the sizes"},
            ),
            ("linear smaller", {"scale_factor": 0.45, "mode": "linear"}),
            ("linear barely a factor", {"scale_factor": 1.1, "mode": "linear"}),
            (
                "linear barely a factor recomputed",
                {"scale_factor": 1.1, "mode": "linear", "recompute_scale_factor": True},
            ),
            (
                "linear recomputed",
                {"scale_factor": 1.7, "mode": "linear", "recompute_scale_factor": True},
            ),
            (
                "linear not recomputed",
                {"scale_factor": 1.7, "mode": "linear", "recompute_scale_factor": False},
            ),
            (
                "nearest recomputed",
                {"scale_factor": (2.4,), "recompute_scale_factor": True},
            ),
            ("linear to one point", {"size": 1, "mode": "linear", "align_corners": True}),
            ("linear from one point", {"size": 4, "mode": "linear"}, {"shape": (2, 3, 1)}),
            ("linear empty batch", {"size": 4, "mode": "linear"}, {"shape": (0, 3, 5)}),
        ],
    ),
    *_upsample(
        2,
        (2, 3, 5, 4),
        [
            ("images nearest", {"scale_factor": (2.0, 1.5)}),
            ("images nearest exact", {"size": (3, 9), "mode": "nearest-exact"}),
            (
                "bicubic factor",
                {"scale_factor": (1.6, 0.7), "mode": "bicubic"},
            ),
            (
                "bicubic same size",
                {"size": (5, 4), "mode": "bicubic", "align_corners": False},
            ),
            ("bilinear size of both", {"size": 6, "mode": "bilinear"}),
        ],
    ),
    *_upsample(
        3,
        (1, 2, 4, 3, 5),
        [
            ("volumes nearest", {"scale_factor": 2}),
            ("trilinear factor", {"scale_factor": (1.5, 2.0, 0.6), "mode": "trilinear"}),
        ],
    ),
    *(
        case
        for axes, modes in _MODES.items()
        for case in _upsample(
            axes,
            _UPSAMPLE_SHAPES[axes],
            [
                (
                    f"{mode} {'corners' if corners else 'edges'}",
                    {"size": _SIZES[axes], "mode": mode, "align_corners": corners},
                )
                for mode in modes
                for corners in (True, False)
            ],
        )
    ),
]

DROPOUT = [
    *_rows(
        "Dropout1d",
        (40, 30, 4),
        [("third", {"p": 0.3}), ("one series", {}, {"shape": (900, 4)})],
        1,
    ),
    *_rows(
        "Dropout2d",
        (40, 30, 2, 3),
        [("defaults", {}), ("small", {"p": 0.1}), ("zero", {"p": 0.0}), ("one", {"p": 1.0})],
        2,
    ),
    *_rows(
        "Dropout3d",
        (40, 30, 2, 3, 2),
        [("defaults", {}), ("large", {"p": 0.9}), ("one volume", {}, {"shape": (900, 2, 3, 2)})],
        3,
    ),
]

MOVES = [*FLATTEN, *UNFLATTEN]
LAYERS = [*SHUFFLES, *IDENTITY, *UPSAMPLE]
CASES = [*MOVES, *LAYERS, *DROPOUT]

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
            ("a float", {"upscale_factor": 2.0}, {"text": "upscale_factor must be int, not float"}),
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
                {"text": "expected size to be an int or a tuple"},
            ),
            ("mode", {"size": 3, "mode": "quintic"}, {"text": "mode must be one of .*'quintic'"}),
        ],
    ),
    *_rows("Dropout2d", (1, 2, 4, 4), [("p above one", {"p": 1.5})]),
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
    *_rows(
        "PixelShuffle",
        (1, 8, 4, 4),
        [
            (
                "no multiple",
                {"upscale_factor": 3},
                {"text": "divisible by the square of upscale_factor, but input.* not divisible"},
            ),
            ("two axes", {"upscale_factor": 2}, {"shape": (4, 4), "spatial": 0}),
        ],
        spatial=2,
    ),
    *_rows(
        "PixelUnshuffle",
        (1, 8, 4, 4),
        [
            (
                "height",
                {"downscale_factor": 3},
                {"text": "expects height to be divisible by downscale_factor, but input"},
            ),
            (
                "width",
                {"downscale_factor": 2},
                {"text": "expects width to be divisible by", "shape": (1, 8, 4, 3)},
            ),
            ("two axes", {"downscale_factor": 2}, {"shape": (4, 4), "spatial": 0}),
        ],
        spatial=2,
    ),
    *_rows(
        "Upsample",
        (1, 2, 4, 4),
        [
            ("mode of series", {"size": 3, "mode": "linear"}),
            ("mode of images", {"size": 3, "mode": "bilinear"}, {"shape": (1, 2, 4), "spatial": 1}),
            (
                "bicubic series",
                {"size": 3, "mode": "bicubic"},
                {"shape": (1, 2, 4), "spatial": 1, "text": r"\(?[Gg]ot 3D"},
            ),
            ("two axes", {"size": 3}, {"shape": (2, 4), "spatial": 0, "text": r"\(?[Gg]ot 2D"}),
            ("one size for two", {"size": (3,)}, {"text": "the same number of spatial dimensions"}),
            (
                "one factor for two",
                {"scale_factor": (3,)},
                {"text": "Input and scale_factor must have the same number of spatial dimensions"},
            ),
            (
                "no points",
                {"scale_factor": 0.1},
                {"text": "Input and output sizes should be greater than 0, but got input"},
            ),
        ],
        spatial=2,
    ),
    *_rows("Dropout1d", (2, 3, 4, 5), [("four axes", {})], spatial=2),
]
"""Layers that raise when they are called."""

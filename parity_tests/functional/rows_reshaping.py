"""Rows for ``interpolate``, ``pad`` and the pixel shuffles.

The options are those of ``harness/function.py``; ``text`` is what an error says where PyTorch's own
words, or its order of axes, are not ours.
"""

from parity_tests.registry import Case


def _rows(name, shape, spatial, rows):
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


SHUFFLES = [
    *_rows(
        "pixel_shuffle",
        (2, 12, 3, 4),
        2,
        [
            ("two", {"upscale_factor": 2}),
            ("three", {"upscale_factor": 3}, _of_shape(2, 18, 2, 3)),
            ("one", {"upscale_factor": 1}),
            ("one image", {"upscale_factor": 2}, _of_shape(8, 3, 4)),
            ("two batch axes", {"upscale_factor": 2}, _of_shape(2, 3, 8, 3, 4)),
        ],
    ),
    *_rows(
        "pixel_unshuffle",
        (2, 3, 6, 4),
        2,
        [
            ("two", {"downscale_factor": 2}),
            ("three", {"downscale_factor": 3}, _of_shape(2, 2, 6, 9)),
            ("one image", {"downscale_factor": 2}, _of_shape(3, 6, 4)),
        ],
    ),
]

_MODES = {1: ["linear"], 2: ["bilinear", "bicubic"], 3: ["trilinear"]}
_SHAPES = {1: (2, 3, 7), 2: (2, 3, 5, 4), 3: (1, 2, 4, 3, 5)}
_SIZES = {1: 11, 2: (8, 3), 3: (6, 2, 5)}

INTERPOLATE = [
    *_rows(
        "interpolate",
        _SHAPES[1],
        1,
        [
            ("nearest factor", {"scale_factor": 2}),
            ("nearest smaller", {"scale_factor": 0.4}),
            ("nearest size", {"size": 17}),
            ("nearest exact", {"size": 17, "mode": "nearest-exact"}),
            ("nearest exact smaller", {"scale_factor": 0.6, "mode": "nearest-exact"}),
            ("nearest on the edge of rounding", {"scale_factor": 3.3}, _of_shape(1, 1, 39)),
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
            ("nearest recomputed", {"scale_factor": (2.4,), "recompute_scale_factor": True}),
            ("linear to one point", {"size": 1, "mode": "linear", "align_corners": True}),
            ("linear from one point", {"size": 4, "mode": "linear"}, _of_shape(2, 3, 1)),
            ("linear empty batch", {"size": 4, "mode": "linear"}, _of_shape(0, 3, 5)),
        ],
    ),
    *_rows(
        "interpolate",
        _SHAPES[2],
        2,
        [
            ("images nearest", {"scale_factor": (2.0, 1.5)}),
            ("images nearest exact", {"size": (3, 9), "mode": "nearest-exact"}),
            ("all together", {"scale_factor": (1.6, 0.7), "mode": "bicubic"}),
            ("bicubic same size", {"size": (5, 4), "mode": "bicubic", "align_corners": False}),
            ("bilinear size of both", {"size": 6, "mode": "bilinear"}),
        ],
    ),
    *_rows(
        "interpolate",
        _SHAPES[3],
        3,
        [
            ("volumes nearest", {"scale_factor": 2}),
            ("trilinear factor", {"scale_factor": (1.5, 2.0, 0.6), "mode": "trilinear"}),
        ],
    ),
    *(
        case
        for axes, modes in _MODES.items()
        for case in _rows(
            "interpolate",
            _SHAPES[axes],
            axes,
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

AS_IT_IS = {"own": {"channel_axis": None}, "spatial": 0}

PAD = [
    *_rows(
        "pad",
        (2, 3, 5, 4),
        2,
        [
            ("defaults", {"pad": (1, 2, 0, 3)}),
            ("width alone", {"pad": (1, 2)}),
            ("a list", {"pad": [0, 1]}),
            ("value", {"pad": (1, 2, 3, 0), "value": -2.5}),
            ("mode constant", {"pad": (1, 0, 0, 1), "mode": "constant", "value": 0.5}),
            ("taken off", {"pad": (-1, -2, 2, -1)}),
            ("all taken off", {"pad": (-1, -3)}),
            ("nothing", {"pad": ()}),
            ("empty pairs of channels and batch", {"pad": (1, 1, 2, 2, 0, 0, 0, 0)}),
            ("channels first", {"pad": (1, 2, 3, 0, 1, 2)}, AS_IT_IS),
            ("batch first", {"pad": (0, 0, 1, 2, 0, 0, 3, 1)}, AS_IT_IS),
            (
                "PyTorch's layout",
                {"pad": (1, 2, 0, 1, 2, 0), "value": 1.0},
                {"own": {"channel_axis": 1}, "spatial": 0},
            ),
            ("reflect", {"pad": (1, 2, 3, 0), "mode": "reflect"}),
            ("reflect all but one", {"pad": (3, 3, 4, 4), "mode": "reflect"}),
            ("reflect taken off", {"pad": (-1, 2, 2, -1), "mode": "reflect"}),
            ("reflect all taken off", {"pad": (-4, 0, 0, 0), "mode": "reflect"}),
            ("replicate", {"pad": (1, 2, 3, 0), "mode": "replicate"}),
            ("replicate beyond the size", {"pad": (9, 9, 9, 9), "mode": "replicate"}),
            ("replicate taken off", {"pad": (-1, 2, 2, -1), "mode": "replicate"}),
            ("circular", {"pad": (1, 2, 3, 0), "mode": "circular"}),
            ("circular once around", {"pad": (4, 4, 5, 5), "mode": "circular"}),
            ("circular taken off", {"pad": (-1, 2, 2, -1), "mode": "circular"}),
            ("circular first", {"pad": (1, 2, 3, 0), "mode": "circular"}, AS_IT_IS),
            ("empty batch", {"pad": (1, 1, 1, 1), "mode": "reflect"}, _of_shape(0, 3, 5, 4)),
        ],
    ),
    *_rows(
        "pad",
        (3, 5, 4),
        2,
        [
            (f"one image {mode}", {"pad": (1, 2, 3, 0), "mode": mode})
            for mode in ("reflect", "replicate", "circular")
        ],
    ),
    *_rows(
        "pad",
        (2, 3, 5),
        1,
        [
            ("series", {"pad": (1, 2)}),
            *(
                (f"series {mode}", {"pad": (1, 2), "mode": mode})
                for mode in ("reflect", "circular")
            ),
            ("one series", {"pad": (1, 2), "mode": "reflect"}, _of_shape(3, 5)),
            ("embeddings", {"pad": (0, 0, 1, 2)}, AS_IT_IS),
        ],
    ),
    *_rows(
        "pad",
        (1, 2, 4, 3, 5),
        3,
        [
            ("volumes", {"pad": (1, 0, 0, 2, 3, 0)}),
            *(
                (f"volumes {mode}", {"pad": (1, 0, 0, 2, 3, 1), "mode": mode})
                for mode in ("reflect", "replicate", "circular")
            ),
            (
                "one volume replicate",
                {"pad": (1, 0, 0, 2, 3, 1), "mode": "replicate"},
                _of_shape(2, 4, 3, 5),
            ),
        ],
    ),
    *_rows(
        "pad",
        (3, 4),
        0,
        [
            ("matrix", {"pad": (1, 2)}),
            ("matrix both axes", {"pad": (1, 2, 0, 1)}),
            ("vector", {"pad": (2, 1)}, _of_shape(4)),
        ],
    ),
]

CASES = [*SHUFFLES, *INTERPOLATE, *PAD]

BUILTINS = {"functional.pixel_shuffle", "functional.pixel_unshuffle"}
"""PyTorch's have no signature to read but the first line of their documentation."""

BAD = [
    *_rows(
        "pixel_shuffle",
        (1, 8, 4, 4),
        2,
        [
            ("zero", {"upscale_factor": 0}),
            (
                "a float",
                {"upscale_factor": 2.0},
                {"text": r"'upscale_factor' \(position \d\) must be int, not float"},
            ),
            (
                "no multiple",
                {"upscale_factor": 3},
                {"text": "divisible by the square of upscale_factor, but input.* not divisible"},
            ),
            ("two axes", {"upscale_factor": 2}, _of_shape(4, 4)),
        ],
    ),
    *_rows(
        "pixel_unshuffle",
        (1, 8, 4, 4),
        2,
        [
            ("negative", {"downscale_factor": -1}),
            (
                "height",
                {"downscale_factor": 3},
                {"text": "expects height to be divisible by downscale_factor, but input"},
            ),
            (
                "width",
                {"downscale_factor": 2},
                _of_shape(1, 8, 4, 3, text="expects width to be divisible by"),
            ),
            ("two axes", {"downscale_factor": 2}, _of_shape(4, 4)),
        ],
    ),
    *_rows(
        "interpolate",
        (1, 2, 4, 4),
        2,
        [
            ("neither", {}),
            (
                "zero",
                {"scale_factor": 0},
                {"text": "either size or scale_factor should be defined"},
            ),
            ("both", {"size": 3, "scale_factor": 2.0}),
            ("corners of nearest", {"size": 3, "align_corners": False}),
            ("recomputed size", {"size": 3, "recompute_scale_factor": True}),
            (
                "size of floats",
                {"size": (2.5, 2)},
                {"text": "must be tuple of ints.* element of type float at pos 0"},
            ),
            ("mode", {"size": 3, "mode": "quintic"}, {"text": "mode must be one of .*'quintic'"}),
            ("mode of series", {"size": 3, "mode": "linear"}),
            ("mode of images", {"size": 3, "mode": "bilinear"}, _of_shape(1, 2, 4, spatial=1)),
            (
                "bicubic series",
                {"size": 3, "mode": "bicubic"},
                _of_shape(1, 2, 4, spatial=1, text="Got 3D"),
            ),
            ("two axes", {"size": 3}, _of_shape(2, 4, spatial=0, text="Got 2D")),
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
    ),
    *_rows(
        "pad",
        (1, 3, 4, 5),
        2,
        [
            ("odd", {"pad": (1,)}),
            ("more pairs than axes", {"pad": (1,) * 10}),
            ("unknown mode", {"pad": (1, 1), "mode": "mirror"}),
            ("one pair for two axes", {"pad": (1, 1), "mode": "reflect"}),
            ("reflect no pairs", {"pad": (), "mode": "reflect"}),
            ("reflect a vector", {"pad": (1, 1), "mode": "reflect"}, _of_shape(4, spatial=0)),
            ("reflect with a value", {"pad": (1, 1, 0, 0), "mode": "reflect", "value": 1.0}),
            (
                "reflect too far",
                {"pad": (5, 1, 0, 0), "mode": "reflect"},
                {"text": r"input dimension, but got: padding \(5, 1\).*\n.*too large"},
            ),
            ("circular too far", {"pad": (6, 1, 0, 0), "mode": "circular"}),
            (
                "replicate nothing",
                {"pad": (1, 1, 1, 1), "mode": "replicate"},
                _of_shape(1, 3, 0, 4, text="non-zero dimensions"),
            ),
            (
                "more taken off than there is",
                {"pad": (-3, -3)},
                {"text": "The input size 5, plus negative padding -3 and -3"},
            ),
        ],
    ),
]
"""Calls that raise."""

DIFFERENT = {
    "functional.interpolate": {"omits": ["antialias"]},
    "functional.pad": {"adds": ["channel_axis"]},
}
"""Arguments that only jaxaccel has, or only PyTorch; the docstrings say why."""

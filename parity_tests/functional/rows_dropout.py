"""Rows for the dropouts: ``shape``, of the input in PyTorch's layout, and its ``spatial`` axes."""

from parity_tests.registry import Case


def _rows(name, shape, spatial, rows):
    options = {"shape": shape, "spatial": spatial}
    return [
        Case(
            f"functional.{name}",
            kwargs,
            f"torch.nn.functional.{name}",
            why,
            {**options, **dict(*changes)},
        )
        for why, kwargs, *changes in rows
    ]


CASES = [
    *_rows(
        "dropout",
        (200, 50),
        0,
        [
            ("defaults", {}),
            ("p small", {"p": 0.1}),
            ("p large", {"p": 0.9}),
            ("p zero", {"p": 0.0}),
            ("p one", {"p": 1.0}),
            ("evaluation", {"p": 0.9, "training": False}),
        ],
    ),
    *_rows(
        "dropout1d",
        (40, 30, 4),
        1,
        [
            ("third", {"p": 0.3}),
            ("one series", {}, {"shape": (900, 4)}),
            ("evaluation", {"training": False}),
        ],
    ),
    *_rows(
        "dropout2d",
        (40, 30, 2, 3),
        2,
        [
            ("defaults", {}),
            ("small", {"p": 0.1}),
            ("zero", {"p": 0.0}),
            ("one", {"p": 1.0}),
            ("evaluation", {"training": False}),
        ],
    ),
    *_rows(
        "dropout3d",
        (40, 30, 2, 3, 2),
        3,
        [
            ("defaults", {}),
            ("large", {"p": 0.9}),
            ("one volume", {}, {"shape": (900, 2, 3, 2)}),
            ("evaluation", {"training": False}),
        ],
    ),
]

WITHOUT_MASKS = [
    *_rows("alpha_dropout", (4, 3), 0, [("defaults", {}), ("one", {"p": 1.0, "training": True})]),
    *_rows(
        "feature_alpha_dropout",
        (2, 3, 4),
        1,
        [("defaults", {}), ("one", {"p": 1.0, "training": True})],
    ),
    *_rows("rrelu", (4, 3), 0, [("defaults", {}), ("slopes", {"lower": 0.1, "upper": 0.4})]),
    *_rows("rrelu", (4, 3), 0, [("one slope", {"lower": 0.2, "upper": 0.2, "training": True})]),
]
"""Where nothing is drawn; what is drawn, test_draws asks for."""

CASES += WITHOUT_MASKS

BAD = [
    *_rows("dropout", (1, 4), 0, [("p above one", {"p": 1.5}), ("p negative", {"p": -0.1})]),
    *_rows("dropout1d", (2, 3, 4, 5), 2, [("four axes", {}), ("p above one", {"p": 1.5})]),
    *_rows("dropout2d", (1, 2, 4, 4), 2, [("p above one", {"p": 1.5})]),
    *_rows("dropout3d", (1, 2, 4, 4, 4), 3, [("p above one", {"p": 1.5})]),
]
"""Calls whose text is PyTorch's to the letter."""

DIFFERENT = {
    f"functional.dropout{axes}": {"adds": ["key"], "omits": ["inplace"]}
    for axes in ("", "1d", "2d", "3d")
} | {
    f"functional.{name}": {"adds": ["key"], "omits": ["inplace"]}
    for name in ("alpha_dropout", "feature_alpha_dropout", "rrelu")
}
"""Arguments that only jaxaccel has, or only PyTorch."""

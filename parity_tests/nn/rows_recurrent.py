"""Rows for the recurrent layers of ``jaxaccel.nn``.

``kwargs`` go to both constructors. Options: ``shape``, of the input; ``states``, that initial ones
are given; ``lengths``, of the sequences, which PyTorch packs; ``mode`` is ``"eval"`` where it is
not training.
"""

from parity_tests.registry import Case


def _rows(name, sizes, shape, rows):
    return [
        Case(
            f"nn.{name}",
            {**sizes, **kwargs},
            f"torch.nn.{name}",
            why,
            {"shape": shape, **dict(*options)},
        )
        for why, kwargs, *options in rows
    ]


STACK = {"num_layers": 2, "bidirectional": True}
ALL = {**STACK, "batch_first": True, "dropout": 1.0}

EVERY_KIND = [
    ("defaults", {}),
    ("layers", {"num_layers": 3}),
    ("no bias", {"bias": False}),
    ("batch first", {"batch_first": True}),
    ("bidirectional", {"bidirectional": True}),
    ("layers bidirectional no bias", {**STACK, "bias": False}),
    ("one unit", {"hidden_size": 1, "input_size": 1}, {"shape": (6, 3, 1)}),
    ("one step", {}, {"shape": (1, 3, 5)}),
    ("no sequence", {}, {"shape": (6, 0, 5)}),
    ("one sequence", {"num_layers": 2}, {"shape": (6, 5), "states": True}),
    ("one sequence batch first", {"batch_first": True}, {"shape": (6, 5)}),
    ("initial states", {**STACK}, {"states": True}),
    ("dropout of all", {"num_layers": 2, "dropout": 1.0}),
    ("dropout in evaluation", {"num_layers": 2, "dropout": 0.5}, {"mode": "eval"}),
    ("all together", ALL, {"states": True, "shape": (3, 6, 5)}),
    ("lengths", {}, {"lengths": (4, 6, 1)}),
    ("lengths of all steps", {"bidirectional": True}, {"lengths": (6, 6, 6)}),
    (
        "lengths and states",
        {**STACK, "batch_first": True},
        {"lengths": (2, 3, 5), "states": True, "shape": (3, 6, 5)},
    ),
]

SIZES = {"input_size": 5, "hidden_size": 4}
RNN = _rows(
    "RNN",
    SIZES,
    (6, 3, 5),
    [
        *EVERY_KIND,
        ("relu", {"nonlinearity": "relu"}),
        ("relu all together", {**ALL, "nonlinearity": "relu"}),
    ],
)
LSTM = _rows(
    "LSTM",
    SIZES,
    (6, 3, 5),
    [
        *EVERY_KIND,
        ("projection", {"proj_size": 2}),
        ("projection no bias", {"proj_size": 2, "bias": False, "num_layers": 2}),
        (
            "projection all together",
            {**ALL, "proj_size": 3},
            {"states": True, "lengths": (5, 1, 2), "shape": (3, 6, 5)},
        ),
        ("projection one sequence", {"proj_size": 3}, {"shape": (6, 5), "states": True}),
    ],
)
GRU = _rows("GRU", SIZES, (6, 3, 5), EVERY_KIND)

RECURRENT = [*RNN, *LSTM, *GRU]
CASES = RECURRENT

BAD_OF_EVERY_KIND = [
    ("dropout negative", {"dropout": -0.1}),
    ("dropout above one", {"dropout": 1.5}),
    ("dropout a truth value", {"dropout": True}),
    ("bias a number", {"bias": 1}),
    ("batch first a number", {"batch_first": 1}),
    ("input size zero", {"input_size": 0}),
    ("input size a float", {"input_size": 2.0}),
    ("hidden size zero", {"hidden_size": 0}),
    ("hidden size a float", {"hidden_size": 2.0}),
    ("no layer", {"num_layers": 0}),
]
BAD = [
    *_rows("RNN", SIZES, None, [*BAD_OF_EVERY_KIND, ("sine", {"nonlinearity": "sine"})]),
    *_rows(
        "LSTM",
        SIZES,
        None,
        [
            *BAD_OF_EVERY_KIND,
            ("projection negative", {"proj_size": -1}),
            ("projection too large", {"proj_size": 4}),
        ],
    ),
    *_rows("GRU", SIZES, None, BAD_OF_EVERY_KIND),
]
"""Constructors that raise PyTorch's text, with ``ValueError`` for its ``AssertionError``."""

BAD_INPUTS = [
    Case(f"nn.{name}", SIZES, f"torch.nn.{name}", why, {"shape": shape, "states": states})
    for name in ("RNN", "LSTM", "GRU")
    for why, shape, states in [
        ("features", (6, 3, 4), None),
        ("no step", (0, 3, 5), None),
        ("states of another batch", (6, 3, 5), (1, 2, 4)),
        ("states of more layers", (6, 3, 5), (2, 3, 4)),
        ("states of one sequence", (6, 3, 5), (1, 4)),
        ("states of a batch", (6, 5), (1, 1, 4)),
        ("states of another size", (6, 5), (1, 3)),
    ]
]
"""Calls whose text is PyTorch's to the letter; ``states`` is the shape of all initial states."""

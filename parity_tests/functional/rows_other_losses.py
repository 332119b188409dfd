"""Rows for the losses of margins, likelihoods and sequences, and for distances.

Options: ``differentiated``, what PyTorch differentiates, and ``constants``, what it does not, each
by name: numbers, or how they are drawn, (a key of ``DRAWN`` in ``harness/losses.py``, a shape). A
number is given as it is.
"""

from parity_tests.registry import Case

INF = float("inf")


def _rows(name, arrays, constants, *rows):
    return [
        Case(
            f"functional.{name}",
            kwargs,
            f"torch.nn.functional.{name}",
            why,
            {"differentiated": {**arrays, **own}, "constants": {**constants, **others}},
        )
        for why, kwargs, own, others in ((*row, {}, {})[:4] for row in rows)
    ]


def _of(kind, shape, *names):
    return dict.fromkeys(names, (kind, shape))


REDUCTIONS = [
    ("defaults", {}),
    ("none", {"reduction": "none"}),
    ("sum", {"reduction": "sum"}),
]
NONE = {"reduction": "none"}

BINARY_CROSS_ENTROPY = _rows(
    "binary_cross_entropy",
    _of("shares", (4, 3), "input", "target"),
    {},
    *REDUCTIONS,
    ("weight", {}, {}, _of("positive", (4, 3), "weight")),
    ("weight of columns", NONE, {}, _of("positive", (3,), "weight")),
    ("a number", {}, _of("shares", (), "input", "target")),
    (
        "sure",
        NONE,
        {
            "input": [0.0, 0.0, 1.0, 1.0, 1e-13, 0.0, 1.0],
            "target": [0.0, 1.0, 0.0, 1.0, 1.0, 0.5, 0.5],
        },
    ),
)

SIGNS = _of("signs", (4, 3), "target")
SOFT_MARGIN_LOSS = _rows(
    "soft_margin_loss",
    _of("like", (4, 3), "input"),
    SIGNS,
    *REDUCTIONS,
    ("far out", NONE, {"input": [0.0, 700.0, -50.0, -700.0]}, {"target": [1.0, 1.0, 1.0, 1.0]}),
)
HINGE_EMBEDDING_LOSS = _rows(
    "hinge_embedding_loss",
    _of("positive", (4, 3), "input"),
    SIGNS,
    *REDUCTIONS,
    ("margin", {"margin": 0.6}),
    ("kinks", NONE, {"input": [1.0, 1.0, 2.0, 0.5]}, {"target": [-1.0, 1.0, 0.0, 0.0]}),
    ("broadcast", NONE, {}, _of("signs", (3,), "target")),
)
MARGIN_RANKING_LOSS = _rows(
    "margin_ranking_loss",
    _of("like", (4, 3), "input1", "input2"),
    SIGNS,
    *REDUCTIONS,
    ("margin", {"margin": 0.6}),
    ("kinks", NONE, {"input1": [0.0, 1.0], "input2": [0.0, 1.0]}, {"target": [1.0, -1.0]}),
    ("broadcast", NONE, {}, _of("signs", (1, 3), "target")),
)
COSINE_EMBEDDING_LOSS = _rows(
    "cosine_embedding_loss",
    _of("like", (4, 3), "input1", "input2"),
    _of("signs", (4,), "target"),
    *REDUCTIONS,
    ("margin", {"margin": 0.2}),
    ("one pair", NONE, _of("like", (3,), "input1", "input2"), {"target": -1.0}),
    (
        "kinks",
        NONE,
        {"input1": [[0.0, 0.0], [0.0, 0.0], [1.0, 0.0]], "input2": [[0.0, 1.0]] * 3},
        {"target": [1.0, -1.0, -1.0]},
    ),
)
TRIPLETS = _of("like", (4, 3), "anchor", "positive", "negative")
TIES = {
    "anchor": [[0.0, 0.0], [1.0, 2.0], [1.0, 1.0]],
    "positive": [[0.0, 1.0], [1.0, 2.0], [1.0, 1.0]],
    "negative": [[0.0, 0.0], [1.0, 3.0], [1.0, 1.0]],
}
TRIPLET_MARGIN_LOSS = _rows(
    "triplet_margin_loss",
    TRIPLETS,
    {},
    *REDUCTIONS,
    ("margin", {"margin": 0.2}),
    ("p", {"p": 1, "eps": 1e-3}),
    ("swap", {"swap": True}),
    ("ties", {"swap": True, "eps": 0.0, **NONE}, TIES),
    ("one triplet", {}, _of("like", (3,), *TIES)),
    ("broadcast", NONE, _of("like", (1, 3), "negative")),
)
TRIPLET_MARGIN_WITH_DISTANCE_LOSS = _rows(
    "triplet_margin_with_distance_loss",
    TRIPLETS,
    {},
    *REDUCTIONS,
    ("margin", {"margin": 0.2}),
    ("swap", {"swap": True}),
    ("distance function", {"distance_function": lambda x, y: ((x - y) ** 2).sum(-1)}),
)

COUNTS = _of("counts", (4, 3), "target")
POISSON_NLL_LOSS = _rows(
    "poisson_nll_loss",
    _of("like", (4, 3), "input"),
    COUNTS,
    *REDUCTIONS,
    ("full", {"full": True}),
    ("no logarithm", {"log_input": False, "eps": 1e-3}, _of("positive", (4, 3), "input")),
    ("target", {"full": True, **NONE}, _of("positive", (4, 3), "target"), {}),
    ("broadcast", NONE, {}, _of("counts", (3,), "target")),
)
GAUSSIAN_NLL_LOSS = _rows(
    "gaussian_nll_loss",
    _of("like", (4, 3), "input", "target") | _of("positive", (4, 3), "var"),
    {},
    *REDUCTIONS,
    ("full", {"full": True}),
    ("eps", {"eps": 0.8, **NONE}),
    ("variance of rows", NONE, _of("positive", (4,), "var")),
    ("variance of an axis", NONE, _of("positive", (1, 3), "var")),
    ("variance zero", NONE, {"input": [1.0, 0.0], "target": [0.0, 1.0], "var": [0.0, 1e-7]}),
    ("broadcast", NONE, _of("like", (4, 1), "target")),
)

INDICES = _of("indices", (4,), "target")
MULTI_MARGIN_LOSS = _rows(
    "multi_margin_loss",
    _of("like", (4, 5), "input"),
    INDICES,
    *REDUCTIONS,
    ("p", {"p": 2, "margin": 0.7}),
    ("weight", {"p": 2}, {}, _of("positive", (5,), "weight")),
    ("one row", NONE, _of("like", (5,), "input"), {"target": 2}),
    ("one row of one", NONE, _of("like", (5,), "input"), {"target": [2]}),
    ("no row", {}, _of("like", (0, 5), "input"), _of("indices", (0,), "target")),
    ("kinks", NONE, {"input": [[1.0, 2.0, 3.0]]}, {"target": [1]}),
)
SETS = {"target": [[1, -1, 2], [0, 2, -1], [-1, 1, 1], [0, 0, 1]]}
MULTILABEL_MARGIN_LOSS = _rows(
    "multilabel_margin_loss",
    _of("like", (4, 3), "input"),
    SETS,
    *REDUCTIONS,
    ("one row", NONE, _of("like", (3,), "input"), {"target": [2, 0, -1]}),
    ("kinks", NONE, {"input": [[1.0, 2.0, 3.0]]}, {"target": [[1, -1, -1]]}),
)
MULTILABEL_SOFT_MARGIN_LOSS = _rows(
    "multilabel_soft_margin_loss",
    _of("like", (4, 3), "input") | _of("shares", (4, 3), "target"),
    {},
    *REDUCTIONS,
    ("weight", {}, {}, _of("positive", (3,), "weight")),
    ("one row", NONE, _of("like", (3,), "input") | _of("shares", (3,), "target")),
)

SEQUENCES = _of("log probs", (6, 3, 4), "log_probs")
LABELS = {"targets": [[1, 1, 3], [2, 3, 1], [3, 1, 2]]}
LENGTHS = {"input_lengths": (6, 4, 2), "target_lengths": (3, 2, 0)}
SHORT = {"input_lengths": (3, 4, 0), "target_lengths": (3, 1, 1)}
CTC_LOSS = _rows(
    "ctc_loss",
    SEQUENCES,
    LABELS,
    ("defaults", LENGTHS),
    ("none", {**LENGTHS, **NONE}),
    ("sum", {**LENGTHS, "reduction": "sum"}),
    ("targets in a row", {**LENGTHS, **NONE}, {}, {"targets": [1, 1, 3, 2, 3]}),
    ("blank", {**LENGTHS, "blank": 3}, {}, {"targets": [[1, 1, 0], [2, 0, 0], [0, 0, 0]]}),
    ("too short", {**SHORT, **NONE}),
    ("too short zero", {**SHORT, "zero_infinity": True}),
    ("no labels", {"input_lengths": (6, 5, 0), "target_lengths": (0, 0, 0)}, {}, {"targets": []}),
    (
        "one sequence",
        {"input_lengths": (6,), "target_lengths": (3,), **NONE},
        _of("log probs", (6, 4), "log_probs"),
        {"targets": [1, 2, 1]},
    ),
    ("no probabilities", LENGTHS, _of("like", (6, 3, 4), "log_probs")),
)

PAIRS = _of("like", (4, 3), "x1", "x2")
SOME = {"x1": [[0.0, 0.0], [1.0, 1.0], [1.0, -2.0]], "x2": [[0.0, 0.0]] * 3}
PAIRWISE_DISTANCE = _rows(
    "pairwise_distance",
    PAIRS,
    {},
    ("defaults", {}),
    ("keepdim", {"keepdim": True}),
    *((f"p {p}", {"p": p, "eps": 0.0}, SOME) for p in (0.5, 1.0, 2.0, 3.0, INF, -1.0)),
    ("broadcast", {"eps": 1e-3}, _of("like", (3,), "x2")),
    ("one pair", {}, _of("like", (3,), "x1", "x2")),
    ("numbers", {"keepdim": True}, _of("like", (), "x1", "x2")),
)
ROWS = {"input": [[0.0, 0.0], [1.0, 1.0], [1.0, -2.0], [0.0, 0.0], [1.0, 0.0]]}
PDIST = _rows(
    "pdist",
    _of("like", (5, 3), "input"),
    {},
    ("defaults", {}),
    *((f"p {p}", {"p": p}, ROWS) for p in (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, INF)),
)

LOSSES = [
    *(*BINARY_CROSS_ENTROPY, *SOFT_MARGIN_LOSS, *HINGE_EMBEDDING_LOSS, *MARGIN_RANKING_LOSS),
    *(*COSINE_EMBEDDING_LOSS, *TRIPLET_MARGIN_LOSS, *TRIPLET_MARGIN_WITH_DISTANCE_LOSS),
    *(*POISSON_NLL_LOSS, *GAUSSIAN_NLL_LOSS, *MULTI_MARGIN_LOSS, *MULTILABEL_MARGIN_LOSS),
    *(*MULTILABEL_SOFT_MARGIN_LOSS, *CTC_LOSS, *PAIRWISE_DISTANCE, *PDIST),
]

LINEAR_CROSS_ENTROPY = [
    Case("functional.linear_cross_entropy", kwargs, "torch.nn.functional.linear_cross_entropy", why)
    for why, kwargs in [
        ("defaults", {}),
        ("ignored smooth", {"ignore_index": 2, "label_smoothing": 0.1, "reduction": "sum"}),
        ("none", {"reduction": "none"}),
    ]
]
"""With layouts of its own: the test makes the arrays."""

CASES = [*LOSSES, *LINEAR_CROSS_ENTROPY]

ARRAYS = {
    *("input1", "input2", "anchor", "positive", "negative", "var", "x1", "x2"),
    *("log_probs", "targets", "linear_weight", "linear_bias"),
}
"""What a loss works on besides what other rooms' functions do."""

BUILTINS = {"functional.pairwise_distance", "functional.pdist"}
"""PyTorch's have no signature to read but the first line of their documentation."""

DIFFERENT = {
    **{
        f"functional.{name}": {"omits": ["size_average", "reduce"]}
        for name in (
            *("binary_cross_entropy", "soft_margin_loss", "hinge_embedding_loss"),
            *("margin_ranking_loss", "cosine_embedding_loss", "triplet_margin_loss"),
            *("poisson_nll_loss", "multi_margin_loss", "multilabel_margin_loss"),
            "multilabel_soft_margin_loss",
        )
    },
    "functional.linear_cross_entropy": {"omits": ["options"]},
}
"""Arguments that only PyTorch has; the docstrings say why."""


def _bad(name, arrays, *rows):
    return [
        Case(
            f"functional.{name}",
            kwargs,
            f"torch.nn.functional.{name}",
            why,
            {"differentiated": {}, "constants": {**arrays, **others}},
        )
        for why, kwargs, others in rows
    ]


WORD = ("reduction", {"reduction": "abc"}, {})
THREE = _of("like", (3, 4), "anchor", "positive", "negative")
MATRIX = _of("like", (5, 4), "input")
SEQUENCE = SEQUENCES | LABELS
BAD = [
    *_bad(
        "binary_cross_entropy",
        _of("shares", (2, 3), "input", "target"),
        WORD,
        ("input", {}, {"input": [1.5], "target": [1.0]}),
        ("target", {}, {"input": [0.5], "target": [-0.1]}),
        ("nan", {}, {"input": [float("nan")], "target": [0.5]}),
    ),
    *_bad("soft_margin_loss", MATRIX | _of("signs", (5, 4), "target"), WORD),
    *_bad(
        "soft_margin_loss",
        _of("like", (3, 1), "input"),
        ("output", {}, _of("signs", (3,), "target")),
    ),
    *_bad(
        "hinge_embedding_loss",
        MATRIX | _of("signs", (5, 4), "target"),
        WORD,
        ("sizes", {}, _of("signs", (3,), "target")),
    ),
    *_bad("margin_ranking_loss", _of("like", (5, 4), "input1", "input2", "target"), WORD),
    *_bad(
        "cosine_embedding_loss",
        _of("like", (3, 2), "input1", "input2", "target"),
        WORD,
        ("targets", {}, {}),
        ("rows", {}, _of("like", (3,), "input1", "input2", "target")),
        ("numbers", {}, _of("like", (), "target")),
        ("sizes", {}, _of("like", (4, 2), "input2") | _of("signs", (3,), "target")),
    ),
    *(
        case
        for name in ("triplet_margin_loss", "triplet_margin_with_distance_loss")
        for case in _bad(
            name,
            THREE,
            WORD,
            ("margin", {"margin": -1.0}, {}),
            ("sizes", {}, _of("like", (3, 5), "anchor")),
            ("axes", {}, _of("like", (3,), "anchor")),
        )
    ),
    *_bad(
        "poisson_nll_loss",
        MATRIX | _of("counts", (5, 4), "target"),
        WORD,
        ("sizes", {}, _of("counts", (5,), "target")),
    ),
    *_bad(
        "gaussian_nll_loss",
        _of("like", (4, 2, 3), "input", "target") | _of("positive", (4, 2, 3), "var"),
        WORD,
        ("variance", {}, _of("positive", (4, 2, 2), "var")),
        ("two axes", {}, _of("positive", (4, 1, 1), "var")),
        ("sizes", {}, _of("like", (4, 2, 2), "target")),
        ("negative", {}, {"var": [[[-1.0] * 3] * 2] * 4}),
        ("negative number", {"var": -1.0}, {}),
    ),
    *_bad(
        "multi_margin_loss",
        MATRIX | _of("indices", (5,), "target"),
        WORD,
        ("power", {"p": 3}, {}),
        ("no class", {}, _of("like", (5, 0), "input")),
        ("three axes", {}, _of("like", (5, 2, 2), "input")),
        ("targets", {}, _of("indices", (5, 4), "target")),
        ("floats", {}, {"target": [0.0, 1.0, 2.0, 3.0, 0.0]}),
        ("range", {}, {"target": [0, 1, 2, 3, 4]}),
        ("weight", {}, _of("positive", (5,), "weight")),
        ("weight of rows", {}, _of("positive", (5, 4), "weight")),
    ),
    *_bad(
        "multilabel_margin_loss",
        MATRIX | _of("indices", (5, 4), "target"),
        WORD,
        ("no class", {}, _of("like", (0,), "input") | _of("indices", (0,), "target")),
        ("sizes", {}, _of("indices", (4,), "target")),
        ("range", {}, {"target": [[4, 0, 0, 0]] * 5}),
        ("below", {}, {"target": [[0, -2, 0, 0]] * 5}),
    ),
    *_bad(
        "multilabel_soft_margin_loss",
        MATRIX | _of("shares", (5, 4), "target"),
        WORD,
        ("sizes", {}, _of("shares", (5,), "target")),
    ),
    *_bad(
        "ctc_loss",
        SEQUENCE,
        ("reduction", {**LENGTHS, "reduction": "abc"}, {}),
        ("inputs", {**LENGTHS, "input_lengths": (6, 4)}, {}),
        ("lengths of targets", {**LENGTHS, "target_lengths": (3, 2)}, {}),
        ("too long", {**LENGTHS, "input_lengths": (7, 4, 2)}, {}),
        ("too many labels", {**LENGTHS, "target_lengths": (4, 2, 0)}, {}),
        ("negative", {**LENGTHS, "input_lengths": (6, -4, 2)}, {}),
        ("negative targets", {**LENGTHS, "target_lengths": (3, -2, 0)}, {}),
        ("blank", {**LENGTHS, "blank": 4}, {}),
        ("targets", LENGTHS, {"targets": [[1, 1, 3]]}),
        ("targets in a row", LENGTHS, {"targets": [1, 1, 3, 2]}),
        ("three axes", LENGTHS, {"targets": [[[1, 1, 3]]]}),
        ("nothing", LENGTHS, _of("like", (0, 3, 4), "log_probs")),
    ),
    *_bad(
        "pairwise_distance",
        _of("like", (3, 2), "x1") | _of("like", (3,), "x2"),
        ("sizes", {}, {}),
        ("no axis", {"p": INF}, _of("like", (3, 0), "x1", "x2")),
    ),
    *_bad(
        "pdist",
        _of("like", (5,), "input"),
        ("axes", {}, {}),
        ("negative", {"p": -1.0}, MATRIX),
        ("integers", {}, _of("indices", (5, 2), "input")),
    ),
]
"""Calls that raise."""

"""Rows for ``jaxaccel.functional``.

Options: ``shape``, of the input in PyTorch's layout, (N, C, ...); ``target``, how one is made (a
key of ``TARGETS`` in the test) and ``target_shape``, where it is not the input's; ``ignored``, the
indices that ``ignore_index`` (-100 by default) replaces; ``weight`` and ``pos_weight``, the shapes
of weights; ``differentiable``, what PyTorch has gradients for; ``values``, arrays given as they
are; ``classes``, that there is an axis of classes.
"""

from parity_tests.registry import Case

INF = float("inf")


def _rows(name, common, *rows):
    return [
        Case(
            f"functional.{name}",
            kwargs,
            f"torch.nn.functional.{name}",
            why,
            {**common, **dict(*options)},
        )
        for why, kwargs, *options in rows
    ]


INDICES = {
    "classes": True,
    "shape": (6, 5),
    "target": "indices",
    "ignored": (),
    "differentiable": ("input",),
}
PROBABILITIES = {"target": "probabilities", "differentiable": ("input", "target")}
SOME = {"ignored": (0, 3)}
WEIGHT = {"weight": (5,)}

OF_INDICES = [
    ("defaults", {}),
    ("none", {"reduction": "none"}),
    ("sum", {"reduction": "sum"}),
    ("weight", {}, {**WEIGHT, "quick": "what the mean is over"}),
    ("weight none", {"reduction": "none"}, WEIGHT),
    ("weight sum", {"reduction": "sum"}, WEIGHT),
    ("ignored", {}, SOME),
    ("ignored none", {"reduction": "none"}, SOME),
    ("ignored weight", {}, {**SOME, **WEIGHT}),
    ("ignore a class", {"ignore_index": 2}, {**SOME, **WEIGHT}),
    ("ignore beyond the classes", {"ignore_index": 255}, {**SOME, **WEIGHT}),
    ("all ignored", {}, {"ignored": range(6)}),
    ("all ignored sum", {"reduction": "sum"}, {"ignored": range(6)}),
    ("sequences", {}, {"shape": (3, 5, 4), **SOME}),
    ("images weight", {}, {"shape": (2, 5, 3, 4), **SOME, **WEIGHT}),
    ("volumes none", {"reduction": "none"}, {"shape": (2, 5, 3, 2, 2), **SOME, **WEIGHT}),
    ("one vector", {}, {"shape": (5,)}),
    ("one class", {}, {"shape": (4, 1)}),
    ("one class weight", {}, {"shape": (4, 1), "weight": (1,)}),
    ("empty batch", {}, {"shape": (0, 5)}),
    ("empty batch sum", {"reduction": "sum"}, {"shape": (0, 5)}),
]

SMOOTH = {"label_smoothing": 0.2}
CROSS_ENTROPY = _rows(
    "cross_entropy",
    INDICES,
    *OF_INDICES,
    ("smooth", SMOOTH),
    ("smooth none", {"reduction": "none", **SMOOTH}, SOME),
    ("smooth weight", SMOOTH, WEIGHT),
    ("smooth weight ignored", SMOOTH, {**SOME, **WEIGHT}),
    ("smooth weight ignored sum", {"reduction": "sum", **SMOOTH}, {**SOME, **WEIGHT}),
    ("smooth images", SMOOTH, {"shape": (2, 5, 3, 4), **SOME, **WEIGHT}),
    ("smooth all", {"label_smoothing": 1.0}, SOME),
    ("smooth all ignored", SMOOTH, {"ignored": range(6)}),
    ("probabilities", {}, PROBABILITIES),
    ("probabilities none", {"reduction": "none"}, PROBABILITIES),
    ("probabilities sum", {"reduction": "sum"}, PROBABILITIES),
    ("probabilities weight", {}, {**PROBABILITIES, **WEIGHT}),
    ("probabilities weight none", {"reduction": "none"}, {**PROBABILITIES, **WEIGHT}),
    ("probabilities smooth", SMOOTH, PROBABILITIES),
    ("probabilities smooth weight", SMOOTH, {**PROBABILITIES, **WEIGHT}),
    ("probabilities images", SMOOTH, {**PROBABILITIES, **WEIGHT, "shape": (2, 5, 3, 4)}),
    ("probabilities one vector", {}, {**PROBABILITIES, "shape": (5,)}),
    ("probabilities empty batch", {}, {**PROBABILITIES, "shape": (0, 5)}),
    (
        "masked logits",
        {"reduction": "none"},
        {"values": {"input": [[0.0, -INF, 1.0], [-INF, 2.0, -INF]], "target": [2, 1]}},
    ),
    (
        "masked logits that are right",
        {"reduction": "none"},
        {"values": {"input": [[0.0, -INF, 1.0], [0.0, 1.0, 2.0]], "target": [1, 0]}},
    ),
    (
        "large logits",
        {"reduction": "none"},
        {"values": {"input": [[1e4, 0.0, -1e4], [1e4, 1e4, 0.0]], "target": [1, 0]}},
    ),
)

NLL_LOSS = _rows("nll_loss", INDICES, *OF_INDICES)

PAIRS = {"shape": (4, 6), "target": "like", "differentiable": ("input", "target")}
WEIGHTED = {"weight": (4, 6), "differentiable": ("input", "target", "weight")}
KINKS = {
    "values": {
        "input": [0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 0.25, 1e-9, INF, -INF],
        "target": [0.0] * 11,
    }
}
OF_PAIRS = [
    ("defaults", {}),
    ("none", {"reduction": "none"}),
    ("sum", {"reduction": "sum"}),
    ("a number", {}, {"shape": ()}),
    ("empty", {}, {"shape": (0, 3)}),
    ("empty sum", {"reduction": "sum"}, {"shape": (0, 3)}),
    ("broadcast", {}, {"target_shape": (6,)}),
    ("broadcast input", {"reduction": "none"}, {"shape": (4, 1), "target_shape": (4, 6)}),
    ("kinks", {"reduction": "none"}, {**KINKS, "quick": "the slopes that are chosen"}),
]
OF_WEIGHTS = [
    ("weight", {}, WEIGHTED),
    ("weight none", {"reduction": "none"}, WEIGHTED),
    ("weight sum", {"reduction": "sum"}, WEIGHTED),
]

MSE_LOSS = _rows("mse_loss", PAIRS, *OF_PAIRS, *OF_WEIGHTS)
L1_LOSS = _rows("l1_loss", PAIRS, *OF_PAIRS, *OF_WEIGHTS)
SMOOTH_L1_LOSS = _rows(
    "smooth_l1_loss",
    PAIRS,
    *OF_PAIRS,
    ("beta", {"beta": 0.3}),
    ("beta zero", {"beta": 0.0}),
    ("beta zero kinks", {"beta": 0.0, "reduction": "none"}, KINKS),
    ("beta at a point", {"beta": 0.5, "reduction": "none"}, KINKS),
)
HUBER_LOSS = _rows(
    "huber_loss",
    PAIRS,
    *OF_PAIRS,
    *OF_WEIGHTS,
    ("delta", {"delta": 0.3}),
    ("delta weight", {"delta": 2.0}, WEIGHTED),
    ("delta at a point", {"delta": 0.5, "reduction": "none"}, KINKS),
)

LOGITS = {"shape": (4, 6), "target": "probabilities", "differentiable": ("input", "target")}
BINARY_CROSS_ENTROPY = _rows(
    "binary_cross_entropy_with_logits",
    LOGITS,
    ("defaults", {}),
    ("none", {"reduction": "none"}),
    ("sum", {"reduction": "sum"}),
    ("weight", {}, {"weight": (4, 6)}),
    ("weight of rows", {}, {"weight": (4, 1)}),
    ("weight of columns none", {"reduction": "none"}, {"weight": (6,)}),
    ("pos weight", {}, {"pos_weight": (6,)}),
    ("both weights", {}, {"weight": (4, 1), "pos_weight": (6,)}),
    ("both weights sum", {"reduction": "sum"}, {"weight": (1,), "pos_weight": (4, 6)}),
    ("a number", {}, {"shape": ()}),
    ("empty", {}, {"shape": (0, 3)}),
    (
        "far out",
        {"reduction": "none"},
        {
            "values": {
                "input": [-1e3, 1e3, -1e3, 1e3, 0.0, -0.0, 40.0, -40.0, INF, -INF, INF, -INF],
                "target": [0.0, 1.0, 1.0, 0.0, 0.5, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0],
            }
        },
    ),
)

LOG_PROBS = {"shape": (4, 6), "target": "probabilities", "differentiable": ("input", "target")}
LOG = {"target": "log-probabilities"}
KL_DIV = _rows(
    "kl_div",
    LOG_PROBS,
    ("defaults", {}),
    ("none", {"reduction": "none"}),
    ("sum", {"reduction": "sum"}),
    ("batchmean", {"reduction": "batchmean"}),
    ("batchmean of a number", {"reduction": "batchmean"}, {"shape": ()}),
    ("log target", {"log_target": True}, LOG),
    ("log target none", {"log_target": True, "reduction": "none"}, LOG),
    ("log target batchmean", {"log_target": True, "reduction": "batchmean"}, LOG),
    ("broadcast", {"reduction": "batchmean"}, {"target_shape": (6,)}),
    ("empty", {}, {"shape": (0, 3)}),
    (
        "zero probabilities",
        {"reduction": "none"},
        {
            "values": {
                "input": [-1.0, -INF, -1.0, 0.0, -INF, -2.0],
                "target": [0.0, 0.0, 1.0, 1.0, 0.5, -1.0],
            }
        },
    ),
    (
        "zero log probabilities",
        {"reduction": "none", "log_target": True},
        {"values": {"input": [-1.0, -INF, -1.0, -INF], "target": [-INF, -INF, 0.0, -0.5]}},
    ),
)

CLASSES = [*CROSS_ENTROPY, *NLL_LOSS]
CASES = [
    *CLASSES,
    *BINARY_CROSS_ENTROPY,
    *KL_DIV,
    *MSE_LOSS,
    *L1_LOSS,
    *SMOOTH_L1_LOSS,
    *HUBER_LOSS,
]

ARRAYS = {"target", "pos_weight"}
"""What a loss works on besides what other rooms' functions do."""

DIFFERENT = {
    **{
        f"functional.{name}": {"adds": ["class_axis"], "omits": ["size_average", "reduce"]}
        for name in ("cross_entropy", "nll_loss")
    },
    **{
        f"functional.{name}": {"omits": ["size_average", "reduce"]}
        for name in (
            *("binary_cross_entropy_with_logits", "kl_div"),
            *("mse_loss", "l1_loss", "smooth_l1_loss"),
        )
    },
}
"""Arguments that only jaxaccel has, or only PyTorch, where they are deprecated."""

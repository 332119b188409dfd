"""Rows for the loss layers of ``jaxaccel.nn``, and those of distances.

``kwargs`` go to both constructors. Options: ``buffers``, arrays that go to them too;
``differentiated``, what a call is given and PyTorch differentiates, ``constants``, what it does
not: each by name, with numbers or how they are drawn, as in ``functional/rows_other_losses.py``.
What a function's rows show is not shown again.
"""

from parity_tests.registry import Case


def _row(name, kwargs, arrays, constants=None, buffers=None, why="defaults"):
    options = {"differentiated": arrays, "constants": constants or {}, "buffers": buffers or {}}
    return Case(f"nn.{name}", kwargs, f"torch.nn.{name}", why, options)


def _all(name, kwargs, arrays, constants=None, buffers=None):
    """Return a layer's rows: without options, and with all of them."""
    return [
        _row(name, {}, arrays, constants),
        _row(name, kwargs, arrays, constants, buffers, "options"),
    ]


SUM = {"reduction": "sum"}
NUMBERS = {"input": ("like", (4, 5))}
LIKE = {"input": ("like", (4, 5)), "target": ("like", (4, 5))}
SHARES = {"input": ("like", (4, 5)), "target": ("shares", (4, 5))}
SIGNS = {"target": ("signs", (4, 5))}
CLASS = {"target": ("indices", (4,))}
OF_CLASSES = {"weight": ("positive", (5,))}
VECTORS = {"input1": ("like", (4, 5)), "input2": ("like", (4, 5))}
TRIPLETS = dict.fromkeys(("anchor", "positive", "negative"), ("like", (4, 5)))
PAIRS = {"x1": ("like", (4, 5)), "x2": ("like", (4, 5))}
SEQUENCES = {
    "targets": [[1, 1, 3], [2, 3, 1]],
    "input_lengths": [6, 4],
    "target_lengths": [3, 2],
}

LOSSES = [
    *_all(
        "CrossEntropyLoss",
        {"ignore_index": 2, "label_smoothing": 0.1, **SUM},
        *(NUMBERS, CLASS, OF_CLASSES),
    ),
    *_all("NLLLoss", {"ignore_index": 2, **SUM}, NUMBERS, CLASS, OF_CLASSES),
    *_all("MultiMarginLoss", {"p": 2, "margin": 0.5, **SUM}, NUMBERS, CLASS, OF_CLASSES),
    *_all("MultiLabelMarginLoss", SUM, NUMBERS, {"target": ("indices", (4, 5))}),
    *_all("MultiLabelSoftMarginLoss", SUM, SHARES, None, OF_CLASSES),
    *_all(
        "BCELoss",
        SUM,
        {"input": ("shares", (4, 5)), "target": ("shares", (4, 5))},
        None,
        OF_CLASSES,
    ),
    *_all(
        "BCEWithLogitsLoss",
        SUM,
        *(SHARES, None, OF_CLASSES | {"pos_weight": ("positive", (5,))}),
    ),
    *_all("KLDivLoss", {"log_target": True, "reduction": "batchmean"}, SHARES),
    *_all(
        "PoissonNLLLoss",
        {"log_input": False, "full": True, "eps": 1e-3, **SUM},
        {"input": ("positive", (4, 5))},
        {"target": ("counts", (4, 5))},
    ),
    *_all(
        "GaussianNLLLoss",
        {"full": True, "eps": 0.8, **SUM},
        LIKE | {"var": ("positive", (4, 5))},
    ),
    *_all(
        "CTCLoss",
        {"blank": 2, "zero_infinity": True, **SUM},
        {"log_probs": ("log probs", (6, 2, 4))},
        SEQUENCES,
    ),
    *_all("L1Loss", SUM, LIKE),
    *_all("MSELoss", SUM, LIKE),
    *_all("SmoothL1Loss", {"beta": 0.3, **SUM}, LIKE),
    *_all("HuberLoss", {"delta": 0.3, **SUM}, LIKE),
    *_all("SoftMarginLoss", SUM, NUMBERS, SIGNS),
    *_all("HingeEmbeddingLoss", {"margin": 0.6, **SUM}, NUMBERS, SIGNS),
    *_all("MarginRankingLoss", {"margin": 0.6, **SUM}, VECTORS, SIGNS),
    *_all("CosineEmbeddingLoss", {"margin": 0.2, **SUM}, VECTORS, {"target": ("signs", (4,))}),
    *_all(
        "TripletMarginLoss", {"margin": 0.3, "p": 1.5, "eps": 1e-3, "swap": True, **SUM}, TRIPLETS
    ),
    *_all(
        "TripletMarginWithDistanceLoss",
        {
            "distance_function": lambda x, y: ((x - y) ** 2).sum(-1),
            "margin": 0.3,
            "swap": True,
            **SUM,
        },
        TRIPLETS,
    ),
    *_all("PairwiseDistance", {"p": 1.5, "eps": 1e-3, "keepdim": True}, PAIRS),
    *_all("CosineSimilarity", {"dim": 0, "eps": 1e-3}, PAIRS),
]

WITH_LINEAR = [
    Case(f"nn.{name}", kwargs, f"torch.nn.{name}", why)
    for name, why, kwargs in [
        ("LinearCrossEntropyLoss", "defaults", {"in_features": 4, "num_classes": 5}),
        (
            *("LinearCrossEntropyLoss", "positions"),
            {
                "in_features": 4,
                "num_classes": 5,
                "out_features": (2, 3),
                "bias": True,
                "ignore_index": 1,
                "label_smoothing": 0.1,
                "reduction": "none",
            },
        ),
        (
            *("AdaptiveLogSoftmaxWithLoss", "defaults"),
            {"in_features": 16, "n_classes": 20, "cutoffs": [4, 10]},
        ),
        (
            *("AdaptiveLogSoftmaxWithLoss", "options"),
            {
                "in_features": 8,
                "n_classes": 12,
                "cutoffs": (3,),
                "div_value": 2.0,
                "head_bias": True,
            },
        ),
    ]
]
CASES = [*LOSSES, *WITH_LINEAR]

DIFFERENT = {
    **{
        f"nn.{name}": {"omits": ["size_average", "reduce"]}
        for name in (
            *("MultiMarginLoss", "MultiLabelMarginLoss", "MultiLabelSoftMarginLoss", "BCELoss"),
            *("BCEWithLogitsLoss", "KLDivLoss", "PoissonNLLLoss", "L1Loss", "MSELoss"),
            *("SmoothL1Loss", "SoftMarginLoss", "HingeEmbeddingLoss", "MarginRankingLoss"),
            *("CosineEmbeddingLoss", "TripletMarginLoss"),
        )
    },
    **{
        f"nn.{name}": {"adds": ["class_axis"], "omits": ["size_average", "reduce"]}
        for name in ("CrossEntropyLoss", "NLLLoss")
    },
    "nn.LinearCrossEntropyLoss": {"adds": ["rngs"], "omits": ["options"]},
    "nn.AdaptiveLogSoftmaxWithLoss": {"adds": ["rngs"]},
}
"""Arguments that only jaxaccel has, or only PyTorch; the docstrings say why."""

"""Rows for ``Bilinear`` and ``EmbeddingBag``.

``kwargs`` go to both constructors. Options of a bilinear row: ``shape``, of both inputs without
their last axis. Of a row of bags: ``input`` and ``offsets`` (none: a two-dimensional input),
``weighted``, whether the call has ``per_sample_weights``; ``judge``, ``"embedding"`` where
PyTorch's own kernel is wrong and ``torch.nn.Embedding``, added up, judges.
"""

from parity_tests.registry import Case

BILINEAR = [
    Case(
        "nn.Bilinear",
        {"in1_features": 4, "in2_features": 5, "out_features": 3, **kwargs},
        "torch.nn.Bilinear",
        why,
        {"shape": shape},
    )
    for why, shape, kwargs in [
        ("defaults", (6,), {}),
        ("no bias", (6,), {"bias": False}),
        ("sequences", (2, 3), {}),
        ("one vector", (), {}),
        ("empty batch", (0,), {}),
        ("one output", (6,), {"out_features": 1}),
    ]
]

WORDS = (1, 2, 4, 5, 4, 3, 2, 9, 2, 2, 0, 9)
TWO_DIMENSIONAL = {"input": (WORDS[:4], WORDS[4:8], WORDS[8:])}
BAGS_OF_ALL_LENGTHS = {"input": WORDS, "offsets": (0, 3, 3, 8, 9, 12)}


def _bags(why, kwargs, options):
    return Case(
        "nn.EmbeddingBag",
        {"num_embeddings": 10, "embedding_dim": 3, **kwargs},
        "torch.nn.EmbeddingBag",
        why,
        options,
    )


EMBEDDING_BAG = [
    _bags("defaults", {}, TWO_DIMENSIONAL),
    *(
        _bags(f"{mode} {why}", {"mode": mode, **kwargs}, {**BAGS_OF_ALL_LENGTHS, **options})
        for mode in ("sum", "mean", "max")
        for why, kwargs, options in [
            ("of bags of all lengths", {}, {}),
            ("of bags of one length", {}, {"input": TWO_DIMENSIONAL["input"], "offsets": None}),
            ("padding", {"padding_idx": 2}, {}),
            ("padding everywhere", {"padding_idx": 2}, {"input": (2, 2, 2), "offsets": (0, 1)}),
            (
                "last offset",
                {"include_last_offset": True},
                {"offsets": (0, 3, 3, 8, 12)},
            ),
            ("max norm", {"max_norm": 1.5}, {}),
        ]
    ),
    _bags("padding from the end", {"padding_idx": -1}, BAGS_OF_ALL_LENGTHS),
    _bags("no integers", {}, {"input": (), "offsets": (0, 0)}),
    _bags("no bags", {}, {"input": ((),), "shape": (0, 4)}),
    _bags("norm type", {"max_norm": 2.0, "norm_type": 1.0}, BAGS_OF_ALL_LENGTHS),
    _bags("weighted", {"mode": "sum"}, {**BAGS_OF_ALL_LENGTHS, "weighted": True}),
    _bags("weighted in two axes", {"mode": "sum"}, {**TWO_DIMENSIONAL, "weighted": True}),
    _bags(
        "weighted padding max norm",
        {"mode": "sum", "padding_idx": 2, "max_norm": 1.5},
        {**BAGS_OF_ALL_LENGTHS, "weighted": True},
    ),
    *(
        _bags(
            f"{mode} frequencies equal",
            {"mode": mode, "scale_grad_by_freq": True},
            {"input": (1, 3, 3, 7, 1, 7), "offsets": (0, 2)},
        )
        for mode in ("sum", "mean")
    ),
    _bags(
        "sum frequencies",
        {"mode": "sum", "scale_grad_by_freq": True},
        {**TWO_DIMENSIONAL, "judge": "embedding"},
    ),
    _bags(
        "mean frequencies", {"scale_grad_by_freq": True}, {**TWO_DIMENSIONAL, "judge": "embedding"}
    ),
    _bags(
        "weighted frequencies",
        {"mode": "sum", "scale_grad_by_freq": True},
        {**TWO_DIMENSIONAL, "judge": "embedding", "weighted": True},
    ),
]

CASES = [*BILINEAR, *EMBEDDING_BAG]

BAD = [
    Case(f"nn.{name}", kwargs, f"torch.nn.{name}", why)
    for name, why, kwargs in [
        ("Bilinear", "no first inputs", {"in1_features": 0, "in2_features": 5, "out_features": 2}),
        ("Bilinear", "negative", {"in1_features": 4, "in2_features": -1, "out_features": 2}),
        ("EmbeddingBag", "negative", {"num_embeddings": -10, "embedding_dim": 3}),
        ("EmbeddingBag", "padding", {"num_embeddings": 9, "embedding_dim": 3, "padding_idx": 9}),
        (
            "EmbeddingBag",
            "padding low",
            {"num_embeddings": 9, "embedding_dim": 3, "padding_idx": -10},
        ),
    ]
]
"""Constructors that raise with PyTorch's text."""

BAD_CALLS = [
    _bags(why, kwargs, options)
    for why, kwargs, options in [
        ("no offsets", {}, {"input": (1, 2)}),
        ("three axes", {}, {"input": (((1, 2),),)}),
        ("offsets of two axes", {}, {"input": (1, 2), "offsets": ((0,),)}),
        ("offsets late", {}, {"input": (1, 2), "offsets": (1,)}),
        ("offsets beyond", {}, {"input": (1, 2), "offsets": (0, 3)}),
        ("integer too large", {}, {"input": (1, 10), "offsets": (0,)}),
        ("integer negative", {}, {"input": (1, -1), "offsets": (0,)}),
        ("unknown mode", {"mode": "median"}, {"input": (1,), "offsets": (0,)}),
        (
            "frequencies",
            {"mode": "max", "scale_grad_by_freq": True},
            {"input": (1,), "offsets": (0,)},
        ),
        ("weighted mean", {}, {"input": (1,), "offsets": (0,), "weighted": True}),
    ]
]
"""Layers or calls that raise; PyTorch's text begins with ours."""

BAD_INPUTS = [
    ((3, 4), (2, 5)),
    ((3, 4), (5,)),
    ((3, 3), (3, 5)),
    ((3, 4), (3, 4)),
    ((1, 4), (3, 5)),
]
"""Shapes of two inputs that a bilinear layer of 4 and 5 features refuses."""

"""Rows for ``embedding``, ``embedding_bag`` and ``embedding_renorm``.

The options are those of ``harness/function.py``. Where PyTorch's own kernel is wrong,
``embedding``, added up, judges.
"""

import numpy as np

from parity_tests.registry import Case

INTEGERS = ((4, 1, 2, 3, 3), (6, 2, 0, 1, 3), (2, 5, 5, 0, 3))
WORDS = (1, 2, 4, 5, 4, 3, 2, 9, 2, 2, 0, 9)
TWO_DIMENSIONAL = {"input": (WORDS[:4], WORDS[4:8], WORDS[8:])}
BAGS_OF_ALL_LENGTHS = {"input": WORDS, "offsets": (0, 3, 3, 8, 9, 12)}
BY_EMBEDDING = "parity_tests.functional.test_embedding.bags_of_embedding"


def _embedding(why, kwargs, input=INTEGERS, table=(7, 4), **options):
    options = {"arrays": {"weight": table}, "constants": {"input": input}, **options}
    return Case("functional.embedding", kwargs, "torch.nn.functional.embedding", why, options)


def _bags(why, kwargs, constants, table=(10, 3), weighted=None, **options):
    arrays = {"weight": table} | ({"per_sample_weights": weighted} if weighted else {})
    options = {"arrays": arrays, "constants": constants, **options}
    function = "functional.embedding_bag"
    return Case(function, kwargs, "torch.nn.functional.embedding_bag", why, options)


def _renorm(why, kwargs, indices=(2, 5, 5, 0), table=(7, 4)):
    options = {"arrays": {"input": table}, "constants": {"indices": indices}}
    return Case("functional.embedding_renorm", kwargs, "torch.embedding_renorm_", why, options)


EMBEDDING = [
    _embedding("defaults", {}),
    _embedding("one integer", {}, 3),
    _embedding("no integer", {}, np.zeros((2, 0))),
    _embedding("one column", {}, table=(7, 1)),
    _embedding("padding", {"padding_idx": 3}),
    _embedding("padding zero", {"padding_idx": 0}),
    _embedding("padding negative", {"padding_idx": -1}),
    _embedding("max norm", {"max_norm": 1.0}),
    _embedding("max norm of all", {"max_norm": 0.01}),
    _embedding("max norm of none", {"max_norm": 100.0}),
    _embedding("norm type one", {"max_norm": 2.5, "norm_type": 1.0}),
    _embedding("norm type infinity", {"max_norm": 0.9, "norm_type": float("inf")}),
    _embedding("norm type fraction", {"max_norm": 1.0, "norm_type": 2.5}),
    _embedding("norm type zero", {"max_norm": 3.0, "norm_type": 0.0}),
    _embedding("scale by frequency", {"scale_grad_by_freq": True}),
    _embedding(
        "all together",
        {"padding_idx": 2, "max_norm": 1.0, "norm_type": 3.0, "scale_grad_by_freq": True},
    ),
]

EMBEDDING_BAG = [
    _bags("defaults", {}, TWO_DIMENSIONAL),
    *(
        _bags(f"{mode} {why}", {"mode": mode, **kwargs}, {**BAGS_OF_ALL_LENGTHS, **constants})
        for mode in ("sum", "mean", "max")
        for why, kwargs, constants in [
            ("of bags of all lengths", {}, {}),
            ("padding", {"padding_idx": 2}, {}),
            ("padding everywhere", {"padding_idx": 2}, {"input": (2, 2, 2), "offsets": (0, 1)}),
            ("last offset", {"include_last_offset": True}, {"offsets": (0, 3, 3, 8, 12)}),
            ("max norm", {"max_norm": 1.5}, {}),
        ]
    ),
    *(
        _bags(f"{mode} of bags of one length", {"mode": mode}, TWO_DIMENSIONAL)
        for mode in ("sum", "max")
    ),
    _bags("padding from the end", {"padding_idx": -1}, BAGS_OF_ALL_LENGTHS),
    _bags("no integers", {}, {"input": (), "offsets": (0, 0)}),
    _bags("no bags", {}, {"input": np.zeros((0, 4))}),
    _bags("norm type", {"max_norm": 2.0, "norm_type": 1.0}, BAGS_OF_ALL_LENGTHS),
    _bags("weighted", {"mode": "sum"}, BAGS_OF_ALL_LENGTHS, weighted=(12,)),
    _bags("weighted in two axes", {"mode": "sum"}, TWO_DIMENSIONAL, weighted=(3, 4)),
    _bags(
        "all together",
        {"mode": "sum", "padding_idx": 2, "max_norm": 1.5},
        BAGS_OF_ALL_LENGTHS,
        weighted=(12,),
    ),
    *(
        _bags(
            f"{mode} frequencies equal",
            {"mode": mode, "scale_grad_by_freq": True},
            {"input": (1, 3, 3, 7, 1, 7), "offsets": (0, 2)},
        )
        for mode in ("sum", "mean")
    ),
    *(
        _bags(
            f"{mode} frequencies",
            {"mode": mode, "scale_grad_by_freq": True},
            TWO_DIMENSIONAL,
            judge=BY_EMBEDDING,
        )
        for mode in ("sum", "mean")
    ),
    _bags(
        "weighted frequencies",
        {"mode": "sum", "scale_grad_by_freq": True},
        TWO_DIMENSIONAL,
        weighted=(3, 4),
        judge=BY_EMBEDDING,
    ),
]

RENORM = [
    _renorm("longer than one", {"max_norm": 1.0, "norm_type": 2.0}),
    _renorm("all together", {"max_norm": 2.0, "norm_type": 1.0}, ((1, 6), (1, 3))),
]
"""They change PyTorch's table in place, and are compared by :mod:`test_embedding`."""

CASES = [*EMBEDDING, *EMBEDDING_BAG, *RENORM]

BUILTINS = set()

BAD = [
    _embedding("padding outside", {"padding_idx": 7}, text="Padding_idx must be within num_embed"),
    _embedding("padding outside low", {"padding_idx": -8}, text="Padding_idx must be within num_"),
    _embedding("integer too large", {}, (1, 7)),
    _embedding("integer negative", {}, (1, -1)),
    _embedding("floats", {}, (0.5, 1.0), text="scalar types: Long, Int; but got float64"),
    _embedding("table of one axis", {}, (0, 1), (7,), text="weight must be .num_embeddings"),
    *(
        _bags(why, kwargs, constants, **options)
        for why, kwargs, constants, options in [
            ("no offsets", {}, {"input": (1, 2)}, {}),
            ("three axes", {}, {"input": (((1, 2),),)}, {}),
            ("offsets of two axes", {}, {"input": (1, 2), "offsets": ((0,),)}, {}),
            ("offsets late", {}, {"input": (1, 2), "offsets": (1,)}, {}),
            ("offsets beyond", {}, {"input": (1, 2), "offsets": (0, 3)}, {}),
            ("integer too large", {}, {"input": (1, 10), "offsets": (0,)}, {}),
            ("integer negative", {}, {"input": (1, -1), "offsets": (0,)}, {}),
            ("unknown mode", {"mode": "median"}, {"input": (1,), "offsets": (0,)}, {}),
            (
                "frequencies",
                {"mode": "max", "scale_grad_by_freq": True},
                {"input": (1,), "offsets": (0,)},
                {},
            ),
            ("weighted mean", {}, {"input": (1,), "offsets": (0,)}, {"weighted": (1,)}),
            (
                "weights of another shape",
                {"mode": "sum"},
                {"input": (1, 2), "offsets": (0,)},
                {"weighted": (3,), "text": "must have the same shape as the input"},
            ),
            (
                "padding outside",
                {"padding_idx": 10},
                {"input": (1,), "offsets": (0,)},
                {"text": "padding_idx must be within num_embeddings"},
            ),
        ]
    ),
]
"""Calls that raise."""

DIFFERENT = {
    "functional.embedding": {"omits": ["sparse"]},
    "functional.embedding_bag": {"omits": ["sparse"]},
}
"""Arguments that only PyTorch has; the docstrings say why."""

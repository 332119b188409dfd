"""Rows for ``Embedding`` and ``EmbeddingBag``.

What they do with integers is asked in ``functional/rows_embedding.py``; here, whether a layer hands
on each of its arguments, and what becomes of its table. ``integers`` is the call's first argument,
``offsets`` and ``weighted`` say what else there is.
"""

from parity_tests.functional.rows_embedding import INTEGERS, WORDS
from parity_tests.registry import Case


def _embedding(why, kwargs, **options):
    kwargs = {"num_embeddings": 7, "embedding_dim": 4, **kwargs}
    return Case(
        "nn.Embedding", kwargs, "torch.nn.Embedding", why, {"integers": INTEGERS, **options}
    )


def _bags(why, kwargs, **options):
    kwargs = {"num_embeddings": 10, "embedding_dim": 3, **kwargs}
    options = {"integers": WORDS, "offsets": (0, 3, 3, 8, 9, 12), **options}
    return Case("nn.EmbeddingBag", kwargs, "torch.nn.EmbeddingBag", why, options)


EMBEDDING = [
    _embedding("defaults", {}),
    _embedding("padding", {"padding_idx": 3}),
    _embedding("padding negative", {"padding_idx": -1}),
    _embedding("max norm", {"max_norm": 1.0}),
    _embedding("max norm of none", {"max_norm": 100.0}),
    _embedding("norm type", {"max_norm": 0.9, "norm_type": float("inf")}),
    _embedding(
        "all together",
        {"padding_idx": 2, "max_norm": 1.0, "norm_type": 3.0, "scale_grad_by_freq": True},
    ),
]

EMBEDDING_BAG = [
    _bags("defaults", {}),
    _bags("padding from the end", {"padding_idx": -1}),
    _bags("two axes", {}, integers=(WORDS[:4], WORDS[4:8], WORDS[8:]), offsets=None),
    _bags("max", {"mode": "max"}),
    _bags("last offset", {"include_last_offset": True}, offsets=(0, 3, 3, 8, 12)),
    _bags("norm type", {"max_norm": 2.0, "norm_type": 1.0}),
    _bags(
        "frequencies equal",
        {"scale_grad_by_freq": True},
        integers=(1, 3, 3, 7, 1, 7),
        offsets=(0, 2),
    ),
    _bags(
        "all together",
        {"mode": "sum", "padding_idx": 2, "max_norm": 1.5},
        weighted=(12,),
    ),
]

CASES = [*EMBEDDING, *EMBEDDING_BAG]

BAD = [
    *(
        _embedding(why, kwargs)
        for why, kwargs in [
            ("padding outside", {"padding_idx": 7}),
            ("padding outside negative", {"padding_idx": -8}),
            ("negative size", {"num_embeddings": -1}),
        ]
    ),
    *(
        _bags(why, kwargs)
        for why, kwargs in [
            ("negative size", {"num_embeddings": -10}),
            ("padding", {"num_embeddings": 9, "padding_idx": 9}),
            ("padding low", {"num_embeddings": 9, "padding_idx": -10}),
        ]
    ),
]
"""Constructors that raise with PyTorch's text."""

BAD_LATER = [
    _bags("unknown mode", {"mode": "median"}),
    _bags("frequencies", {"mode": "max", "scale_grad_by_freq": True}),
]
"""Constructors that raise with the text that PyTorch has for a call."""

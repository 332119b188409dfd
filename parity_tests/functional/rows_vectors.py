"""Rows for ``one_hot``, ``normalize`` and ``cosine_similarity``."""

from parity_tests.registry import Case

INFINITY = float("inf")


def _row(name, why, kwargs, **options):
    return Case(f"functional.{name}", kwargs, f"torch.nn.functional.{name}", why, options)


def _normalize(why, kwargs, shape=(4, 5), **options):
    return _row("normalize", why, kwargs, arrays={"input": shape}, **options)


def _cosine(why, kwargs, first=(4, 5), second=(4, 5), **options):
    return _row("cosine_similarity", why, kwargs, arrays={"x1": first, "x2": second}, **options)


CASES = [
    _normalize("defaults", {}),
    *(_normalize(f"p {p}", {"p": p}) for p in (0.0, 0.5, 1.0, 2.0, 3.0, -1.0, INFINITY, -INFINITY)),
    _normalize("first axis", {"dim": 0}),
    _normalize("last axis of four", {"dim": -1}, (2, 3, 2, 4)),
    _normalize("two axes", {"dim": (1, 2)}, (2, 3, 4)),
    _normalize("eps", {"eps": 2.5}),
    _normalize("eps between", {"eps": 2.0, "dim": -1, "p": 1.5}, (40, 3)),
    _normalize("no axes are all", {"dim": ()}, (2, 3)),
    _normalize("one vector", {"dim": 0}, (5,)),
    _normalize("a number", {"dim": 0}, ()),
    _normalize("empty batch", {}, (0, 5)),
    _cosine("defaults", {}),
    _cosine("first axis", {"dim": 0}),
    _cosine("last axis", {"dim": -1}, (2, 3, 4), (2, 3, 4)),
    _cosine("eps", {"eps": 2.5}, (40, 3), (40, 3)),
    _cosine("broadcast", {"dim": 2}, (2, 1, 3), (4, 3)),
    _cosine("one vector", {"dim": 0}, (5,), (5,)),
    _cosine("numbers", {"dim": 0}, (), ()),
    _cosine("empty batch", {}, (0, 5), (0, 5)),
    *(
        _row("one_hot", why, kwargs, constants={"input": input})
        for why, kwargs, input in [
            ("defaults", {}, (0, 3, 1)),
            ("more classes", {"num_classes": 6}, (0, 3, 1)),
            ("two axes", {}, ((0, 2), (1, 1))),
            ("a number", {}, 2),
        ]
    ),
]

BUILTINS = {"functional.one_hot", "functional.cosine_similarity"}
"""PyTorch's have no signature to read but the first line of their documentation."""

BAD = [
    _normalize("axis", {}, (5,)),
    _normalize("axis twice", {"dim": (1, -1)}, (2, 3)),
    _cosine("axis", {}, (5,), (5,)),
    _cosine("shapes", {}, (2, 3), (2, 4), text=r"The size of tensor a \(3\) must match"),
    *(
        _row("one_hot", why, kwargs, constants={"input": input})
        for why, kwargs, input in [
            ("negative", {}, (0, -2)),
            ("too few classes", {"num_classes": 2}, (0, 2)),
            ("no classes", {"num_classes": 0}, (0, 2)),
            ("fewer than none", {"num_classes": -2}, (0, 2)),
        ]
    ),
]
"""Calls that raise."""

DIFFERENT = {"functional.normalize": {"omits": ["out"]}}
"""Arguments that only PyTorch has; the docstrings say why."""

"""Rows for ``linear`` and ``bilinear``; the options are those of ``harness/function.py``."""

from parity_tests.registry import Case


def _row(name, why, arrays, **options):
    options = {"arrays": arrays, "kernels": ("weight",) if name == "linear" else (), **options}
    return Case(f"functional.{name}", {}, f"torch.nn.functional.{name}", why, options)


def _linear(why, shape, outputs=4, bias=True, **options):
    arrays = {"input": shape, "weight": (outputs, 7), **({"bias": (outputs,)} if bias else {})}
    return _row("linear", why, arrays, **options)


def _bilinear(why, shape, outputs=3, bias=True, **options):
    arrays = {"input1": (*shape, 4), "input2": (*shape, 5), "weight": (outputs, 4, 5)}
    return _row("bilinear", why, arrays | ({"bias": (outputs,)} if bias else {}), **options)


CASES = [
    _linear("defaults", (6, 7)),
    _linear("no bias", (6, 7), bias=False),
    _linear("sequences", (2, 3, 5, 7)),
    _linear("one vector", (7,)),
    _linear("one output", (6, 7), outputs=1),
    _linear("empty batch", (0, 7)),
    _bilinear("defaults", (6,)),
    _bilinear("no bias", (6,), bias=False),
    _bilinear("sequences", (2, 3)),
    _bilinear("one vector", ()),
    _bilinear("empty batch", (0,)),
    _bilinear("one output", (6,), outputs=1),
]

BUILTINS = {"functional.linear", "functional.bilinear"}
"""PyTorch's have no signature to read but the first line of their documentation."""


def _two(first, second, weight=(2, 4, 5)):
    return {"input1": first, "input2": second, "weight": weight, "bias": (2,)}


BAD = [
    _row("linear", "another length", {"input": (3, 4), "weight": (2, 3)}),
    _row("linear", "a vector of another length", {"input": (4,), "weight": (2, 3)}),
    _row("linear", "a number", {"input": (), "weight": (2, 3)}),
    _row(
        "linear",
        "three axes",
        {"input": (3, 4), "weight": (2, 4, 1)},
        text=r"weight must be \(in_features, out_features\)",
    ),
    _row(
        "linear",
        "bias of another length",
        {"input": (3, 4), "weight": (2, 4), "bias": (3,)},
        text="bias must have one number for each of 2 outputs",
    ),
    *(
        _row("bilinear", why, arrays)
        for why, arrays in [
            ("first length", _two((3, 3), (3, 5))),
            ("second length", _two((3, 4), (3, 4))),
            ("axes", _two((3, 4), (5,))),
            ("batch", _two((1, 4), (3, 5))),
            ("numbers", _two((), ())),
            ("second batch", _two((3, 4), (2, 5))),
            ("bias", _two((3, 4), (3, 5), (3, 4, 5))),
        ]
    ),
    _row(
        "bilinear",
        "weight of two axes",
        _two((3, 4), (3, 5), (4, 5)),
        text=r"weight must be \(out_features",
    ),
]
"""Shapes that do not fit."""

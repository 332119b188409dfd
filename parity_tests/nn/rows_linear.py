"""Rows for ``Bilinear``, whose ``shape`` is that of both inputs without their last axis.

The rows of ``Linear`` are in ``rows_layers.py``.
"""

from parity_tests.registry import Case

SIZES = {"in1_features": 4, "in2_features": 5, "out_features": 3}

CASES = [
    Case("nn.Bilinear", {**SIZES, **kwargs}, "torch.nn.Bilinear", why, {"shape": shape})
    for why, shape, kwargs in [("defaults", (2, 3), {}), ("no bias", (6,), {"bias": False})]
]

BAD = [
    Case("nn.Bilinear", {**SIZES, **kwargs}, "torch.nn.Bilinear", why)
    for why, kwargs in [
        ("no first inputs", {"in1_features": 0}),
        ("negative", {"in2_features": -1}),
    ]
]
"""Constructors that raise with PyTorch's text."""

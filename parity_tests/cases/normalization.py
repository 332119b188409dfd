"""Rows for ``jaxaccel.normalization``.

Options: ``shape``, of the input in PyTorch's layout; ``without``, the tensors that are None.
"""

from parity_tests.cases import Case

IMAGES = (6, 5, 4, 3)
BATCH_NORM = [
    Case(
        "normalization.batch_norm",
        kwargs,
        "torch.nn.functional.batch_norm",
        why,
        {"shape": IMAGES, "without": (), **dict(*options)},
    )
    for why, kwargs, *options in [
        ("defaults", {}),
        ("training", {"training": True}),
        ("momentum", {"training": True, "momentum": 0.3}),
        ("momentum zero", {"training": True, "momentum": 0.0}),
        ("momentum one", {"training": True, "momentum": 1.0}),
        ("momentum in evaluation", {"momentum": 0.3}),
        ("eps", {"eps": 1e-2}),
        ("eps zero in evaluation", {"eps": 0.0}),
        ("eps in training", {"training": True, "eps": 1e-2}),
        ("no weight", {"training": True}, {"without": ("weight",)}),
        ("no bias", {"training": True}, {"without": ("bias",)}),
        ("no affine", {"training": True}, {"without": ("weight", "bias")}),
        ("no affine in evaluation", {}, {"without": ("weight", "bias")}),
        ("no running statistics", {"training": True}, {"without": ("running_mean", "running_var")}),
        ("vectors", {"training": True}, {"shape": (16, 5)}),
        ("vectors in evaluation", {}, {"shape": (16, 5)}),
        ("sequences", {"training": True}, {"shape": (6, 5, 7)}),
        ("volumes", {"training": True}, {"shape": (2, 5, 3, 2, 4)}),
        ("two values per channel", {"training": True}, {"shape": (2, 5)}),
        ("one value in evaluation", {}, {"shape": (1, 5)}),
    ]
]

LAYER_NORM = [
    Case(
        "normalization.layer_norm",
        {"normalized_shape": shape[len(shape) - axes :], **kwargs},
        "torch.nn.functional.layer_norm",
        why,
        {"shape": shape, "without": without},
    )
    for why, shape, axes, without, kwargs in [
        ("defaults", (6, 7), 1, (), {}),
        ("eps", (6, 7), 1, (), {"eps": 1e-2}),
        ("sequences", (3, 4, 16), 1, (), {}),
        ("several axes", (3, 4, 5, 2), 3, (), {}),
        ("all axes", (4, 5), 2, (), {}),
        ("one vector", (9,), 1, (), {}),
        ("no weight", (6, 7), 1, ("weight",), {}),
        ("no bias", (6, 7), 1, ("bias",), {}),
        ("no affine", (6, 7), 1, ("weight", "bias"), {}),
        ("one value", (6, 1), 1, (), {}),
    ]
]

CASES = [*BATCH_NORM, *LAYER_NORM]

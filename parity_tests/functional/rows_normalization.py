"""Rows for ``jaxaccel.functional``.

Options: ``shape``, of the input in PyTorch's layout; ``tensors``, the arguments besides the input
that are given; ``constant``, those among them without a gradient; ``typical`` on the rows that go
through precisions, large means and meshes.
"""

from parity_tests.registry import Case

IMAGES = (6, 5, 4, 3)
AFFINE = ("weight", "bias")
STATISTICS = ("running_mean", "running_var")


def rows(function, shape, tensors, table):
    """Return the rows of a function: why, its arguments, and options other than the usual."""
    return [
        Case(
            f"functional.{function}",
            kwargs,
            f"torch.nn.functional.{function}",
            why,
            {"shape": shape, "tensors": tensors, **dict(*options)},
        )
        for why, kwargs, *options in table
    ]


BATCH_NORM = rows(
    "batch_norm",
    IMAGES,
    (*STATISTICS, *AFFINE),
    [
        ("defaults", {}, {"typical": True}),
        ("training", {"training": True}, {"typical": True}),
        ("momentum", {"training": True, "momentum": 0.3}),
        ("momentum zero", {"training": True, "momentum": 0.0}),
        ("momentum one", {"training": True, "momentum": 1.0}),
        ("momentum in evaluation", {"momentum": 0.3}),
        ("eps", {"eps": 1e-2}),
        ("eps zero in evaluation", {"eps": 0.0}),
        ("eps in training", {"training": True, "eps": 1e-2}),
        ("no weight", {"training": True}, {"tensors": (*STATISTICS, "bias")}),
        ("no bias", {"training": True}, {"tensors": (*STATISTICS, "weight")}),
        ("no affine", {"training": True}, {"tensors": STATISTICS}),
        ("no affine in evaluation", {}, {"tensors": STATISTICS}),
        ("no running statistics", {"training": True}, {"tensors": AFFINE}),
        ("vectors", {"training": True}, {"shape": (16, 5)}),
        ("vectors in evaluation", {}, {"shape": (16, 5)}),
        ("sequences", {"training": True}, {"shape": (6, 5, 7)}),
        ("volumes", {"training": True}, {"shape": (2, 5, 3, 2, 4)}),
        ("two values per channel", {"training": True}, {"shape": (2, 5)}),
        ("one value in evaluation", {}, {"shape": (1, 5)}),
    ],
)

LAYER_NORM = rows(
    "layer_norm",
    (6, 7),
    AFFINE,
    [
        ("defaults", {"normalized_shape": (7,)}),
        ("eps", {"normalized_shape": (7,), "eps": 1e-2}),
        ("sequences", {"normalized_shape": (16,)}, {"shape": (3, 4, 16)}),
        ("several axes", {"normalized_shape": (4, 5, 2)}, {"shape": (8, 4, 5, 2), "typical": True}),
        ("all axes", {"normalized_shape": (4, 5)}, {"shape": (4, 5)}),
        ("one vector", {"normalized_shape": (9,)}, {"shape": (9,)}),
        ("no weight", {"normalized_shape": (7,)}, {"tensors": ("bias",)}),
        ("no bias", {"normalized_shape": (7,)}, {"tensors": ("weight",)}),
        ("no affine", {"normalized_shape": (7,)}, {"tensors": ()}),
        ("one value", {"normalized_shape": (1,)}, {"shape": (6, 1)}),
    ],
)

GROUP_NORM = rows(
    "group_norm",
    (3, 6, 4, 3),
    AFFINE,
    [
        ("two groups", {"num_groups": 2}, {"typical": True}),
        ("one group", {"num_groups": 1}),
        ("a group per channel", {"num_groups": 6}),
        ("eps", {"num_groups": 3, "eps": 1e-2}),
        # PyTorch's backward pass fails for a bias without a weight.
        ("no weight", {"num_groups": 3}, {"tensors": ("bias",), "constant": ("bias",)}),
        ("no bias", {"num_groups": 3}, {"tensors": ("weight",)}),
        ("no affine", {"num_groups": 3}, {"tensors": ()}),
        ("vectors", {"num_groups": 3}, {"shape": (5, 9)}),
        ("sequences", {"num_groups": 2}, {"shape": (3, 4, 7)}),
        ("volumes", {"num_groups": 2}, {"shape": (2, 4, 3, 2, 3)}),
        ("one value per group", {"num_groups": 4}, {"shape": (2, 4)}),
    ],
)

INSTANCE_NORM = rows(
    "instance_norm",
    IMAGES,
    (*STATISTICS, *AFFINE),
    [
        ("defaults", {}, {"typical": True}),
        ("momentum", {"momentum": 0.3}),
        ("running statistics", {"use_input_stats": False}),
        ("running statistics and eps", {"use_input_stats": False, "eps": 1e-2}),
        ("eps", {"eps": 1e-2}),
        ("no weight", {}, {"tensors": (*STATISTICS, "bias")}),
        ("no bias", {}, {"tensors": (*STATISTICS, "weight")}),
        ("no running statistics", {}, {"tensors": AFFINE}),
        ("nothing but the input", {}, {"tensors": ()}),
        ("sequences", {}, {"shape": (3, 5, 7)}),
        ("volumes", {}, {"shape": (2, 3, 3, 2, 3)}),
        ("two values", {}, {"shape": (3, 5, 2)}),
        ("one value and running statistics", {"use_input_stats": False}, {"shape": (3, 5, 1)}),
    ],
)

RMS_NORM = rows(
    "rms_norm",
    (6, 7),
    ("weight",),
    [
        ("defaults", {"normalized_shape": (7,)}),
        ("eps", {"normalized_shape": (7,), "eps": 1e-2}),
        ("eps zero", {"normalized_shape": (7,), "eps": 0.0}),
        ("several axes", {"normalized_shape": (4, 5, 2)}, {"shape": (8, 4, 5, 2), "typical": True}),
        ("all axes", {"normalized_shape": (4, 5)}, {"shape": (4, 5)}),
        ("no weight", {"normalized_shape": (7,)}, {"tensors": ()}),
        ("one value", {"normalized_shape": (1,)}, {"shape": (6, 1)}),
    ],
)

LOCAL_RESPONSE_NORM = rows(
    "local_response_norm",
    IMAGES,
    (),
    [
        ("odd size", {"size": 3}),
        ("even size", {"size": 2, "alpha": 0.5}, {"quick": "where the window leans"}),
        ("even size of four", {"size": 4, "alpha": 0.5}),
        ("one neighbour", {"size": 1, "alpha": 0.5}),
        ("more neighbours than channels", {"size": 13, "alpha": 2.0}),
        # Three axes: with four PyTorch has no half precision.
        ("alpha", {"size": 3, "alpha": 0.7}, {"shape": (6, 5, 7), "typical": True}),
        ("beta", {"size": 3, "alpha": 0.7, "beta": 0.5}),
        ("beta zero", {"size": 3, "alpha": 0.7, "beta": 0.0}),
        ("k", {"size": 3, "alpha": 0.7, "k": 2.0}),
        ("sequences", {"size": 5, "alpha": 0.7}, {"shape": (2, 7, 5)}),
        ("volumes", {"size": 3, "alpha": 0.7}, {"shape": (2, 4, 3, 2, 3)}),
    ],
)

WITH_CHANNELS = [*BATCH_NORM, *GROUP_NORM, *INSTANCE_NORM, *LOCAL_RESPONSE_NORM]
CASES = [*WITH_CHANNELS, *LAYER_NORM, *RMS_NORM]
TYPICAL = [case for case in CASES if "typical" in case.options]

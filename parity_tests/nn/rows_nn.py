"""Rows for ``jaxaccel.nn`` and ``jaxaccel.models``.

``kwargs`` go to both constructors; the options are those of ``parity_tests/layers.py``. A model's
oracle is its mirror of ``torch.nn`` layers; ``modes`` names those that it is tested in, if not
both, and a model with an ``optimizer`` (here, in PyTorch, its arguments) is trained, from the
weights of a seed but for those that ``start`` names: a deep network of residual branches at full
strength amplifies a difference of 1e-15 to 1e-2 in 20 steps, PyTorch against itself.
"""

from jaxaccel.models import GPTConfig
from parity_tests.registry import Case


def _rows(name, shape, rows, spatial=0):
    common = {"shape": shape, "spatial": spatial}
    return [
        Case(f"nn.{name}", kwargs, f"torch.nn.{name}", why, {**common, **dict(*options)})
        for why, kwargs, *options in rows
    ]


LINEAR = _rows(
    "Linear",
    (6, 7),
    [
        ("defaults", {"in_features": 7, "out_features": 4}),
        ("no bias", {"in_features": 7, "out_features": 4, "bias": False}),
        ("sequences", {"in_features": 7, "out_features": 4}, {"shape": (2, 3, 5, 7)}),
    ],
)

CONV = [
    case._replace(kwargs={"in_channels": 4, "out_channels": 6, "kernel_size": 3, **case.kwargs})
    for case in _rows(
        "Conv2d",
        (2, 4, 9, 8),
        [
            ("defaults", {}),
            ("kernel oblong", {"kernel_size": (2, 5)}),
            ("padding", {"padding": 1}),
            ("padding same even kernel", {"padding": "same", "kernel_size": (4, 2)}),
            ("padding valid", {"padding": "valid", "stride": 2}),
            ("groups depthwise", {"groups": 4, "out_channels": 8}),
            ("no bias", {"bias": False}),
            ("reflect", {"padding": (1, 2), "padding_mode": "reflect"}),
            ("replicate", {"padding": (2, 1), "padding_mode": "replicate"}),
            ("circular", {"padding": (1, 2), "padding_mode": "circular"}),
            (
                "reflect same",
                {
                    "padding": "same",
                    "padding_mode": "reflect",
                    "kernel_size": (4, 3),
                    "dilation": (1, 2),
                },
            ),
            ("replicate valid", {"padding": "valid", "padding_mode": "replicate"}),
            (
                "all together",
                {
                    "kernel_size": (2, 3),
                    "stride": (2, 1),
                    "padding": (1, 2),
                    "dilation": (1, 2),
                    "groups": 2,
                },
            ),
            ("one image", {"padding": 1}, {"shape": (4, 9, 8)}),
            (
                "one image circular",
                {"padding": (1, 2), "padding_mode": "circular"},
                {"shape": (4, 9, 8)},
            ),
        ],
        spatial=2,
    )
]

BATCH_NORM = _rows(
    "BatchNorm2d",
    (4, 5, 3, 2),
    [
        ("defaults", {"num_features": 5}),
        ("evaluation", {"num_features": 5}, {"mode": "eval"}),
        ("eps", {"num_features": 5, "eps": 1e-2}),
        ("momentum", {"num_features": 5, "momentum": 0.4}),
        ("momentum None", {"num_features": 5, "momentum": None}),
        ("momentum None evaluation", {"num_features": 5, "momentum": None}, {"mode": "eval"}),
        ("no affine", {"num_features": 5, "affine": False}),
        ("no bias", {"num_features": 5, "bias": False}),
        ("no running statistics", {"num_features": 5, "track_running_stats": False}),
        (
            "no running statistics evaluation",
            {"num_features": 5, "track_running_stats": False},
            {"mode": "eval"},
        ),
        (
            "no running statistics momentum None",
            {"num_features": 5, "track_running_stats": False, "momentum": None},
        ),
    ],
    spatial=2,
)

LAYER_NORM = _rows(
    "LayerNorm",
    (4, 3, 6),
    [
        ("defaults", {"normalized_shape": 6}),
        ("several axes", {"normalized_shape": (3, 6)}),
        ("a list", {"normalized_shape": [6]}),
        ("eps", {"normalized_shape": 6, "eps": 1e-2}),
        ("no affine", {"normalized_shape": 6, "elementwise_affine": False}),
        ("no bias", {"normalized_shape": 6, "bias": False}),
    ],
)

DROPOUT = [
    *_rows("Dropout", (20, 5), [("defaults", {}), ("p", {"p": 0.1}), ("one", {"p": 1.0})]),
    *_rows("Dropout1d", (9, 8, 4), [("p", {"p": 0.3})], 1),
    *_rows("Dropout2d", (9, 8, 2, 3), [("p", {"p": 0.3})], 2),
    *_rows("Dropout3d", (9, 8, 2, 3, 2), [("p", {"p": 0.3})], 3),
]

LAYERS = [*LINEAR, *CONV, *BATCH_NORM, *LAYER_NORM]

SGD = ("optimizers.sgd", "torch.optim.SGD", {"lr": 0.05, "momentum": 0.9})
# The gradient of the keys' bias is zero but for rounding, of which a smaller eps makes steps.
ADAMW = ("optimizers.adamw", "torch.optim.AdamW", {"lr": 3e-3, "eps": 1e-5})
MODELS = [
    Case(
        *(f"models.{name}", kwargs, f"torch_ref.models.{name}", why),
        {"shape": shape, **dict(*options)},
    )
    for name, why, shape, kwargs, *options in [
        (
            "mlp",
            "vectors",
            (5, 12),
            {"in_features": 12, "hidden_features": (9, 8), "out_features": 4},
        ),
        (
            "mlp",
            "images",
            (5, 3, 4, 2),
            {"in_features": 24, "hidden_features": [9], "out_features": 4},
        ),
        (
            "mlp",
            "no hidden layer",
            (5, 12),
            {"in_features": 12, "hidden_features": (), "out_features": 4},
        ),
        ("simple_cnn", "cifar", (3, 3, 32, 32), {}),
        (
            "simple_cnn",
            "digits",
            (3, 1, 28, 28),
            {"num_classes": 7, "in_channels": 1, "image_size": 28},
        ),
        ("resnet10", "cifar", (4, 3, 32, 32), {"width": 8}),
        ("resnet10", "digits", (4, 1, 28, 28), {"num_classes": 7, "in_channels": 1, "width": 4}),
        ("resnet10", "large images", (4, 3, 40, 40), {"width": 2, "small_images": False}),
        (
            "resnet18",
            "tiny",
            (4, 1, 8, 8),
            {"num_classes": 7, "in_channels": 1, "width": 4, "small_images": True},
            {"optimizer": SGD, "start": {"bn2.weight": 0.2}},
        ),
        (
            "resnet50",
            "tiny",
            (4, 1, 40, 40),
            {"num_classes": 7, "in_channels": 1, "width": 2, "small_images": False},
            # Compiling takes long, and the gradients are those of 20 steps.
            {"optimizer": SGD, "start": {"bn3.weight": 0.2}, "modes": ("eval",)},
        ),
        ("depthwise_cnn", "cifar", (4, 3, 32, 32), {"width": 4}),
        ("depthwise_cnn", "digits", (4, 1, 9, 9), {"num_classes": 7, "in_channels": 1, "width": 2}),
        (
            "vit_tiny",
            "shallow",
            (3, 2, 12, 12),
            {
                "num_classes": 7,
                "in_channels": 2,
                "image_size": 12,
                "patch_size": 4,
                "width": 12,
                "depth": 2,
                "heads": 3,
            },
            {"optimizer": ADAMW},
        ),
        (
            "lstm_classifier",
            "vectors",
            (3, 6, 5),
            {"input_size": 5, "hidden_size": 4, "num_classes": 7, "num_layers": 2},
            {"optimizer": ADAMW},
        ),
        (
            "lstm_classifier",
            "integers",
            (3, 6),
            {"input_size": 5, "hidden_size": 4, "num_embeddings": 11},
            {"integers": 11},
        ),
        (
            "gpt",
            "shallow",
            (3, 6),
            {"config": GPTConfig(8, 11, 2, 2, 12)},
            {"integers": 11, "optimizer": ADAMW},
        ),
        (
            "gpt",
            "no bias",
            (3, 8),
            {"config": GPTConfig(8, 11, 1, 3, 12, bias=False)},
            {"integers": 11},
        ),
    ]
]

CASES = [*LAYERS, *DROPOUT, *MODELS]

CONV_ARGUMENTS = {"in_channels": 4, "out_channels": 6, "kernel_size": 3}
BAD = [
    *_rows(
        "Conv2d",
        (1, 4, 5, 5),
        [
            ("groups zero", {**CONV_ARGUMENTS, "groups": 0}),
            ("groups of in channels", {**CONV_ARGUMENTS, "groups": 3}),
            ("groups of out channels", {**CONV_ARGUMENTS, "groups": 4}),
            ("padding negative", {**CONV_ARGUMENTS, "padding": -1}),
            ("padding same strided", {**CONV_ARGUMENTS, "padding": "same", "stride": 2}),
            ("padding of three", {**CONV_ARGUMENTS, "padding": [1, 2, 3]}),
            ("stride zero", {**CONV_ARGUMENTS, "stride": 0}),
            ("dilation zero", {**CONV_ARGUMENTS, "dilation": 0}),
            ("kernel zero", {**CONV_ARGUMENTS, "kernel_size": 0}),
        ],
    ),
    *_rows("Dropout", (1, 4), [("p above one", {"p": 1.5}), ("p negative", {"p": -0.1})]),
]
"""Constructors that raise here at once; PyTorch raises there or when the layer is called."""

BAD_INPUTS = [
    *_rows(
        "Linear",
        (3, 4),
        [("another length", {"in_features": 3, "out_features": 2})],
    ),
    *_rows(
        "BatchNorm2d",
        (3, 4, 4),
        [("three axes", {"num_features": 3})],
    ),
    *_rows(
        "LayerNorm",
        (3, 4),
        [("another length", {"normalized_shape": 3})],
    ),
]
"""Calls whose text is PyTorch's to the letter; where a shape in it has channels last, it is not."""

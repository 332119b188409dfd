"""Rows for ``jaxaccel.models``.

``kwargs`` go to both constructors; the options are those of ``harness/layer.py``. A model's oracle
is its mirror of ``torch.nn`` layers; ``modes`` names those that it is tested in, if not both, and a
model with an ``optimizer`` (here, in PyTorch, its arguments) is trained, from the weights of a seed
but for those that ``start`` names: a deep network of residual branches at full strength amplifies a
difference of 1e-15 to 1e-2 in 20 steps, PyTorch against itself.
"""

from jaxaccel.models import GPTConfig
from parity_tests.registry import Case

SGD = ("optimizers.sgd", "torch.optim.SGD", {"lr": 0.05, "momentum": 0.9})
# The gradient of the keys' bias is zero but for rounding, of which a smaller eps makes steps.
ADAMW = ("optimizers.adamw", "torch.optim.AdamW", {"lr": 3e-3, "eps": 1e-5})
CASES = [
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
            "no bias, exact gelu",
            (3, 8),
            {"config": GPTConfig(8, 11, 1, 3, 12, bias=False, approximate="none")},
            {"integers": 11},
        ),
    ]
]

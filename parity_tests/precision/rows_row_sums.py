"""Layers whose parameters are shared by many rows: their gradients are sums over rows.

``kwargs`` go to both constructors; ``options``: ``shape``, a function from the number of rows to
PyTorch's shape of the input; ``spatial`` and ``integers`` as in ``harness/layer.py``; ``inputs``,
how many there are; ``names``, of the parameters that are compared, if not all. ``half`` says that
PyTorch's own kernel on the CPU sums in half precision (of 1e5 rows it loses up to 98 %): the judge
is then what it computes in float32, rounded once. ``dear`` says that a layer takes long to compile:
it is asked less. ``change`` takes away of both models what is not judged.
"""

from jaxaccel.models import GPTConfig
from parity_tests.registry import Case

HALF, DEAR = {"half": True}, {"dear": True}
GPT = GPTConfig(block_size=4, vocab_size=5, n_layer=1, n_head=1, n_embd=8)
VIT = {
    "num_classes": 8,
    "in_channels": 1,
    "image_size": 1,
    "patch_size": 1,
    "width": 8,
    "depth": 0,
    "heads": 1,
}


def _vectors(rows):
    return rows, 8


def _images(rows):
    return rows // 50, 4, 5, 10


def _sequences(rows):
    return 5, rows // 5, 8


def _long_sequences(rows):
    return rows // 100, 100, 8


def _channels(rows):
    return rows // 50, 8, 50


def _integers(rows):
    return (rows,)


def _without_blocks(model):
    del model.transformer.h[:]
    return model


_LAYERS = [
    ("Linear", "rows", _vectors, {"in_features": 8, "out_features": 8}),
    (
        *("Bilinear", "rows", lambda rows: (rows, 4)),
        {"in1_features": 4, "in2_features": 4, "out_features": 8},
        {"inputs": 2},
    ),
    (
        *("Conv2d", "positions", _images),
        {"in_channels": 4, "out_channels": 8, "kernel_size": 1},
        {"spatial": 2},
    ),
    (
        *("ConvTranspose2d", "positions", _images),
        {"in_channels": 4, "out_channels": 8, "kernel_size": 1},
        {"spatial": 2},
    ),
    ("LayerNorm", "rows", _vectors, {"normalized_shape": 8}, HALF),
    ("RMSNorm", "rows", _vectors, {"normalized_shape": 8}),
    (
        *("GroupNorm", "positions", _channels),
        {"num_groups": 2, "num_channels": 8},
        {"spatial": 1},
    ),
    ("BatchNorm1d", "rows", _vectors, {"num_features": 8}),
    (
        *("InstanceNorm1d", "positions", _channels),
        {"num_features": 8, "affine": True},
        {"spatial": 1},
    ),
    ("PReLU", "a slope for each channel", _vectors, {"num_parameters": 8}),
    ("PReLU", "one slope", lambda rows: (rows // 8, 8), {}),
    (
        *("Embedding", "few words", _integers),
        {"num_embeddings": 5, "embedding_dim": 8},
        {"integers": 5, **HALF},
    ),
    (
        *("Embedding", "few words by frequency", _integers),
        {"num_embeddings": 5, "embedding_dim": 8, "scale_grad_by_freq": True},
        {"integers": 5, **HALF},
    ),
    *(
        (
            *("EmbeddingBag", f"few words {mode}", lambda rows: (rows // 2, 2)),
            {"num_embeddings": 5, "embedding_dim": 8, "mode": mode},
            {"integers": 5, **HALF, **(DEAR if mode == "max" else {})},
        )
        for mode in ("sum", "max")
    ),
    ("LSTM", "sequences", _sequences, {"input_size": 8, "hidden_size": 8}, DEAR),
    ("RNN", "long sequences", _long_sequences, {"input_size": 8, "hidden_size": 8}, DEAR),
    (
        *("MultiheadAttention", "one more key", _sequences),
        {"embed_dim": 8, "num_heads": 2, "add_bias_kv": True},
        {"inputs": 3, **DEAR},
    ),
]
_MODELS = [
    (
        *("gpt", "positions", lambda rows: (rows // 4, 4), {"config": GPT}),
        {"integers": 5, "names": ("transformer.wpe.weight",), "change": _without_blocks, **DEAR},
    ),
    (
        *("vit_tiny", "class token and positions", lambda rows: (rows, 1, 1, 1), VIT),
        {"spatial": 2, "names": ("class_token", "pos_embedding")},
    ),
]

CASES = [
    Case(f"{room}.{name}", kwargs, f"{judge}.{name}", f"sums of {why}", options)
    for room, judge, table in [("nn", "torch.nn", _LAYERS), ("models", "torch_ref.models", _MODELS)]
    for name, why, shape, kwargs, *more in table
    for options in [{"shape": shape, **dict(*more)}]
]

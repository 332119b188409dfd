"""Rows for the parametrizations of weights.

Options: ``layer`` and ``arguments``, whose weight is parametrized; ``shape`` of its input in
PyTorch's layout, ``spatial`` and ``integers`` as in ``parity_tests/harness/layer.py``.
"""

from parity_tests.registry import Case


def _layers(name, rows):
    return [
        Case(f"nn.{name}", kwargs, f"torch.nn.utils.parametrizations.{name}", why, on)
        for why, on, kwargs in rows
    ]


TALL = {"layer": "Linear", "arguments": {"in_features": 4, "out_features": 6}, "shape": (5, 4)}
WIDE = {"layer": "Linear", "arguments": {"in_features": 6, "out_features": 4}, "shape": (5, 6)}
SQUARE = {"layer": "Linear", "arguments": {"in_features": 5, "out_features": 5}, "shape": (5, 5)}
CHANNELS = {"in_channels": 4, "out_channels": 6, "kernel_size": 3}
CONV1D = {"layer": "Conv1d", "arguments": CHANNELS, "shape": (2, 4, 6), "spatial": 1}
CONV = {"layer": "Conv2d", "arguments": CHANNELS, "shape": (2, 4, 5, 4), "spatial": 2}
GROUPS = {**CONV, "arguments": {**CHANNELS, "groups": 2, "padding": 1}}
OBLONG = {**CONV, "arguments": {"in_channels": 4, "out_channels": 2, "kernel_size": (2, 3)}}
TRANSPOSED = {**CONV, "layer": "ConvTranspose2d"}
TRANSPOSED1D = {**CONV1D, "layer": "ConvTranspose1d"}
EMBEDDING = {
    "layer": "Embedding",
    "arguments": {"num_embeddings": 7, "embedding_dim": 3},
    "shape": (2, 5),
    "integers": 7,
}
NORM = {"layer": "LayerNorm", "arguments": {"normalized_shape": 4}, "shape": (5, 4)}
LSTM = {
    "layer": "LSTM",
    "arguments": {"input_size": 3, "hidden_size": 2, "num_layers": 2},
    "shape": (4, 2, 3),
}

CASES = [
    *_layers(
        "weight_norm",
        [
            ("defaults", TALL, {}),
            ("dim 1", TALL, {"dim": 1}),
            ("dim None", TALL, {"dim": None}),
            ("dim last by its other name", CONV1D, {"dim": -1}),
            ("a bias as a whole", TALL, {"name": "bias", "dim": None}),
            ("a bias one by one", TALL, {"name": "bias"}),
            ("sequences", CONV1D, {}),
            ("images dim of the window", CONV, {"dim": -2}),
            ("groups", GROUPS, {"dim": 1}),
            ("transposed", TRANSPOSED, {}),
            ("transposed outputs", TRANSPOSED1D, {"dim": 1}),
            ("embedding", EMBEDDING, {}),
            ("norm", NORM, {"dim": None}),
            ("recurrent", LSTM, {"name": "weight_hh_l1"}),
        ],
    ),
    *_layers(
        "spectral_norm",
        [
            ("defaults", TALL, {}),
            ("rounds", WIDE, {"n_power_iterations": 2}),
            ("dim 1", TALL, {"dim": 1}),
            ("eps", TALL, {"eps": 5.0}),
            ("a bias", TALL, {"name": "bias"}),
            ("a bias shorter than eps", TALL, {"name": "bias", "eps": 2.0}),
            ("sequences", CONV1D, {}),
            ("images", CONV, {}),
            ("dim of the window", GROUPS, {"dim": -1}),
            ("transposed", TRANSPOSED, {}),
            ("transposed inputs", TRANSPOSED1D, {"dim": 0}),
            ("embedding", EMBEDDING, {}),
        ],
    ),
    *_layers(
        "orthogonal",
        [
            ("tall", TALL, {}),
            ("wide", WIDE, {}),
            ("square", SQUARE, {}),
            ("matrix exp tall", TALL, {"orthogonal_map": "matrix_exp"}),
            ("cayley wide", WIDE, {"orthogonal_map": "cayley"}),
            ("householder square", SQUARE, {"orthogonal_map": "householder"}),
            ("matrix exp of the weight", SQUARE, {"use_trivialization": False}),
            (
                "cayley of the weight",
                TALL,
                {"orthogonal_map": "cayley", "use_trivialization": False},
            ),
            ("householder of the weight", WIDE, {"use_trivialization": False}),
            (
                "householder of a square weight",
                SQUARE,
                {"orthogonal_map": "householder", "use_trivialization": False},
            ),
            ("windows", OBLONG, {}),
            ("windows of the weight", OBLONG, {"use_trivialization": False}),
            ("recurrent", LSTM, {"name": "weight_hh_l0"}),
        ],
    ),
]

BAD = [
    *_layers(
        "weight_norm",
        [
            ("dim", TALL, {"dim": 2}),
        ],
    ),
    *_layers(
        "spectral_norm",
        [
            ("no such name", TALL, {"name": "kernel"}),
            ("dim", TALL, {"dim": 2}),
            (
                "no bias",
                {**TALL, "arguments": {**TALL["arguments"], "bias": False}},
                {"name": "bias"},
            ),
            ("dim negative", TALL, {"dim": -3}),
            ("rounds", TALL, {"n_power_iterations": 0}),
        ],
    ),
    *_layers(
        "orthogonal",
        [
            ("no such name", TALL, {"name": "kernel"}),
            ("a vector", TALL, {"name": "bias"}),
            ("map", TALL, {"orthogonal_map": "qr"}),
        ],
    ),
]
"""Arguments that both sides refuse."""

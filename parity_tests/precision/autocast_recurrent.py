"""Recurrent layers under autocast, beside PyTorch's. The rows are ``harness/autocast.py``'s."""

import functools

import torch
from flax import nnx

import jaxaccel as ja
from parity_tests.harness.autocast import Row

STEPS, BATCH, FEATURES, HIDDEN = 3, 16, 6, 8
SMALLER = 4
"""Parameters are of about the size that PyTorch draws: of larger ones errors grow step by step."""
IN_A_ROW = {"units": 2, "sums": "products in half precision, added to a state in float32"}
"""Each step rounds what the steps before it have rounded."""
TWICE = {"twice": "the derivative of a gate, which is one kernel in PyTorch"}
SUMMED = {"twice": "the derivative of a gate, where the two products that it is of are added"}
NO_FLOAT16 = {"dtypes": ("bfloat16",)}
"""oneDNN has no LSTM in float16, and PyTorch raises."""
KINK = {"dtype_only": "a number near 0 is rectified on one side and not on the other"}


def _row(name, operation, why="", options=None, steps=(STEPS,), **kwargs):
    """Return the row of a layer; both sides are given its input and its parameters."""
    theirs = getattr(torch.nn, name)(FEATURES, HIDDEN, **kwargs)
    names = [key for key, _ in theirs.named_parameters()]
    shapes = [tuple(p.shape) for p in theirs.parameters()]

    def of_pytorch(input, *parameters):
        given = {key: p / SMALLER for key, p in zip(names, parameters, strict=True)}
        return _flat(torch.func.functional_call(theirs, given, (input,)))

    def of_ours(input, *parameters):
        layer = _empty(name, **kwargs)
        for key, p in zip(names, parameters, strict=True):
            setattr(layer, key, nnx.Param((p.T if p.ndim == 2 else p) / SMALLER))
        return _flat(layer(input))

    shapes = (*steps, BATCH, FEATURES), *shapes
    return Row(operation, why, of_ours, of_pytorch, shapes, 1, IN_A_ROW | (options or {}))


def _empty(name, **kwargs):
    """Return a layer of ours to put parameters into."""
    make = functools.partial(getattr(ja.nn, name), FEATURES, HIDDEN, **kwargs)
    return nnx.eval_shape(lambda: make(rngs=nnx.Rngs(0)))


def _flat(found):
    """Return output and states as one tuple."""
    if not isinstance(found, tuple):
        return (found,)
    output, states = found
    return (output, *states) if isinstance(states, tuple) else (output, states)


FUNCTIONS = [
    _row("LSTM", "lstm", options=NO_FLOAT16),
    _row("LSTM", "lstm_with_projections", options=TWICE, proj_size=4),
    _row("GRU", "gru"),
    _row("GRU", "gru", "of two layers", num_layers=2, bidirectional=True),
    _row("RNN", "rnn_tanh"),
    _row("RNN", "rnn_relu", options=KINK, nonlinearity="relu"),
    _row("LSTMCell", "lstm_cell", options=SUMMED, steps=()),
    _row("GRUCell", "gru_cell", options=SUMMED, steps=()),
    _row("RNNCell", "rnn_tanh_cell", steps=()),
    _row("RNNCell", "rnn_relu_cell", options=KINK, steps=(), nonlinearity="relu"),
]

"""flax.nnx layers with PyTorch's names, constructors and defaults; channels last."""

from jaxaccel.nn._avg_pool import AvgPool2d
from jaxaccel.nn._batch_norm import BatchNorm2d
from jaxaccel.nn._conv import Conv2d
from jaxaccel.nn._dropout import Dropout
from jaxaccel.nn._embedding import Embedding
from jaxaccel.nn._gru import GRU
from jaxaccel.nn._layer_norm import LayerNorm
from jaxaccel.nn._linear import Linear
from jaxaccel.nn._lstm import LSTM
from jaxaccel.nn._max_pool import MaxPool2d
from jaxaccel.nn._multihead_attention import MultiheadAttention
from jaxaccel.nn._rnn import RNN
from jaxaccel.nn._scaled_dot_product_attention import scaled_dot_product_attention
from jaxaccel.nn._state_dict import IncompatibleKeys, load_state_dict, state_dict
from jaxaccel.nn._transformer_encoder import TransformerEncoder
from jaxaccel.nn._transformer_encoder_layer import TransformerEncoderLayer

__all__ = [
    "Linear",
    "Conv2d",
    "BatchNorm2d",
    "LayerNorm",
    "Dropout",
    "MaxPool2d",
    "AvgPool2d",
    "Embedding",
    "RNN",
    "LSTM",
    "GRU",
    "MultiheadAttention",
    "TransformerEncoderLayer",
    "TransformerEncoder",
    "scaled_dot_product_attention",
    "state_dict",
    "load_state_dict",
    "IncompatibleKeys",
]

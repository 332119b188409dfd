"""flax.nnx layers with PyTorch's names, constructors and defaults; channels last."""

from jaxaccel._names import teach
from jaxaccel.nn._activations_of_axes import GLU, LogSoftmax, Softmax, Softmax2d, Softmin
from jaxaccel.nn._activations_piecewise import (
    Hardshrink,
    Hardsigmoid,
    Hardswish,
    Hardtanh,
    LeakyReLU,
    PReLU,
    ReLU,
    ReLU6,
    Softshrink,
    Threshold,
)
from jaxaccel.nn._activations_smooth import (
    CELU,
    ELU,
    GELU,
    SELU,
    LogSigmoid,
    Mish,
    Sigmoid,
    SiLU,
    Softplus,
    Softsign,
    Tanh,
    Tanhshrink,
)
from jaxaccel.nn._adaptive_log_softmax import (
    AdaptiveLogSoftmaxResult,
    AdaptiveLogSoftmaxWithLoss,
)
from jaxaccel.nn._adaptive_pool import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AdaptiveAvgPool3d,
    AdaptiveMaxPool1d,
    AdaptiveMaxPool2d,
    AdaptiveMaxPool3d,
)
from jaxaccel.nn._alpha_dropout import AlphaDropout, FeatureAlphaDropout
from jaxaccel.nn._arguments import params_key
from jaxaccel.nn._batch_norm import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    SyncBatchNorm,
    convert_sync_batchnorm,
)
from jaxaccel.nn._channel_shuffle import ChannelShuffle
from jaxaccel.nn._conv import Conv1d, Conv2d, Conv3d
from jaxaccel.nn._conv_transpose import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from jaxaccel.nn._distances import CosineSimilarity, PairwiseDistance
from jaxaccel.nn._dropout import Dropout, Dropout1d, Dropout2d, Dropout3d
from jaxaccel.nn._embedding import Embedding, EmbeddingBag
from jaxaccel.nn._flatten import Flatten, Unflatten
from jaxaccel.nn._fuse_bn import fuse_conv_bn, fuse_linear_bn
from jaxaccel.nn._instance_norm import InstanceNorm1d, InstanceNorm2d, InstanceNorm3d
from jaxaccel.nn._linear import Bilinear, Identity, Linear
from jaxaccel.nn._linear_cross_entropy_loss import LinearCrossEntropyLoss
from jaxaccel.nn._load_state_dict import IncompatibleKeys, load_state_dict
from jaxaccel.nn._losses_of_classes import (
    CrossEntropyLoss,
    MultiLabelMarginLoss,
    MultiMarginLoss,
    NLLLoss,
)
from jaxaccel.nn._losses_of_decisions import BCELoss, BCEWithLogitsLoss, MultiLabelSoftMarginLoss
from jaxaccel.nn._losses_of_differences import HuberLoss, L1Loss, MSELoss, SmoothL1Loss
from jaxaccel.nn._losses_of_distributions import CTCLoss, GaussianNLLLoss, KLDivLoss, PoissonNLLLoss
from jaxaccel.nn._losses_of_margins import (
    CosineEmbeddingLoss,
    HingeEmbeddingLoss,
    MarginRankingLoss,
    SoftMarginLoss,
)
from jaxaccel.nn._losses_of_triplets import TripletMarginLoss, TripletMarginWithDistanceLoss
from jaxaccel.nn._lp_pool import LPPool1d, LPPool2d, LPPool3d
from jaxaccel.nn._max_unpool import MaxUnpool1d, MaxUnpool2d, MaxUnpool3d
from jaxaccel.nn._multihead_attention import MultiheadAttention
from jaxaccel.nn._normalization import GroupNorm, LayerNorm, LocalResponseNorm, RMSNorm
from jaxaccel.nn._orthogonal import orthogonal
from jaxaccel.nn._pad_constants import (
    ConstantPad1d,
    ConstantPad2d,
    ConstantPad3d,
    ZeroPad1d,
    ZeroPad2d,
    ZeroPad3d,
)
from jaxaccel.nn._pad_repeats import (
    CircularPad1d,
    CircularPad2d,
    CircularPad3d,
    ReflectionPad1d,
    ReflectionPad2d,
    ReflectionPad3d,
    ReplicationPad1d,
    ReplicationPad2d,
    ReplicationPad3d,
)
from jaxaccel.nn._parametrize import remove_parametrizations
from jaxaccel.nn._pixel_shuffle import PixelShuffle, PixelUnshuffle
from jaxaccel.nn._pool import AvgPool1d, AvgPool2d, AvgPool3d, MaxPool1d, MaxPool2d, MaxPool3d
from jaxaccel.nn._recurrent import GRU, LSTM, RNN
from jaxaccel.nn._recurrent_cells import GRUCell, LSTMCell, RNNCell
from jaxaccel.nn._rrelu import RReLU
from jaxaccel.nn._sequential import Sequential
from jaxaccel.nn._spectral_norm import spectral_norm
from jaxaccel.nn._stacked_layers import StackedLayers
from jaxaccel.nn._state_dict import state_dict
from jaxaccel.nn._transformer import TransformerEncoder, TransformerEncoderLayer
from jaxaccel.nn._transformer_decoder import TransformerDecoder, TransformerDecoderLayer
from jaxaccel.nn._transformer_model import Transformer
from jaxaccel.nn._unfold import Fold, Unfold
from jaxaccel.nn._upsample import Upsample, UpsamplingBilinear2d, UpsamplingNearest2d
from jaxaccel.nn._weight_norm import weight_norm

__all__ = [
    "Sequential",
    "StackedLayers",
    "Linear",
    "Bilinear",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "SyncBatchNorm",
    "convert_sync_batchnorm",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "GroupNorm",
    "LayerNorm",
    "RMSNorm",
    "LocalResponseNorm",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "AlphaDropout",
    "FeatureAlphaDropout",
    "ReLU",
    "LeakyReLU",
    "PReLU",
    "RReLU",
    "Threshold",
    "ELU",
    "SELU",
    "CELU",
    "GELU",
    "SiLU",
    "Mish",
    "Sigmoid",
    "LogSigmoid",
    "GLU",
    "Tanh",
    "Softsign",
    "Softplus",
    "Hardtanh",
    "ReLU6",
    "Hardsigmoid",
    "Hardswish",
    "Tanhshrink",
    "Softshrink",
    "Hardshrink",
    "Softmax",
    "Softmax2d",
    "LogSoftmax",
    "Softmin",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "Identity",
    "Flatten",
    "Unflatten",
    "PixelShuffle",
    "PixelUnshuffle",
    "ChannelShuffle",
    "Unfold",
    "Fold",
    "Upsample",
    "UpsamplingNearest2d",
    "UpsamplingBilinear2d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "Embedding",
    "EmbeddingBag",
    "RNN",
    "LSTM",
    "GRU",
    "MultiheadAttention",
    "TransformerEncoderLayer",
    "TransformerEncoder",
    "weight_norm",
    "spectral_norm",
    "orthogonal",
    "remove_parametrizations",
    "fuse_conv_bn",
    "fuse_linear_bn",
    "params_key",
    "state_dict",
    "load_state_dict",
    "IncompatibleKeys",
    "RNNCell",
    "LSTMCell",
    "GRUCell",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "Transformer",
    "CrossEntropyLoss",
    "NLLLoss",
    "MultiMarginLoss",
    "MultiLabelMarginLoss",
    "BCELoss",
    "BCEWithLogitsLoss",
    "MultiLabelSoftMarginLoss",
    "KLDivLoss",
    "PoissonNLLLoss",
    "GaussianNLLLoss",
    "CTCLoss",
    "L1Loss",
    "MSELoss",
    "SmoothL1Loss",
    "HuberLoss",
    "SoftMarginLoss",
    "HingeEmbeddingLoss",
    "MarginRankingLoss",
    "CosineEmbeddingLoss",
    "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
    "PairwiseDistance",
    "CosineSimilarity",
    "AdaptiveLogSoftmaxResult",
    "AdaptiveLogSoftmaxWithLoss",
    "LinearCrossEntropyLoss",
]

teach(__name__)

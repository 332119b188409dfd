"""torch.nn.functional as pure functions: PyTorch's names, arguments, order and defaults.

Channels are last, (N, ..., C), as the TPU has them. Kernels are in flax's layout, ``(*k, I, O)``,
where PyTorch's are ``(O, I, *k)``: ``linear`` takes (in_features, out_features), ``conv2d`` (kernel
height, kernel width, in_channels / groups, out_channels), ``conv_transpose2d`` (kernel height,
kernel width, out_channels / groups, in_channels). Tables of embeddings and ``bilinear``'s forms are
as in PyTorch. What PyTorch draws from its global generator is drawn from a ``key``.
"""

from jaxaccel._names import teach
from jaxaccel.functional._adaptive_avg_pool import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
)
from jaxaccel.functional._adaptive_max_pool import (
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
)
from jaxaccel.functional._affine_grid import affine_grid
from jaxaccel.functional._alpha_dropout import alpha_dropout, feature_alpha_dropout
from jaxaccel.functional._avg_pool import avg_pool1d, avg_pool2d, avg_pool3d
from jaxaccel.functional._batch_norm import BatchNormResult, batch_norm
from jaxaccel.functional._binary_cross_entropy import binary_cross_entropy
from jaxaccel.functional._binary_cross_entropy_with_logits import binary_cross_entropy_with_logits
from jaxaccel.functional._channel_shuffle import channel_shuffle
from jaxaccel.functional._conv import conv1d, conv2d, conv3d
from jaxaccel.functional._conv_transpose import conv_transpose1d, conv_transpose2d, conv_transpose3d
from jaxaccel.functional._cosine_embedding_loss import cosine_embedding_loss
from jaxaccel.functional._cosine_similarity import cosine_similarity
from jaxaccel.functional._cross_entropy import cross_entropy
from jaxaccel.functional._ctc_loss import ctc_loss
from jaxaccel.functional._dropout import dropout, dropout1d, dropout2d, dropout3d
from jaxaccel.functional._elu import celu, elu, selu
from jaxaccel.functional._embedding import embedding, embedding_renorm
from jaxaccel.functional._embedding_bag import embedding_bag
from jaxaccel.functional._gaussian_nll_loss import gaussian_nll_loss
from jaxaccel.functional._gelu import gelu
from jaxaccel.functional._glu import glu
from jaxaccel.functional._grid_sample import grid_sample
from jaxaccel.functional._group_norm import group_norm
from jaxaccel.functional._gumbel_softmax import gumbel_softmax
from jaxaccel.functional._hard import hardsigmoid, hardswish, hardtanh
from jaxaccel.functional._hinge_embedding_loss import hinge_embedding_loss
from jaxaccel.functional._huber_loss import huber_loss
from jaxaccel.functional._instance_norm import InstanceNormResult, instance_norm
from jaxaccel.functional._interpolate import interpolate
from jaxaccel.functional._kl_div import kl_div
from jaxaccel.functional._l1_loss import l1_loss
from jaxaccel.functional._layer_norm import layer_norm
from jaxaccel.functional._linear import bilinear, linear
from jaxaccel.functional._linear_cross_entropy import linear_cross_entropy
from jaxaccel.functional._local_response_norm import local_response_norm
from jaxaccel.functional._lp_pool import lp_pool1d, lp_pool2d, lp_pool3d
from jaxaccel.functional._margin_ranking_loss import margin_ranking_loss
from jaxaccel.functional._max_pool import max_pool1d, max_pool2d, max_pool3d
from jaxaccel.functional._max_unpool import max_unpool1d, max_unpool2d, max_unpool3d
from jaxaccel.functional._mish import mish
from jaxaccel.functional._mse_loss import mse_loss
from jaxaccel.functional._multi_head_attention_forward import multi_head_attention_forward
from jaxaccel.functional._multi_margin_loss import multi_margin_loss
from jaxaccel.functional._multilabel_margin_loss import multilabel_margin_loss
from jaxaccel.functional._multilabel_soft_margin_loss import multilabel_soft_margin_loss
from jaxaccel.functional._nll_loss import nll_loss
from jaxaccel.functional._normalize import normalize
from jaxaccel.functional._one_hot import one_hot
from jaxaccel.functional._pad import pad
from jaxaccel.functional._pairwise_distance import pairwise_distance
from jaxaccel.functional._pdist import pdist
from jaxaccel.functional._pixel_shuffle import pixel_shuffle, pixel_unshuffle
from jaxaccel.functional._poisson_nll_loss import poisson_nll_loss
from jaxaccel.functional._relu import leaky_relu, prelu, relu, relu6
from jaxaccel.functional._rms_norm import rms_norm
from jaxaccel.functional._rrelu import rrelu
from jaxaccel.functional._scaled_dot_product_attention import scaled_dot_product_attention
from jaxaccel.functional._shrink import hardshrink, softshrink, tanhshrink
from jaxaccel.functional._sigmoid import logsigmoid, sigmoid
from jaxaccel.functional._silu import silu
from jaxaccel.functional._smooth_l1_loss import smooth_l1_loss
from jaxaccel.functional._soft_margin_loss import soft_margin_loss
from jaxaccel.functional._softmax import log_softmax, softmax, softmin
from jaxaccel.functional._softplus import softplus
from jaxaccel.functional._softsign import softsign
from jaxaccel.functional._tanh import tanh
from jaxaccel.functional._threshold import threshold
from jaxaccel.functional._triplet_margin_loss import (
    triplet_margin_loss,
    triplet_margin_with_distance_loss,
)
from jaxaccel.functional._unfold import fold, unfold

__all__ = [
    "linear",
    "bilinear",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "pad",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "interpolate",
    "pixel_shuffle",
    "pixel_unshuffle",
    "channel_shuffle",
    "unfold",
    "fold",
    "grid_sample",
    "affine_grid",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "alpha_dropout",
    "feature_alpha_dropout",
    "embedding",
    "embedding_renorm",
    "embedding_bag",
    "one_hot",
    "normalize",
    "cosine_similarity",
    "pairwise_distance",
    "pdist",
    "batch_norm",
    "BatchNormResult",
    "layer_norm",
    "group_norm",
    "instance_norm",
    "InstanceNormResult",
    "rms_norm",
    "local_response_norm",
    "relu",
    "leaky_relu",
    "prelu",
    "rrelu",
    "threshold",
    "elu",
    "selu",
    "celu",
    "gelu",
    "silu",
    "mish",
    "sigmoid",
    "logsigmoid",
    "glu",
    "tanh",
    "softsign",
    "softplus",
    "hardtanh",
    "relu6",
    "hardsigmoid",
    "hardswish",
    "tanhshrink",
    "softshrink",
    "hardshrink",
    "softmax",
    "log_softmax",
    "softmin",
    "gumbel_softmax",
    "scaled_dot_product_attention",
    "multi_head_attention_forward",
    "cross_entropy",
    "nll_loss",
    "binary_cross_entropy_with_logits",
    "kl_div",
    "mse_loss",
    "l1_loss",
    "smooth_l1_loss",
    "huber_loss",
    "binary_cross_entropy",
    "linear_cross_entropy",
    "gaussian_nll_loss",
    "poisson_nll_loss",
    "soft_margin_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "hinge_embedding_loss",
    "margin_ranking_loss",
    "cosine_embedding_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
    "ctc_loss",
]

teach(__name__)

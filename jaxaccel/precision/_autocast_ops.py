"""Which operations ``torch.autocast`` casts, and to what, for each type of device. Data.

``cuda`` is the installed header ``torch/include/ATen/autocast_mode.h`` of PyTorch 2.13, class by
class. ``cpu`` is what PyTorch 2.13 has kernels for under its dispatch key ``AutocastCPU``, and what
they return (``aten/src/ATen/autocast_mode.cpp``); both differ from PyTorch's documentation. ``tpu``
is ``cuda``'s. What PyTorch composes of listed operations stands apart, with the class that the
whole comes to.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

CastClass: TypeAlias = Literal[
    "lower", "float32", "float32 by output", "widest", "raises", "keep", "composed"
]
"""In half precision; in float32; in float32 unless the call names a dtype; in the widest dtype of
the operands; refused; computed in float32 and returned in the operand's dtype, which PyTorch's
kernels do that no list names; operation by operation, of which PyTorch composes it there."""

_CUDA: Final[dict[CastClass, str]] = {
    "lower": """
        _convolution conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d
        conv_transpose3d convolution prelu addmm addmv addr matmul einsum mm mv linalg_vecdot linear
        addbmm baddbmm bmm chain_matmul linalg_multi_dot _thnn_fused_lstm_cell _thnn_fused_gru_cell
        lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell _scaled_dot_product_flash_attention
        scaled_dot_product_attention
    """,
    "float32": """
        acos asin cosh erfinv exp expm1 log log10 log2 log1p reciprocal rsqrt sinh tan pow softplus
        layer_norm native_layer_norm rms_norm group_norm frobenius_norm nuclear_norm
        cosine_similarity poisson_nll_loss cosine_embedding_loss nll_loss nll_loss2d
        hinge_embedding_loss kl_div l1_loss smooth_l1_loss huber_loss mse_loss margin_ranking_loss
        multilabel_margin_loss soft_margin_loss triplet_margin_loss multi_margin_loss
        binary_cross_entropy_with_logits dist pdist cdist renorm logsumexp upsample_nearest1d
        _upsample_nearest_exact1d upsample_nearest2d _upsample_nearest_exact2d upsample_nearest3d
        _upsample_nearest_exact3d upsample_linear1d upsample_bilinear2d _upsample_bilinear2d_aa
        upsample_trilinear3d upsample_bicubic2d _upsample_bicubic2d_aa
    """,
    "float32 by output": """
        prod softmax log_softmax cumprod cumsum linalg_vector_norm linalg_matrix_norm sum norm
    """,
    "widest": """
        addcdiv addcmul atan2 bilinear cross dot vdot grid_sampler index_put tensordot scatter_add
    """,
    "raises": "binary_cross_entropy",
}

_CPU: Final[dict[CastClass, str]] = {
    "lower": """
        conv1d conv2d conv3d bmm mm linalg_vecdot baddbmm addmm _addmm_activation addbmm linear
        _convolution matmul
        conv_tbc mkldnn_rnn_layer conv_transpose1d conv_transpose2d conv_transpose3d prelu
        scaled_dot_product_attention _native_multi_head_attention
    """,
    "float32": """
        avg_pool3d binary_cross_entropy grid_sampler polar prod quantile nanquantile stft cdist
        grid_sampler_2d _grid_sampler_2d_cpu_fallback grid_sampler_3d trace view_as_complex
        cholesky cholesky_inverse cholesky_solve inverse lu_solve orgqr ormqr pinverse max_pool3d
        max_unpool2d max_unpool3d adaptive_avg_pool3d reflection_pad1d reflection_pad2d
        replication_pad1d replication_pad2d replication_pad3d mse_loss cosine_embedding_loss
        nll_loss nll_loss2d hinge_embedding_loss poisson_nll_loss smooth_l1_loss cross_entropy_loss
        l1_loss huber_loss margin_ranking_loss soft_margin_loss triplet_margin_loss
        multi_margin_loss ctc_loss kl_div multilabel_margin_loss binary_cross_entropy_with_logits
        fft_fft fft_ifft fft_fft2 fft_ifft2 fft_fftn fft_ifftn fft_rfft fft_irfft fft_rfft2
        fft_irfft2 fft_rfftn fft_irfftn fft_hfft fft_ihfft linalg_cond linalg_matrix_rank
        linalg_solve linalg_cholesky linalg_svdvals linalg_eigvals linalg_eigvalsh linalg_inv
        linalg_householder_product linalg_tensorinv linalg_tensorsolve
        fake_quantize_per_tensor_affine geqrf _lu_with_info qr svd triangular_solve
        fractional_max_pool2d fractional_max_pool3d adaptive_max_pool3d linalg_qr
        multilabel_margin_loss_forward linalg_cholesky_ex linalg_svd linalg_eig linalg_eigh
        linalg_lstsq linalg_inv_ex
    """,
    "widest": "cat stack index_copy",
}

_COMPOSED_ON_CUDA: Final[dict[str, CastClass]] = {
    "cross_entropy_loss": "float32",  # log_softmax and nll_loss
    "pairwise_distance": "float32",  # linalg_vector_norm
    "gaussian_nll_loss": "float32",  # log and pow
    "multilabel_soft_margin_loss": "float32",  # a sum over the classes
    "normalize": "float32",  # linalg_vector_norm, and a quotient of it
    "local_response_norm": "float32",  # pow, and a quotient of it
    "local_response_norm1d": "float32",
    "lstm": "lower",  # of all steps, by cuDNN, whose kernel casts outside of the lists
    "lstm_with_projections": "lower",
    "gru": "lower",
    "rnn_tanh": "lower",
    "rnn_relu": "lower",
}

_COMPOSED_ON_CPU: Final[dict[str, CastClass]] = {
    "local_response_norm": "float32",  # avg_pool3d, and a quotient of it
    "lstm": "lower",  # mkldnn_rnn_layer
    "lstm_with_projections": "composed",  # the cell's state keeps the input's dtype
    "gru": "composed",  # products in half precision, the state in the input's dtype
    "lstm_cell": "composed",
    "gru_cell": "composed",
    "rnn_tanh_cell": "lower",
    "rnn_relu_cell": "lower",
    "rnn_tanh": "lower",  # linear, and a hyperbolic tangent of it
    "rnn_relu": "lower",
}

_KEPT: Final = """
softmax log_softmax softplus layer_norm rms_norm group_norm batch_norm instance_norm
local_response_norm1d normalize cosine_similarity pairwise_distance pdist gaussian_nll_loss
multilabel_soft_margin_loss ctc_loss mean var logsumexp bilinear embedding_bag
gelu silu mish sigmoid log_sigmoid tanh softsign tanhshrink elu celu selu glu hardsigmoid
hardswish leaky_relu softshrink hardshrink
max_pool1d max_pool2d max_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d
reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d
replication_pad3d embedding prelu
avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d
upsample_nearest1d _upsample_nearest_exact1d upsample_nearest2d _upsample_nearest_exact2d
upsample_nearest3d _upsample_nearest_exact3d upsample_linear1d upsample_bilinear2d
_upsample_bilinear2d_aa upsample_trilinear3d upsample_bicubic2d _upsample_bicubic2d_aa
"""
"""One kernel each in PyTorch, which rounds once, where a device's lists do not name them."""


def _by_name(lists: dict[CastClass, str], composed: dict[str, CastClass]) -> dict[str, CastClass]:
    """Return the class of each operation."""
    classes: dict[str, CastClass] = {}
    for key, names in lists.items():
        classes.update(dict.fromkeys(names.split(), key))
    return classes | composed


_KEPT_NAMES: Final = frozenset(_KEPT.split())

_CLASSES: Final = {
    "cuda": _by_name(_CUDA, _COMPOSED_ON_CUDA),
    "cpu": _by_name(_CPU, _COMPOSED_ON_CPU),
    "tpu": _by_name(_CUDA, _COMPOSED_ON_CUDA),
}


def cast_class(device_type: str, name: str) -> CastClass | None:
    """Return what autocast does to an operation of PyTorch's; None for one that it passes on."""
    named = _CLASSES[device_type].get(name)
    return "keep" if named is None and name in _KEPT_NAMES else named

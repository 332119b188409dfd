"""Autocast's lists: those of the installed PyTorch, and where each entry is compared."""

import re
from pathlib import Path

import pytest
import torch

from jaxaccel.precision import _autocast_ops as lists
from parity_tests.precision import autocast_functions, autocast_functions_of_jax

HEADER = Path(torch.__file__).parent / "include" / "ATen" / "autocast_mode.h"
MACROS = {
    "lower": "LOWER_PRECISION_FP",
    "float32": "FP32",
    "float32 by output": "FP32_SET_OPT_DTYPE",
    "widest": "PROMOTE",
}
ROWS = [*autocast_functions.FUNCTIONS, *autocast_functions_of_jax.FUNCTIONS]

ELSEWHERE = {
    "_convolution": "conv1d, conv2d and conv3d are it",
    "convolution": "conv1d, conv2d and conv3d are it",
    "mv": "matmul, by a vector",
    "chain_matmul": "linalg_multi_dot",
    "_thnn_fused_lstm_cell": "nn.LSTM, all steps as one: rows of their own",
    "_thnn_fused_gru_cell": "nn.GRU, all steps as one: rows of their own",
    "mkldnn_rnn_layer": "nn.LSTM, all steps as one: rows of their own",
    "_scaled_dot_product_flash_attention": "scaled_dot_product_attention",
    "native_layer_norm": "layer_norm",
    "frobenius_norm": "linalg_matrix_norm",
    "nuclear_norm": "linalg_matrix_norm",
    "norm": "linalg_vector_norm",
    "dot": "matmul: a product of vectors is a dot_general as any other",
    "vdot": "matmul: a product of vectors is a dot_general as any other",
    "tensordot": "matmul: a dot_general as any other",
    "pdist": "PyTorch has none in half precision on CPUs",
    "linalg_cholesky_ex": "linalg_cholesky",
    "linalg_inv_ex": "linalg_inv",
    "svd": "linalg_svd",
    "qr": "linalg_qr",
}
"""What stands for an entry here, where no row has its name."""

WITHOUT = """
_addmm_activation _grid_sampler_2d_cpu_fallback _native_multi_head_attention
_upsample_bicubic2d_aa _upsample_bilinear2d_aa addbmm addcdiv addcmul addmm addmv addr baddbmm cdist
cholesky_inverse conv_tbc dist fake_quantize_per_tensor_affine fractional_max_pool2d
fractional_max_pool3d grid_sampler grid_sampler_2d grid_sampler_3d max_unpool2d max_unpool3d
multilabel_margin_loss_forward ormqr polar renorm stft view_as_complex
"""
"""What neither we nor JAX have as one function."""


def in_header(macro):
    """Return the operations that one of the header's lists names."""
    text = HEADER.read_text()
    body = re.search(rf"#define AT_FORALL_{macro}\(_\)((?:.*\\\n)*.*)", text)[1]
    return set(re.findall(r"_\((\w+)", body))


def ours(device):
    return {key: set(names.split()) for key, names in device.items()}


@pytest.mark.quick
def test_cudas_list_is_the_installed_headers():
    found = ours(lists._CUDA)
    expected = {key: in_header(macro) for key, macro in MACROS.items()}
    # The only operation of the header's list that differs in its signature, by hand.
    redispatched = in_header("DIFFERENT_REDISPATCH_SIGNATURE")
    assert redispatched == {"ADD_NS"}
    assert set(re.findall(r"ADD_NS\((\w+)\)", HEADER.read_text())) & {"norm"} == {"norm"}
    expected["float32 by output"].add("norm")
    expected["raises"] = {"binary_cross_entropy"}
    assert found == expected


@pytest.mark.quick
def test_cpus_list_is_what_pytorch_has_kernels_for():
    names = torch._C._dispatch_get_all_op_names()
    has_kernel = torch._C._dispatch_has_kernel_for_dispatch_key
    expected = {
        name.removeprefix("aten::").partition(".")[0]
        for name in names
        if has_kernel(name, "AutocastCPU")
    }
    assert set().union(*ours(lists._CPU).values()) == expected


@pytest.mark.quick
def test_every_entry_is_compared_or_named():
    entries = set().union(*ours(lists._CUDA).values(), *ours(lists._CPU).values())
    compared = {row.operation for row in ROWS}
    known = [compared & entries, set(ELSEWHERE), set(WITHOUT.split())]
    assert entries == set().union(*known), entries ^ set().union(*known)
    assert sum(map(len, known)) == len(entries)


@pytest.mark.quick
def test_every_marked_operation_has_a_class():
    faults = [
        (row.operation, device)
        for row in autocast_functions.FUNCTIONS
        for device in ("cuda", "tpu")
        if lists.cast_class(device, row.operation) is None and row.operation not in UNMARKED
    ]
    assert not faults


UNMARKED = ("relu", "relu6", "hardtanh", "threshold", "constant_pad_nd", "pixel_shuffle")
"""What rounds nothing has no mark."""


@pytest.mark.quick
def test_a_wrong_entry_of_cudas_is_seen(monkeypatch):
    monkeypatch.setitem(lists._CUDA, "lower", f"{lists._CUDA['lower']} softmax")
    with pytest.raises(AssertionError):
        test_cudas_list_is_the_installed_headers()

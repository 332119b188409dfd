"""The composites of JAX, flax and optax that are one operation in PyTorch, by source. Data.

They leave no boundary in a jaxpr, so the frames of their equations say what they are. Private files
move from version to version: there is a table for each, and a test that every entry is still hit.
``jnp.log2`` and ``jnp.log10`` leave no frames: they are read as what they are made of, a logarithm
and a quotient, which has the same dtypes.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Composite(NamedTuple):
    """One operation of PyTorch's, made of several of JAX's."""

    operation: str
    """Its name in PyTorch's lists; one that they do not name is computed in float32."""
    is_reduction: bool = False
    """Whether it returns its input's dtype in another shape; else other shapes stay float32."""


def _of(file: str, **composites: str | Composite) -> dict[tuple[str, str], Composite]:
    """Return the entries of a file; two underscores in a name stand for a dot."""
    return {
        (file, name): given if isinstance(given, Composite) else Composite(given)
        for name, given in composites.items()
    }


def _layers(file: str, **composites: str) -> dict[tuple[str, str], Composite]:
    """Return the entries of a file's layers, by class."""
    return {
        (file, f"{name}.__call__"): Composite(operation) for name, operation in composites.items()
    }


_JAX_0_10 = {
    **_of(
        "jax/_src/nn/functions.py",
        squareplus="squareplus",
        softplus="softplus",
        soft_sign="softsign",
        silu="silu",
        mish="mish",
        log_sigmoid="log_sigmoid",
        elu="elu",
        celu="celu",
        selu="selu",
        gelu="gelu",
        glu=Composite("glu", is_reduction=True),
        hard_silu="hardswish",
        log_softmax="log_softmax",
        softmax="softmax",
        logmeanexp=Composite("logsumexp", is_reduction=True),
        standardize="layer_norm",
        dot_product_attention=Composite("scaled_dot_product_attention", is_reduction=True),
    ),
    **_of("jax/_src/ops/special.py", logsumexp=Composite("logsumexp", is_reduction=True)),
    **_of(
        "jax/_src/numpy/reductions.py",
        mean=Composite("mean", is_reduction=True),
        var=Composite("var", is_reduction=True),
        std=Composite("std", is_reduction=True),
        nanmean=Composite("nanmean", is_reduction=True),
        average=Composite("mean", is_reduction=True),
    ),
    **_of("jax/_src/numpy/lax_numpy.py", trace=Composite("trace", is_reduction=True)),
    **_of(
        "jax/_src/numpy/linalg.py",
        pinv=Composite("pinverse", is_reduction=True),
        lstsq=Composite("linalg_lstsq", is_reduction=True),
        norm=Composite("linalg_vector_norm", is_reduction=True),
        vector_norm=Composite("linalg_vector_norm", is_reduction=True),
        matrix_norm=Composite("linalg_matrix_norm", is_reduction=True),
    ),
}

_NORMALIZATIONS = {
    "BatchNorm": "batch_norm",
    "LayerNorm": "layer_norm",
    "RMSNorm": "rms_norm",
    "GroupNorm": "group_norm",
    "InstanceNorm": "instance_norm",
}
"""In linen as in nnx."""

_FLAX_0_12 = {
    **_layers(
        "flax/nnx/nn/linear.py",
        LinearGeneral="linear",
        Linear="linear",
        Einsum="matmul",
        Conv="_convolution",
        ConvTranspose="_convolution",
    ),
    **_layers("flax/nnx/nn/normalization.py", **_NORMALIZATIONS),
    **_layers("flax/nnx/nn/activations.py", PReLU="prelu"),
    **_of(
        "flax/nnx/nn/attention.py",
        dot_product_attention=Composite("scaled_dot_product_attention", is_reduction=True),
    ),
    **_layers(
        "flax/linen/linear.py",
        DenseGeneral="linear",
        Dense="linear",
        Einsum="matmul",
        _Conv="_convolution",
        ConvTranspose="_convolution",
    ),
    **_layers("flax/linen/normalization.py", **_NORMALIZATIONS),
    **_of(
        "flax/linen/attention.py",
        dot_product_attention=Composite("scaled_dot_product_attention", is_reduction=True),
    ),
}

_OPTAX_0_2 = {
    **_of(
        "optax/losses/_classification.py",
        sigmoid_binary_cross_entropy="binary_cross_entropy_with_logits",
        hinge_loss="hinge_embedding_loss",
        safe_softmax_cross_entropy="nll_loss",
        softmax_cross_entropy="nll_loss",
        softmax_cross_entropy_with_integer_labels="nll_loss",
        poly_loss_cross_entropy="nll_loss",
        kl_divergence="kl_div",
        kl_divergence_with_log_targets="kl_div",
        generalized_kl_divergence="kl_div",
        ctc_loss_with_forward_probs="nll_loss",
        ctc_loss="nll_loss",
        sigmoid_focal_loss="binary_cross_entropy_with_logits",
    ),
    **_of(
        "optax/losses/_regression.py",
        squared_error="mse_loss",
        l2_loss="mse_loss",
        huber_loss="huber_loss",
        log_cosh="mse_loss",
        cosine_similarity=Composite("cosine_similarity", is_reduction=True),
        cosine_distance="cosine_embedding_loss",
    ),
    **_of(
        "optax/losses/_self_supervised.py",
        ntxent="nll_loss",
        triplet_margin_loss="triplet_margin_loss",
    ),
}

FOREIGN: Final = {
    "jax": {(0, 10): _JAX_0_10},
    "flax": {(0, 12): _FLAX_0_12},
    "optax": {(0, 2): _OPTAX_0_2},
}
"""By package and version: (end of the file's path, function) -> operation."""

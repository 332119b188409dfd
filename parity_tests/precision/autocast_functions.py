"""Our functions under autocast, beside PyTorch's: each that its lists name, and what they pass.

The rows are ``harness/autocast.py``'s.
"""

import functools

import jax.numpy as jnp
import numpy as np
import torch

import jaxaccel as ja
from parity_tests.harness.autocast import Row
from parity_tests.precision import autocast_recurrent

F, T = ja.functional, torch.nn.functional


BIAS = {"twice": "the product, before the bias is added: cuDNN convolves in half precision"}


def _row(operation, ours, theirs, *shapes, why="", low=1, **options):
    return Row(operation, why, ours, theirs, shapes, low, options)


def _same(operation, *shapes, name=None, why="", low=1, options=None, **kwargs):
    """Return the row of a function that both sides give the same arguments."""
    ours, theirs = (
        functools.partial(getattr(module, name or operation), **kwargs) for module in (F, T)
    )
    return Row(operation, why, ours, theirs, shapes or ((32, 24),), low, options or {})


def _last(array):
    return jnp.moveaxis(array, 1, -1)


def _first(array):
    return jnp.moveaxis(array, -1, 1)


def _spatial(operation, axes, *parameters, name=None, why="", options=None, **kwargs):
    """Return the row of a function of images: channels are last here, and so are kernels'."""
    own, theirs = (getattr(module, name or operation) for module in (F, T))

    def ours(input, *others):
        others = [jnp.transpose(a, (*range(2, a.ndim), 1, 0)) if a.ndim > 1 else a for a in others]
        return _first(own(_last(input), *others, **kwargs))

    shapes = (8, 4, *(8, 4, 6)[:axes]), *parameters
    return Row(operation, why, ours, functools.partial(theirs, **kwargs), shapes, 1, options or {})


def _loss(operation, kind="numbers", name=None, why="", **kwargs):
    """Return the row of a loss; its target is given to both as it is."""
    ours, theirs = (
        functools.partial(getattr(module, name or operation), **kwargs) for module in (F, T)
    )
    target = {
        "numbers": lambda rng: rng.uniform(size=(32, 24)).astype(np.float32),
        "indices": lambda rng: rng.integers(0, 24, 32),
        "shares": lambda rng: rng.dirichlet(np.ones(24), 32).astype(np.float32),
    }[kind](np.random.default_rng(5))
    return _row(
        operation,
        lambda x: ours(x, jnp.asarray(target)),
        lambda x: theirs(x, _beside(x, target)),
        (32, 24),
        why=why,
    )


def _beside(x, target):
    """Return a target for PyTorch, which has doubles where all is in double precision."""
    is_double = x.dtype == torch.float64 and target.dtype == np.float32
    return torch.tensor(target).to(torch.float64 if is_double else None)


HEADS = ((4, 3, 8, 16),) * 3
LOWEST = np.triu(np.full((8, 8), np.finfo(np.float32).min, np.float32), 1)

PRODUCTS = [
    _row("linear", lambda x, w, b: F.linear(x, w.T, b), T.linear, (32, 24), (40, 24), (40,)),
    *(
        _spatial(f"conv{n}d", n, (5, 4, *(2,) * n), (5,), padding=1, options=BIAS)
        for n in (1, 2, 3)
    ),
    *(_spatial(f"conv_transpose{n}d", n, (4, 5, *(2,) * n), (5,), stride=2) for n in (1, 2, 3)),
    _same("prelu", (32, 24), (24,)),
    _same("scaled_dot_product_attention", *HEADS, low=3),
    _same("scaled_dot_product_attention", *HEADS, low=0, why="causal", is_causal=True),
    _row(
        "scaled_dot_product_attention",
        lambda *heads: F.scaled_dot_product_attention(*heads, jnp.asarray(LOWEST)),
        lambda *heads: T.scaled_dot_product_attention(*heads, torch.tensor(LOWEST)),
        *HEADS,
        low=3,
        why="masked by the lowest number",
    ),
    _same("bilinear", (40, 8), (40, 5), (24, 8, 5), (24,), low=4),
]

ACTIVATIONS = [
    *map(_same, ("gelu", "silu", "mish", "sigmoid", "tanh", "softsign", "softplus", "tanhshrink")),
    *map(_same, ("softshrink", "hardshrink", "elu", "celu", "selu", "hardsigmoid", "hardswish")),
    *map(_same, ("leaky_relu", "relu", "relu6", "hardtanh", "glu")),
    _same("gelu", why="tanh", approximate="tanh"),
    _same("log_sigmoid", name="logsigmoid"),
    _same("threshold", threshold=0.5, value=0.25),
    _same("softmax", dim=1),
    _same("log_softmax", dim=1),
    _same("softmax", name="softmin", why="of minus the input", dim=1),
    _row(
        "softmax",
        lambda x: F.softmax(x, 1, dtype=jnp.float32),
        lambda x: T.softmax(x, 1, dtype=torch.float32),
        (32, 24),
        why="of a dtype",
    ),
]

OF_SIX = (32, 24), (24,), (24,)
OF_IMAGES = (4, 4, 8, 8), (4,), (4,)


def _with_statistics(x, weight, bias):
    mean, var = (torch.full((24,), value, dtype=weight.dtype) for value in (0.0, 1.0))
    return T.batch_norm(x, mean, var, weight, bias, training=True), mean, var


NORMALIZATIONS = [
    _row(
        "layer_norm",
        lambda x, w, b: F.layer_norm(x, (24,), w, b),
        lambda x, w, b: T.layer_norm(x, (24,), w, b),
        *OF_SIX,
    ),
    _row(
        "rms_norm",
        lambda x, w: F.rms_norm(x, (24,), w),
        lambda x, w: T.rms_norm(x, (24,), w),
        *OF_SIX[:2],
    ),
    _row(
        "group_norm",
        lambda x, w, b: _first(F.group_norm(_last(x), 2, w, b)),
        lambda x, w, b: T.group_norm(x, 2, w, b),
        *OF_IMAGES,
    ),
    _row(
        "batch_norm",
        lambda x, w, b: tuple(
            F.batch_norm(x, jnp.zeros_like(w), jnp.ones_like(w), w, b, training=True)
        ),
        _with_statistics,
        *OF_SIX,
        why="with statistics",
    ),
    _row(
        "batch_norm",
        lambda x, w, b: F.batch_norm(x, jnp.zeros_like(w), jnp.full_like(w, 2), w, b).output,
        lambda x, w, b: T.batch_norm(x, torch.zeros_like(w), torch.full_like(w, 2.0), w, b),
        *OF_SIX,
        why="evaluated",
    ),
    _row(
        "instance_norm",
        lambda x, w, b: _first(F.instance_norm(_last(x), None, None, w, b).output),
        lambda x, w, b: T.instance_norm(x, None, None, w, b),
        *OF_IMAGES,
    ),
    _spatial("local_response_norm1d", 1, name="local_response_norm", size=2),
    _spatial("local_response_norm", 2, size=2, alpha=0.5),
    _same("normalize"),
    _same("cosine_similarity", (32, 24), (32, 24), low=2),
]

POOLS = [
    *(
        _spatial(f"{kind}_pool{n}d", n, **kwargs)
        for kind, kwargs in (
            *(("avg", {"kernel_size": 2}), ("max", {"kernel_size": 2})),
            *(("adaptive_avg", {"output_size": 3}), ("adaptive_max", {"output_size": 3})),
        )
        for n in (1, 2, 3)
    )
]

LINEARLY = {1: ["linear"], 2: ["bilinear", "bicubic"], 3: ["trilinear"]}
RESHAPING = [
    *(
        _spatial(f"{kind}_pad{n}d", n, name="pad", pad=(1, 2) * n, mode=mode)
        for kind, mode in (("reflection", "reflect"), ("replication", "replicate"))
        for n in (1, 2, 3)
    ),
    _spatial("constant_pad_nd", 2, name="pad", pad=(1, 1, 1, 1)),
    *(
        _spatial(
            *(f"{operation}{n}d", n),
            name="interpolate",
            scale_factor=2,
            mode=mode,
        )
        for n in (1, 2, 3)
        for operation, mode in (
            ("upsample_nearest", "nearest"),
            ("_upsample_nearest_exact", "nearest-exact"),
            *((f"upsample_{mode}", mode) for mode in LINEARLY[n]),
        )
    ),
    _spatial("pixel_shuffle", 2, upscale_factor=2),
    *(
        _row(
            name,
            lambda w, name=name: getattr(F, name)(jnp.array([[0, 2], [1, 2]]), w),
            lambda w, name=name: getattr(T, name)(torch.tensor([[0, 2], [1, 2]]), w),
            (32, 24),
        )
        for name in ("embedding", "embedding_bag")
    ),
]

LOSSES = [
    _loss("cross_entropy_loss", "indices", name="cross_entropy"),
    _loss("cross_entropy_loss", "indices", name="cross_entropy", why="smooth", label_smoothing=0.1),
    _loss("cross_entropy_loss", "shares", name="cross_entropy", why="of shares"),
    _loss("nll_loss", "indices"),
    _row(
        "nll_loss2d",
        lambda x: F.nll_loss(_last(x), jnp.ones((8, 5, 5), int)),
        lambda x: T.nll_loss(x, torch.ones((8, 5, 5), dtype=int)),
        (8, 4, 5, 5),
    ),
    *(
        _loss(name, why=reduction, reduction=reduction)
        for name in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")
        for reduction in ("mean", "none")
    ),
    _loss("binary_cross_entropy_with_logits"),
    _loss("kl_div", "shares", reduction="batchmean"),
    _row(
        "binary_cross_entropy",
        lambda x: F.binary_cross_entropy(0.5 + x / 16, jnp.full_like(x, 0.25)),
        lambda x: T.binary_cross_entropy(0.5 + x / 16, torch.full_like(x, 0.25)),
        (32, 24),
    ),
    *(_loss(name) for name in ("poisson_nll_loss", "soft_margin_loss", "hinge_embedding_loss")),
    _loss("multilabel_soft_margin_loss"),
    _loss("multi_margin_loss", "indices"),
    _row(
        "multilabel_margin_loss",
        lambda x: F.multilabel_margin_loss(x, jnp.zeros((32, 24), int)),
        lambda x: T.multilabel_margin_loss(x, torch.zeros((32, 24), dtype=int)),
        (32, 24),
    ),
    _same("pairwise_distance", (32, 24), (32, 24), low=2),
    _same("triplet_margin_loss", *((32, 24),) * 3, low=3),
    _same("gaussian_nll_loss", (32, 24), (32, 24), low=2, var=0.5),
    *(
        _row(
            f"{name}_loss",
            lambda x, y, n=name, s=shape: getattr(F, f"{n}_loss")(x, y, jnp.ones(s, x.dtype)),
            lambda x, y, n=name, s=shape: getattr(T, f"{n}_loss")(x, y, torch.ones(s).to(x)),
            *((32, 24), (32, 24)),
            low=2,
        )
        for name, shape in (("margin_ranking", (32, 24)), ("cosine_embedding", (32,)))
    ),
    _row(
        "ctc_loss",
        lambda x: F.ctc_loss(x, jnp.ones((4, 2), int), (8,) * 4, (2,) * 4),
        lambda x: T.ctc_loss(x, torch.ones((4, 2), dtype=int), (8,) * 4, (2,) * 4),
        (8, 4, 6),
    ),
]

FUNCTIONS = [
    *(*PRODUCTS, *ACTIVATIONS, *NORMALIZATIONS, *POOLS, *RESHAPING, *LOSSES),
    *autocast_recurrent.FUNCTIONS,
]

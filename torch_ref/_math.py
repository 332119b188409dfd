"""Formulas on tensors that more than one algorithm needs; the mirror of ``jaxaccel._math``."""

import math
import numbers

import torch


def one_minus(beta):
    """Return ``1 - beta``; jaxaccel's also takes one that is held as its distance from 1."""
    return 1 - beta


def is_zero(hyperparameter):
    """Return whether a hyperparameter is the plain number 0, so that its term can be left out."""
    return isinstance(hyperparameter, numbers.Real) and hyperparameter == 0


def compute_dtype(dtype):
    """Return the dtype arithmetic runs in: float32 for half precision, else the dtype itself."""
    return torch.promote_types(dtype, torch.float32) if dtype.is_floating_point else dtype


def lerp(start, end, weight):
    """Return ``start + weight (end - start)``, exact at both ends."""
    return torch.lerp(start, end, weight)


def ema(average, value, beta):
    """Return the exponential moving average ``beta average + (1 - beta) value``."""
    return lerp(average, value, one_minus(beta))


def ema_of_square(average, value, beta):
    """Return ``beta average + (1 - beta) value**2``, in PyTorch's order of operations."""
    return average * beta + one_minus(beta) * value * value


def log_of(beta):
    """Return the logarithm of a decay factor in Python double, -inf for 0."""
    return math.log(beta) if beta > 0 else -math.inf


def bias_correction(beta, step):
    """Return ``1 - beta**step`` in Python double as ``-expm1(step log(beta))``."""
    return -math.expm1(step * log_of(beta))


def newton_schulz(matrix, coefficients, steps, eps, *, dtype=torch.bfloat16):
    """Return the matrix with its singular values moved towards 1 by ``steps`` quintic steps."""
    is_tall = matrix.shape[0] > matrix.shape[1]
    iterate = (matrix.T if is_tall else matrix).to(dtype)
    eps, a, b, c = map(float, (eps, *coefficients))
    norm = torch.linalg.norm(iterate)
    iterate = iterate / torch.clamp(norm, min=eps)
    for _ in range(steps):
        gram = iterate @ iterate.T
        factor = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        iterate = torch.addmm(iterate, factor, iterate, beta=a)
    return (iterate.T if is_tall else iterate).to(matrix.dtype)

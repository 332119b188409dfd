"""The order of ``WeightedRandomSampler``: rows drawn by weight, PyTorch's bits."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np

from jaxaccel._checked import checked_but
from jaxaccel._remedies import is_too_large
from jaxaccel.data._random_sampler import check_a_generator
from jaxaccel.random import Generator


@checked_but("num_samples", "replacement")
def weighted_random_sampler(
    weights: Sequence[float] | Sequence[Sequence[float]] | jax.Array | np.ndarray,
    num_samples: int,
    replacement: bool = True,
    generator: Generator | None = None,
) -> np.ndarray:
    """Draw rows with given weights as PyTorch's ``WeightedRandomSampler`` does.

    One call is one pass over PyTorch's sampler, and the next call is the next epoch.

    Args:
        weights: One weight for each row, shape ``(N,)``, at least 0; they need not sum to 1.
        num_samples: How many rows to draw.
        replacement: Whether a row may come more than once.
        generator: The ``jaxaccel.random.Generator`` that the rows are drawn from. Where PyTorch
            is given none it is the one that stands for PyTorch's global generator.

    Returns:
        Row numbers, int64, shape ``(num_samples,)``.

    Raises:
        ValueError: ``num_samples`` is not a positive integer, ``replacement`` is not a boolean,
            ``weights`` is not one-dimensional, or there is no generator.
        RuntimeError: The weights cannot be drawn from, as ``Generator.multinomial`` says: one is
            negative or not finite, all are 0, or there are too few of them.

    PyTorch:
        ``torch.utils.data.WeightedRandomSampler``: the same rows and the same state of the
        generator afterwards. The default generator, too, must be passed.

    Example:
        >>> import jaxaccel as ja
        >>> generator = ja.random.manual_seed(0)
        >>> ja.data.weighted_random_sampler([3, 1, 0, 4], 6, generator=generator).tolist()
        [3, 3, 1, 3, 3, 3]
    """
    if not isinstance(num_samples, int) or isinstance(num_samples, bool) or num_samples <= 0:
        raise ValueError(
            f"num_samples should be a positive integer value, but got num_samples={num_samples}"
        )
    if is_too_large(num_samples):
        raise ValueError(f"num_samples is too large, got {num_samples!r:.80}")
    if not isinstance(replacement, bool):
        raise ValueError(
            f"replacement should be a boolean value, but got replacement={replacement}"
        )
    weights = np.asarray(weights, np.float64)
    if weights.ndim != 1:
        raise ValueError(
            f"weights should be a 1d sequence but given weights have shape {weights.shape}"
        )
    check_a_generator("weighted_random_sampler", generator)
    assert generator is not None
    return generator.multinomial(weights, num_samples, replacement)

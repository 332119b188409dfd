"""Are two samples of one distribution? Kolmogorov and Smirnov."""

import math

import numpy as np


def two_sample_p_value(one, other):
    """Return the p-value of a two-sample Kolmogorov-Smirnov test (asymptotic)."""
    one, other = np.sort(one), np.sort(other)
    both = np.concatenate([one, other])
    below = [np.searchsorted(sample, both, "right") / len(sample) for sample in (one, other)]
    return ks_probability(np.max(np.abs(below[0] - below[1])), 1 / (1 / len(one) + 1 / len(other)))


def ks_probability(distance, n):
    """Return the probability that a Kolmogorov-Smirnov distance of n numbers is larger."""
    scaled = (math.sqrt(n) + 0.12 + 0.11 / math.sqrt(n)) * distance
    if scaled < 0.2:
        return 1.0  # the series below takes more and more terms to say so
    terms = [(-1) ** (k - 1) * math.exp(-2 * k * k * scaled * scaled) for k in range(1, 101)]
    return min(1.0, 2 * sum(terms))

"""The gain of a nonlinearity."""

from __future__ import annotations

import math
import numbers

from jaxaccel._checked import checked_but

_LINEAR = frozenset(
    {
        "linear",
        "conv1d",
        "conv2d",
        "conv3d",
        "conv_transpose1d",
        "conv_transpose2d",
        "conv_transpose3d",
        "sigmoid",
    }
)


@checked_but("param")
def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    r"""Return the factor by which a nonlinearity asks for larger initial weights.

    .. math::
        \text{linear, conv, sigmoid}: 1 \qquad \tanh: \tfrac{5}{3} \qquad
        \text{relu}: \sqrt{2} \qquad
        \text{leaky\_relu}: \sqrt{2 / (1 + \text{param}^2)} \qquad \text{selu}: \tfrac{3}{4}

    Args:
        nonlinearity: ``"linear"``, ``"conv1d"`` to ``"conv3d"``, ``"conv_transpose1d"`` to
            ``"conv_transpose3d"``, ``"sigmoid"``, ``"tanh"``, ``"relu"``, ``"leaky_relu"`` or
            ``"selu"``.
        param: The negative slope of ``"leaky_relu"``; None means 0.01.

    Returns:
        The gain, a Python number.

    Raises:
        ValueError: ``nonlinearity`` has no gain in PyTorch's table, or ``param`` is not a number.

    PyTorch:
        ``torch.nn.init.calculate_gain``: the same.

    Example:
        >>> import jaxaccel as ja
        >>> round(ja.init.calculate_gain("leaky_relu", 0.2), 4)
        1.3868

    References:
        He, Zhang, Ren, Sun. Delving Deep into Rectifiers: Surpassing Human-Level Performance on
        ImageNet Classification. 2015. https://arxiv.org/abs/1502.01852
    """
    if nonlinearity in _LINEAR:
        return 1
    if nonlinearity == "tanh":
        return 5.0 / 3
    if nonlinearity == "relu":
        return math.sqrt(2.0)
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        # True is an int, but no slope.
        if isinstance(slope, bool) or not isinstance(slope, numbers.Real):
            raise ValueError(f"negative_slope {param} not a valid number")
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity == "selu":
        return 3.0 / 4
    raise ValueError(f"Unsupported nonlinearity {nonlinearity}")

"""The input times a smooth step."""

from __future__ import annotations

import jax

from jaxaccel.functional._wide import in_wide


def gelu(input: jax.Array, approximate: str = "none") -> jax.Array:
    r"""Multiply by the standard normal distribution function.

    .. math::
        y = x \Phi(x), \qquad \text{or} \qquad
        y = \tfrac{x}{2} \left(1 + \tanh\left(\sqrt{2 / \pi}\, (x + 0.044715 x^3)\right)\right)

    Args:
        input: Floating point, of any shape.
        approximate: ``"none"``, or ``"tanh"`` for the second formula (the default of
            ``jax.nn.gelu``), which is off by up to 5e-4.

    Returns:
        Shape and dtype of the input.

    Raises:
        ValueError: another ``approximate``.
        TypeError: ``input`` is not floating point.

    PyTorch:
        ``torch.nn.functional.gelu``: the same; the tail at large negative inputs keeps its digits
        here. PyTorch raises ``RuntimeError``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> round(float(ja.functional.gelu(jnp.array(1.0))), 4)
        0.8413

    References:
        Hendrycks, Gimpel. Gaussian Error Linear Units (GELUs). 2016.
        https://arxiv.org/abs/1606.08415
    """
    if approximate not in ("none", "tanh"):
        raise ValueError("approximate argument must be either none or tanh.")
    return in_wide(lambda x: jax.nn.gelu(x, approximate=approximate == "tanh"), input)


def silu(input: jax.Array) -> jax.Array:
    r"""Multiply by the sigmoid (also known as swish).

    .. math::
        y = x \sigma(x)

    Args:
        input: Floating point, of any shape.

    Returns:
        Shape and dtype of the input.

    Raises:
        TypeError: ``input`` is not floating point.

    PyTorch:
        ``torch.nn.functional.silu``: the same. Left out: ``inplace``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> round(float(ja.functional.silu(jnp.array(1.0))), 4)
        0.7311
    """
    return in_wide(jax.nn.silu, input)


def mish(input: jax.Array) -> jax.Array:
    r"""Multiply by the hyperbolic tangent of the softplus.

    .. math::
        y = x \tanh(\log(1 + e^x))

    Args:
        input: Floating point, of any shape.

    Returns:
        Shape and dtype of the input.

    Raises:
        TypeError: ``input`` is not floating point.

    PyTorch:
        ``torch.nn.functional.mish``: the same. Left out: ``inplace``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> round(float(ja.functional.mish(jnp.array(1.0))), 4)
        0.8651

    References:
        Misra. Mish: A Self Regularized Non-Monotonic Activation Function. 2019.
        https://arxiv.org/abs/1908.08681
    """
    return in_wide(jax.nn.mish, input)

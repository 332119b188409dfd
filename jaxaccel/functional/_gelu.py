"""The input times the normal distribution function."""

from __future__ import annotations

import jax

from jaxaccel._checked import checked
from jaxaccel._operations import operation
from jaxaccel.functional._wide import in_wide


@checked
@operation("gelu")
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

"""A mixed-precision policy: the dtypes of storage, of computation and of results."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxaccel._tree import cast_floating


class Policy(NamedTuple):
    """Keep parameters in one dtype, compute in another, return results in a third.

    The default is the usual bfloat16 recipe: float32 parameters, optimizer state and running
    statistics, bfloat16 activations, float32 losses. Real floating-point leaves are cast; integers,
    keys and complex numbers pass. :func:`cast` applies it to parameters and inputs of a model,
    never to running statistics; normalization layers compute in float32 whatever comes in.

    The layers sum the gradients of their parameters over rows in float32. A model's own addition or
    product with a parameter, ``x + bias``, is JAX's, which sums in ``compute_dtype``: 1,000 rows in
    bfloat16 stand still at 256. There broadcast first and convert then:
    ``x + jnp.broadcast_to(bias.astype(jnp.float32), x.shape).astype(x.dtype)``.

    Args:
        param_dtype: The dtype that parameters are kept in.
        compute_dtype: The dtype that parameters and inputs are cast to before the model runs.
        output_dtype: The dtype that results are cast to before the loss.
        cast_forward_inputs: Cast the inputs too, and not the parameters alone.

    Returns:
        An immutable tuple of three dtypes and a switch, with three casts.

    Raises:
        TypeError: A cast is asked for with something that is not a dtype.

    PyTorch:
        ``torch.autocast("cpu" | "cuda", dtype=torch.bfloat16)`` chooses a dtype per operation; a
        policy chooses one for the whole model. Matrix products and convolutions run in the same
        dtype either way; the weights of normalization layers, which autocast leaves in float32,
        are rounded with the others here. :func:`mixed_precision_policy` makes one in the words of
        FSDP.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> policy = ja.precision.Policy()
        >>> params = {"w": jnp.ones(2), "steps": jnp.zeros((), jnp.int32)}
        >>> print(policy.cast_to_compute(params)["w"].dtype)
        bfloat16

    References:
        Micikevicius et al. Mixed Precision Training. 2018. https://arxiv.org/abs/1710.03740

        Kalamkar et al. A Study of BFLOAT16 for Deep Learning Training. 2019.
        https://arxiv.org/abs/1905.12322
    """

    param_dtype: Any = jnp.float32
    compute_dtype: Any = jnp.bfloat16
    output_dtype: Any = jnp.float32
    cast_forward_inputs: bool = True

    def cast_to_param(self, tree: Any) -> Any:
        """Return the tree with floating-point leaves in ``param_dtype``."""
        return cast_floating(tree, self.param_dtype)

    def cast_to_compute(self, tree: Any) -> Any:
        """Return the tree with floating-point leaves in ``compute_dtype``."""
        return cast_floating(tree, self.compute_dtype)

    def cast_to_output(self, tree: Any) -> Any:
        """Return the tree with floating-point leaves in ``output_dtype``."""
        return cast_floating(tree, self.output_dtype)

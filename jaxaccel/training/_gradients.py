"""From a loss function to a gradient function."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxaccel._math import compute_dtype
from jaxaccel._types import GradientFunction, Gradients, LossFunction, Params

OWN_METRICS = ("loss", "grad_norm", "lr", "found_inf", "loss_scale")
"""Names that the step writes, and everything below ``lr/``."""


def gradients(loss_fn: LossFunction) -> GradientFunction:
    r"""Return the gradient function of a loss function.

    .. math:: g = \overline{\nabla_\theta\,(s\,\ell(\theta, B))}

    where :math:`s` is ``loss_scale``, 1 unless a wrapper weighs parts and devices or a scaler keeps
    float16 from underflow. The bar conjugates gradients of complex parameters.

    Args:
        loss_fn: ``(params, model_state, batch) -> (loss, (model_state, metrics))``. The loss and
            the metrics, a dict of real floating-point scalars, are means over the batch. Where the
            gradient function is given a ``key``, the loss function is given it as ``key=``.

    Returns:
        ``gradient_fn(params, model_state, batch, *, loss_scale=None, key=None) -> Gradients``, to
        be wrapped (:func:`accumulate`, ``parallel.data_parallel``) and handed to
        :func:`train_step`. It can be called as it is.

    Raises:
        TypeError: When called: ``loss_fn`` returns another form, the loss is not one real
            floating-point number, a metric has axes, or it is an integer, of which nobody can say
            whether parts and devices shall add or average it.
        ValueError: When called: a metric has a name of the step's own (``loss``, ``grad_norm``,
            ``lr``, ``lr/...``, ``found_inf``, ``loss_scale``).

    PyTorch:
        ``loss.backward()``, out of place: what it leaves in ``.grad``, also for complex parameters,
        whose gradients JAX itself returns conjugated.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> def loss_fn(params, model_state, batch):
        ...     return jnp.mean(params * batch), (model_state, {})
        >>> grads, _, metrics = ja.training.gradients(loss_fn)(2.0, (), jnp.arange(4.0))
        >>> print(grads, metrics["loss"])
        1.5 3.0
    """

    def gradient_fn(
        params: Params, model_state: Any, batch: Any, *, loss_scale: Any = None, key: Any = None
    ) -> Gradients:
        given = {} if key is None else {"key": key}

        def objective(params: Params) -> Any:
            loss, model_state_, metrics = _unpacked(loss_fn(params, model_state, batch, **given))
            scaled = loss if loss_scale is None else loss * jnp.asarray(loss_scale, loss.dtype)
            return scaled, Gradients(None, model_state_, {"loss": loss, **metrics})

        grads, found = jax.grad(objective, has_aux=True)(params)
        return found._replace(grads=jax.tree.map(jnp.conj, grads))

    return gradient_fn


def _unpacked(returned: Any) -> tuple[jax.Array, Any, dict[str, Any]]:
    """Return loss, state and metrics, checked; the loss in at least float32."""
    try:
        loss, (model_state, metrics) = returned
        named = dict(metrics)
    except (TypeError, ValueError) as error:
        raise TypeError(
            "a loss function must return (loss, (model_state, metrics)), metrics a dict, which may "
            f"be empty; got {jax.tree.map(jnp.shape, returned)}"
        ) from error
    loss = jnp.asarray(loss)
    if loss.shape != () or not jnp.issubdtype(loss.dtype, jnp.floating):
        raise TypeError(
            f"the loss must be one real floating-point number, got {loss.dtype} of shape "
            f"{loss.shape}; take its mean over the batch"
        )
    for name, metric in named.items():
        if name in OWN_METRICS or name.startswith("lr/"):
            raise ValueError(
                f"the loss function returns a metric {name!r}, which is the step's own; name it "
                f"otherwise (the step's own are {', '.join(OWN_METRICS)})"
            )
        if not jnp.issubdtype(jnp.result_type(metric), jnp.floating):
            raise TypeError(
                f"metric {name!r} must be a floating-point mean over the batch, got dtype "
                f"{jnp.result_type(metric)}; parts and devices cannot know whether to add up or to "
                "average it: return a mean, as .astype(float)"
            )
        if jnp.shape(metric):
            raise TypeError(
                f"metric {name!r} must be one number, got shape {jnp.shape(metric)}; return its "
                "mean over the batch, or each number under a name of its own"
            )
    return loss.astype(compute_dtype(loss.dtype)), model_state, named

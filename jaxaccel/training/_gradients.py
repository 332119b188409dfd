"""From a loss function to a gradient function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxaccel._arrays import is_array
from jaxaccel._check_trees import check_arrays, check_loss_scale, check_parameters
from jaxaccel._checked import checked_but
from jaxaccel._donated import check_not_donated
from jaxaccel._functions import check_key, check_loss_function
from jaxaccel._math import compute_dtype
from jaxaccel._packed import unpacked
from jaxaccel._returned import check_model_state
from jaxaccel._selectors import path_test, paths_in_words, selected
from jaxaccel._tree import is_none
from jaxaccel._types import GradientFunction, Gradients, LossFunction, Params
from jaxaccel._untraceable import loss_functions_are_traced

OWN_METRICS = ("loss", "grad_norm", "lr", "loss_scale", "skipped")
"""Names that the step writes, and everything below ``lr/``."""


@checked_but("loss_fn")
def gradients(loss_fn: LossFunction, trainable: Any = None) -> GradientFunction:
    r"""Return the gradient function of a loss function.

    .. math:: g = \overline{\nabla_\theta\,(s\,\ell(\theta, B))}

    where :math:`s` is ``loss_scale``, 1 unless a wrapper weighs parts and devices or a scaler keeps
    float16 from underflow. The bar conjugates gradients of complex parameters.

    Args:
        loss_fn: ``(params, model_state, batch) -> (loss, (model_state, metrics))``. The loss and
            the metrics, a dict of real floating-point scalars, are means over the batch. Where the
            gradient function is given a ``key``, the loss function is given it as ``key=``.
        trainable: Which parameters get a gradient: a regular expression that is searched for in
            the path, a function ``(path, leaf) -> bool`` or a mask, as in
            ``optimizers.param_groups``. The others' gradients are ``None``: nothing is computed for
            them, they are in no norm, and an optimizer leaves them and their state as they are.
            Whoever thaws them later wraps it in ``optimizers.count_per_parameter``. Default: all.

    Returns:
        ``gradient_fn(params, model_state, batch, *, loss_scale=None, key=None) -> Gradients``, to
        be wrapped (:func:`accumulate`, ``parallel.data_parallel``) and handed to
        :func:`train_step`. It can be called as it is.

    Raises:
        TypeError: ``loss_fn`` is a model or a gradient function. When called: ``loss_fn`` returns
            another form, or a model state of another structure, shape or dtype than it was given;
            the loss is not one real floating-point number, a metric has axes, or it is an integer,
            of which nobody can say whether parts and devices shall add or average it; there is a
            key and ``loss_fn`` takes none, or the reverse; a parameter is an integer.
        ValueError: ``trainable`` is not a regular expression. When called: it matches no
            parameter, or a second name alone of one that layers share; a metric has a name of the
            step's own (``loss``, ``grad_norm``, ``lr``, ``lr/...``, ``loss_scale``, ``skipped``).

    PyTorch:
        ``loss.backward()``, out of place: what it leaves in ``.grad``, also for complex parameters,
        whose gradients JAX itself returns conjugated. What is not ``trainable`` has
        ``requires_grad=False`` and a ``.grad`` that is ``None``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> def loss_fn(params, model_state, batch):
        ...     return jnp.mean(params * batch), (model_state, {})
        >>> grads, _, metrics = ja.training.gradients(loss_fn)(2.0, (), jnp.arange(4.0))
        >>> print(grads, metrics["loss"])
        1.5 3.0
    """
    check_loss_function("gradients", loss_fn)
    if trainable is not None:
        path_test("trainable", trainable)

    def gradient_fn(
        params: Params, model_state: Any, batch: Any, *, loss_scale: Any = None, key: Any = None
    ) -> Gradients:
        check_key(loss_fn, key)
        check_loss_scale(loss_scale)
        given = {} if key is None else {"key": key}
        check_not_donated(params=params, model_state=model_state, batch=batch)
        chosen, with_chosen = _moving(trainable, params)
        check_parameters(chosen)

        def objective(chosen: Any) -> Any:
            moved = unpacked(with_chosen(chosen, True))
            with loss_functions_are_traced():
                returned = loss_fn(moved, model_state, batch, **given)
            loss, model_state_, metrics = _unpacked(returned, model_state)
            scaled = loss if loss_scale is None else loss * jnp.asarray(loss_scale, loss.dtype)
            return scaled, Gradients(None, model_state_, {"loss": loss, **metrics})

        grads, found = jax.grad(objective, has_aux=True)(chosen)
        return found._replace(grads=with_chosen(jax.tree.map(jnp.conj, grads), False))

    return gradient_fn


def _moving(trainable: Any, params: Params) -> tuple[Any, Callable[[Any, bool], Params]]:
    """Return what gets a gradient, and the way back: with the others, or ``None`` for them."""
    if trainable is None:
        return params, lambda chosen, _: chosen
    leaves, treedef = jax.tree.flatten(params, is_leaf=is_none)
    is_chosen = selected("trainable", trainable, params)
    if not any(is_chosen):
        raise ValueError(f"trainable={trainable!r} matches no parameter; {paths_in_words(params)}")

    def with_chosen(chosen: dict[str, Any], keep: bool) -> Params:
        return treedef.unflatten(
            chosen[str(index)] if moves else (leaf if keep else None)
            for index, (leaf, moves) in enumerate(zip(leaves, is_chosen, strict=True))
        )

    rows = enumerate(zip(leaves, is_chosen, strict=True))
    return {str(index): leaf for index, (leaf, moves) in rows if moves}, with_chosen


def _unpacked(returned: Any, given_state: Any) -> tuple[jax.Array, Any, dict[str, Any]]:
    """Return loss, state and metrics, checked; the loss in at least float32."""
    try:
        loss, (model_state, metrics) = returned
        named = dict(metrics)
    except (TypeError, ValueError) as error:
        raise TypeError(
            "a loss function must return (loss, (model_state, metrics)), metrics a dict, which may "
            f"be empty; got {jax.tree.map(jnp.shape, returned)}"
        ) from error
    check_model_state("the loss function", model_state, given_state)
    check_arrays("loss", loss)
    loss = jnp.asarray(loss)
    if loss.shape != () or not jnp.issubdtype(loss.dtype, jnp.floating):
        raise TypeError(
            f"the loss must be one real floating-point number, got {loss.dtype} of shape "
            f"{loss.shape}; take its mean over the batch"
        )
    _check_metrics(named)
    return loss.astype(compute_dtype(loss.dtype)), model_state, named


def _check_metrics(metrics: dict[str, Any]) -> None:
    """Raise for a metric that is not one mean over the batch, or has a name of the step's own."""
    for name, metric in metrics.items():
        if not isinstance(name, str):
            raise TypeError(
                f"the names of metrics must be texts, got {name!r}; return {{str({name!r}): ...}}"
            )
        if name in OWN_METRICS or name.startswith("lr/"):
            raise ValueError(
                f"the loss function returns a metric {name!r}, which is the step's own; name it "
                f"otherwise (the step's own are {', '.join(OWN_METRICS)})"
            )
        check_arrays(f"metric {name!r}", metric)
        if not is_array(metric):
            raise TypeError(
                f"metric {name!r} must be one number, got {metric!r:.60}; return its mean over the "
                "batch, or each number under a name of its own"
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

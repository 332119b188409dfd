"""A step that leaves out a batch whose loss or gradients are not finite."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxaccel._checked import checked_but
from jaxaccel._functions import check_function
from jaxaccel.training._train_state import TrainState
from jaxaccel.training._wrapped_step import wrapped_step

JUDGED = ("loss", "grad_norm")


@checked_but("step")
def skip_nonfinite(step: Callable[..., Any], *, donate: bool = True) -> Callable[..., Any]:
    """Wrap a step: where its loss or gradients are not finite, the state stays as it was.

    It is decided on the device, and nothing waits for it. Only the count of steps goes on (so that
    the next one has another key), and with a scaler its state, which is what brings an overflow to
    an end; all else keeps its bits. Steps that are taken are the wrapped step's, up to the last bit
    (another program joins other products and sums).

    Args:
        step: A step that can be compiled, as :func:`train_step` returns it, or one in wrappers.
            ``"loss"`` and ``"grad_norm"`` of its metrics are looked at.
        donate: Give the state's memory to the step.

    Returns:
        A step. Its metrics also have ``"skipped"``, 1 or 0; :func:`fit` leaves what is not finite
        of a skipped step out of the epoch's means.

    Raises:
        TypeError: ``step`` is not a function ``(state, batch)``.
        ValueError: When called: the metrics have neither of the two; the state was donated.

    PyTorch:
        ``if not torch.isfinite(loss): optimizer.zero_grad(); continue``, without the wait for the
        device. There the running statistics of BatchNorm have seen the batch already and are NaN
        from then on; here they stay as they were. ``GradScaler`` skips such steps too, but keeps
        the new statistics. DeepSpeed and Megatron skip as it does.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> tx = ja.optimizers.sgd(lr=0.1)
        >>> loss_fn = lambda params, model_state, batch: (params * batch, (model_state, {}))
        >>> step = ja.training.train_step(ja.training.gradients(loss_fn), tx)
        >>> step = ja.training.skip_nonfinite(step)
        >>> state = ja.training.train_state(jnp.ones(()), tx)
        >>> for batch in (1.0, jnp.nan):
        ...     state, metrics = step(state, batch)
        ...     print(state.params, metrics["skipped"], state.step)
        0.9 0.0 1
        0.9 1.0 2
    """
    check_function("skip_nonfinite", "step", step, "(state, batch) -> (state, metrics)", 2)

    def run(state: Any, batch: Any, extra: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        new, metrics = step(state, batch, **extra)
        judged = [metrics[name] for name in JUDGED if name in metrics]
        if not judged:
            raise ValueError(
                f"the metrics of a step to be skipped must have 'loss' or 'grad_norm', got "
                f"{sorted(metrics)}"
            )
        is_bad = ~jnp.all(jnp.stack([jnp.all(jnp.isfinite(each)) for each in judged]))
        skipped = jnp.maximum(metrics.get("skipped", 0.0), is_bad.astype(jnp.float32))
        return _chosen(is_bad, state, new), {**metrics, "skipped": skipped}

    return wrapped_step(run, step, donate)


def _chosen(is_bad: jax.Array, old: Any, new: Any) -> Any:
    """Return the old state but for what goes on, where the step was bad."""

    def chosen(before: Any, after: Any) -> Any:
        if not isinstance(before, TrainState):
            return jnp.where(is_bad, before, after)
        stays = before._replace(step=after.step, scaler=after.scaler)
        return jax.tree.map(lambda a, b: jnp.where(is_bad, a, b), stays, after)

    return jax.tree.map(chosen, old, new, is_leaf=lambda node: isinstance(node, TrainState))

"""The range test of learning rates."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import jax
import numpy as np

from jaxaccel._checked import checked_but
from jaxaccel._epoch_batches import check_batches, no_batch, taken_up
from jaxaccel._filled import copied
from jaxaccel._functions import check_function
from jaxaccel._returned import state_and_metrics
from jaxaccel.optimizers import get_hyperparams, set_hyperparams
from jaxaccel.tuning._lr_found import LRFind
from jaxaccel.tuning._progress import shown
from jaxaccel.tuning._suggestions import suggestions

StateT = TypeVar("StateT")


@checked_but("step", "batches")
def lr_find(
    step: Callable[[StateT, Any], tuple[StateT, dict[str, jax.Array]]],
    state: StateT,
    batches: Callable[..., Iterable[Any]],
    *,
    min_lr: float = 1e-8,
    max_lr: float = 1.0,
    num_training: int = 100,
    early_stop_threshold: float | None = 4.0,
    smoothing: float = 0.98,
    metric: str = "loss",
    group: int | str | None = None,
    progress: bool = True,
) -> LRFind:
    r"""Train for some steps while the learning rate rises, and see where the loss falls.

    .. math::
        \eta_i = \eta_{\min} \left(\frac{\eta_{\max}}{\eta_{\min}}\right)^{i / (n-1)}, \qquad
        s_i = \frac{(1 - \beta) \sum_{j \le i} \beta^{i - j} l_j}{1 - \beta^{i + 1}}

    with n ``num_training`` and :math:`\beta` ``smoothing``. It ends where the smoothed loss s is
    more than ``early_stop_threshold`` times its least value, or a loss is not finite. A suggestion
    is a place on a noisy curve: look at the figure.

    Args:
        step: ``(state, batch) -> (state, metrics)``, as ``training.train_step`` returns it.
        state: A state whose optimizer holds its learning rate: ``optimizers.param_groups``, or
            ``optax.inject_hyperparams``, with a number and not a schedule. The steps run on a copy.
        batches: ``epoch -> iterable of batches``, as of ``training.fit``; epochs follow each other
            until there were enough batches. What it draws from, such as a generator, moves on.
        min_lr: The first learning rate, more than 0.
        max_lr: The last one.
        num_training: The number of steps, at least 2.
        early_stop_threshold: How many times the least loss is too much; ``None``: go on to the end,
            unless a loss is not finite. A loss that may be negative counts by its distance from the
            least.
        smoothing: The decay of the moving average, from 0 to less than 1.
        metric: Which of the step's metrics is looked at.
        group: The group of parameters whose learning rate rises, as of
            ``optimizers.set_hyperparams``; default: those of all.
        progress: Show how far it is.

    Returns:
        :class:`LRFind`: suggestions, the rates and their losses, ``figure()`` and ``to_json()``.

    Raises:
        ValueError: The state holds no learning rate, or a schedule drives it; a rate, a count or
            ``smoothing`` is out of its range; an epoch had no batch; or the step's metrics have no
            ``metric``.
        TypeError: ``step`` or ``batches`` is not a function of that form, or returns another one.

    PyTorch:
        PyTorch has none. The arguments are those of Lightning's ``Tuner.lr_find``, whose rates skip
        the second of these and whose state is saved to a file and loaded again;
        ``suggestion()`` there is ``steepest``. fastai's ``learn.lr_find`` is
        ``min_lr=1e-7, max_lr=10``, and its suggestion ``valley`` is ``suggestion``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> def loss_fn(w, model_state, batch):
        ...     return jnp.mean((batch * w - batch) ** 2), (model_state, {})
        >>> tx = ja.optimizers.param_groups(ja.optimizers.sgd, [], lr=1e-3)
        >>> step = ja.training.train_step(ja.training.gradients(loss_fn), tx)
        >>> state = ja.training.train_state(jnp.zeros(()), tx)
        >>> found = ja.tuning.lr_find(
        ...     step, state, lambda epoch: [jnp.ones(4)], min_lr=1e-4, max_lr=10, progress=False
        ... )
        >>> print(f"{found.suggestion:.2g} {found.steepest:.2g}")
        0.038 0.076

    References:
        Smith. Cyclical Learning Rates for Training Neural Networks. 2017.
        https://arxiv.org/abs/1506.01186
    """
    check_function("lr_find", "step", step, "(state, batch) -> (state, metrics)", 2)
    check_batches("lr_find", batches)
    _check(min_lr, max_lr, num_training, early_stop_threshold, smoothing)
    name = _rate_name(state, group)
    rates = min_lr * (max_lr / min_lr) ** (np.arange(num_training) / (num_training - 1))
    threshold = math.inf if early_stop_threshold is None else early_stop_threshold
    state = jax.tree.map(copied, state)
    losses: list[float] = []
    smoothed: list[float] = []
    average, stopped = 0.0, None
    with shown("lr_find", num_training, "steps", progress) as show:
        for lr, batch in zip(rates, _endless(batches), strict=False):
            found = step(set_hyperparams(state, group, **{name: float(lr)}), batch)
            state, loss = _state_and_loss(found, metric)
            losses.append(loss)
            average = smoothing * average + (1 - smoothing) * loss
            smoothed.append(average / (1 - smoothing ** len(losses)))
            show(len(losses), f"lr {lr:.3g}  {metric} {loss:.4g}")
            stopped = _stopped(loss, smoothed, threshold, metric)
            if stopped is not None:
                break
    used, curve = rates[: len(losses)], np.array(smoothed)
    finite = np.isfinite(curve)
    read = suggestions(used[finite], curve[finite], num_training)
    return LRFind(*read, stopped, used, np.array(losses), curve)


def _check(
    min_lr: float, max_lr: float, count: int, threshold: float | None, smoothing: float
) -> None:
    """Raise for a number that is out of its range."""
    if not 0 < min_lr < math.inf:
        raise ValueError(f"min_lr must be more than 0, got {min_lr}")
    if not min_lr < max_lr < math.inf:
        raise ValueError(f"max_lr must be more than min_lr={min_lr}, got {max_lr}")
    if count < 2:
        raise ValueError(f"num_training must be at least 2, got {count}")
    if threshold is not None and not threshold > 1:
        raise ValueError(f"early_stop_threshold must be more than 1, or None, got {threshold}")
    if not 0 <= smoothing < 1:
        raise ValueError(f"smoothing must be at least 0 and less than 1, got {smoothing}")


def _rate_name(state: Any, group: int | str | None) -> str:
    """Return how the state calls its learning rate; raise where it holds none."""
    held = get_hyperparams(state)
    name = next((n for n in ("lr", "learning_rate") if any(n in each for each in held)), None)
    if name is None:
        raise ValueError(
            f"state must hold a learning rate, got the hyperparameters {[*held[0]]}; put it into "
            "the state with optimizers.param_groups"
        )
    set_hyperparams(state, group, **{name: 1.0})  # raises where a schedule drives it
    return name


def _endless(batches: Callable[..., Iterable[Any]]) -> Iterator[Any]:
    """Yield the batches of epochs that follow each other."""
    for epoch in itertools.count():
        count, (found, _) = 0, taken_up(batches, epoch)
        for count, batch in enumerate(found, 1):  # noqa: B007
            yield batch
        if not count:
            raise ValueError(no_batch(epoch))


def _state_and_loss(found: Any, name: str) -> tuple[Any, float]:
    """Return what a step has returned, of its metrics the one looked at; waits for the step."""
    state, metrics = state_and_metrics(found)
    if name not in metrics:
        raise ValueError(f"metric must be one of the step's: {', '.join(metrics)}; got {name!r}")
    return state, float(metrics[name])


def _stopped(loss: float, smoothed: list[float], threshold: float, metric: str) -> str | None:
    """Return why it is to end after this step, if it is."""
    if not math.isfinite(loss):
        return f"the {metric} of step {len(smoothed)} is {loss}"
    least = min(smoothed)
    if smoothed[-1] > least + (threshold - 1) * abs(least):  # threshold * least, of a positive one
        return f"{metric} {smoothed[-1]:.3g} at step {len(smoothed)}, after {least:.3g}"
    return None

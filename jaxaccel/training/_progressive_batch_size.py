"""Batches that grow with the epochs, and the learning rate with them."""

from __future__ import annotations

import operator
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxaccel._checked import checked
from jaxaccel._types import Count, Scalar, Schedule
from jaxaccel.schedules import lambda_lr, scale_lr


class BatchSizes(NamedTuple):
    """The batch size of every epoch: what :func:`progressive_batch_size` returns."""

    sizes: tuple[int, ...]
    """In their order; a step is compiled once for each."""
    every: int
    """The epochs that each is for; the last one is for all that follow."""
    initial: int
    """The batch size that a learning rate is known for."""

    def at(self, epoch: Count) -> int:
        """Return the batch size of an epoch, counted from 0, whatever came before.

        Args:
            epoch: At least 0.

        Returns:
            The number of rows.

        Raises:
            ValueError: ``epoch`` is negative.
        """
        if (number := operator.index(epoch)) < 0:
            raise ValueError(f"epoch must be at least 0, got {epoch}")
        return self.sizes[min(number // self.every, len(self.sizes) - 1)]

    def lr(
        self,
        base_lr: Scalar,
        rows: Count,
        *,
        rule: Literal["linear", "sqrt"] = "linear",
        drop_last: bool = True,
    ) -> Schedule:
        """Return the learning rate that grows with the batch, as ``schedules.scale_lr`` has it.

        A rate that is to move otherwise, too, is multiplied by ``lr(1.0, rows)``.

        Args:
            base_lr: The learning rate for batches of ``initial`` rows.
            rows: The rows of an epoch, of which the steps are counted.
            rule: As of ``schedules.scale_lr``: ``"linear"``, or ``"sqrt"`` for Adam and its kin.
            drop_last: Whether an epoch drops a last, smaller batch; False: it is a step, too.

        Returns:
            A schedule ``step -> learning rate`` for an optimizer.

        Raises:
            ValueError: The largest batch has more rows than an epoch; or ``base_lr`` or ``rule`` is
                refused by ``schedules.scale_lr``.
        """
        count = operator.index(rows)
        if count < max(self.sizes):
            raise ValueError(f"rows must be at least the batch of {max(self.sizes)}, got {rows}")
        steps = [count // size if drop_last else -(-count // size) for size in self.sizes]
        starts = np.cumsum([self.every * each for each in steps[:-1]])
        ratios = np.array([scale_lr(1.0, self.initial, size, rule) for size in self.sizes])

        def ratio(step: Any) -> Any:
            if isinstance(step, int):
                return float(ratios[np.searchsorted(starts, step, side="right")])
            reachable = starts[starts <= jnp.iinfo(step.dtype).max]
            passed = jnp.searchsorted(jnp.asarray(reachable, step.dtype), step, side="right")
            return jnp.asarray(ratios)[passed]

        return lambda_lr(base_lr, ratio)


@checked
def progressive_batch_size(
    initial: Count,
    maximum: Count,
    growth_factor: float = 1.5,
    every: Count = 10,
    *,
    grow_at_start: bool = False,
    multiple_of: Count = 1,
) -> BatchSizes:
    r"""Let the batch grow every few epochs, up to a maximum.

    .. math:: B_{i+1} = \min(\lfloor B_i\, g \rfloor, B_{\max})

    where g is ``growth_factor``. A larger batch has less noise, as a smaller learning rate has; to
    grow the batch in place of a decay, leave the rate as it is, and to grow it for speed, scale it
    along (:meth:`BatchSizes.lr`). There are few sizes, and a step is compiled once for each; drop
    the last batch of an epoch, which is smaller and would be one more.

    Args:
        initial: The first batch size, for which the learning rate is known.
        maximum: The largest, at least ``initial``.
        growth_factor: What a batch is multiplied by, more than 1; the product is rounded down.
        every: The number of epochs after which it grows.
        grow_at_start: Let epoch 0 have ``initial`` times ``growth_factor`` already.
        multiple_of: Round every size down to a multiple of this, the number of devices.

    Returns:
        :class:`BatchSizes`: ``at(epoch)``, for ``batches`` of :func:`fit`, and ``lr(base_lr,
        rows)``, a schedule for the optimizer. Both depend on the epoch and the step alone, so that
        a run that is resumed goes on with its own.

    Raises:
        ValueError: A size is below 1 or not a multiple of ``multiple_of``, ``maximum`` is less than
            ``initial``, or a growth leaves a batch as it is, because the product is rounded.
        TypeError: An argument is not a number.

    PyTorch:
        PyTorch has none. The class that recipes write grows whenever ``epoch % every == 0``, at
        epoch 0 already, which is ``grow_at_start=True``, and forgets its size when a run is
        resumed.

    Example:
        >>> import jax.numpy as jnp
        >>> import numpy as np
        >>> import jaxaccel as ja
        >>> sizes = ja.training.progressive_batch_size(4, 10, every=2)
        >>> print(sizes.sizes, [sizes.at(epoch) for epoch in range(6)])
        (4, 6, 9, 10) [4, 4, 6, 6, 9, 9]
        >>> x = np.ones((20, 1), np.float32)
        >>> def batches(epoch):
        ...     return ja.data.batches(x, x, sizes.at(epoch), drop_last=True)
        >>> def loss_fn(w, model_state, batch):
        ...     return jnp.mean((batch[0] * w - batch[1]) ** 2), (model_state, {})
        >>> lr = sizes.lr(0.02, rows=len(x))
        >>> tx = ja.optimizers.param_groups(ja.optimizers.sgd, [], lr=lr)
        >>> step = ja.training.train_step(ja.training.gradients(loss_fn), tx)
        >>> state = ja.training.train_state(jnp.zeros(()), tx)
        >>> state, history = ja.training.fit(step, state, batches, epochs=4, progress=False)
        >>> print(history.steps["lr"][[0, 9, 10, 15]].round(3))  # epochs of 5, 5, 3 and 3 steps
        [0.02 0.02 0.03 0.03]

    References:
        Smith, Kindermans, Ying, Le. Don't Decay the Learning Rate, Increase the Batch Size. 2018.
        https://arxiv.org/abs/1711.00489
    """
    first, last, unit, epochs = map(operator.index, (initial, maximum, multiple_of, every))
    for name, value in (("initial", first), ("multiple_of", unit), ("every", epochs)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    if last < first:
        raise ValueError(f"maximum must be at least initial={first}, got {last}")
    for name, value in (("initial", first), ("maximum", last)):
        if value % unit:
            raise ValueError(f"{name} must be a multiple of multiple_of={unit}, got {value}")
    if not growth_factor > 1:
        raise ValueError(f"growth_factor must be more than 1, got {growth_factor}")
    sizes = [first]
    while sizes[-1] < last:
        grown = min(sizes[-1] * growth_factor, last)  # which may be infinite, and has no int then
        sizes.append(int(grown) // unit * unit)
        if sizes[-1] <= sizes[-2]:
            raise ValueError(
                f"growth_factor must make every batch larger, got {growth_factor}, which leaves "
                f"{sizes[-2]} rows as they are when it is rounded down to {sizes[-1]}"
            )
    skipped = int(grow_at_start and len(sizes) > 1)
    return BatchSizes(tuple(sizes[skipped:]), epochs, first)

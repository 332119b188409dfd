"""A learning rate that stays."""

from __future__ import annotations

from jaxaccel._call_repr import shows_call
from jaxaccel._checked import checked_after
from jaxaccel._types import Scalar, Schedule
from jaxaccel.schedules._inputs import given_lr
from jaxaccel.schedules._schedule import multiple_of_base


@shows_call
@checked_after
def constant_schedule(lr: Scalar) -> Schedule:
    r"""Keep the learning rate.

    .. math::
        \eta_k = \eta

    An optimizer takes a number as well; as a schedule it stands among others in
    :func:`sequential_lr`.

    Args:
        lr: The optimizer's learning rate :math:`\eta`, at least 0.

    Returns:
        A schedule ``step -> learning rate``: a Python int gives a float, a NumPy array float64
        values of its shape, a JAX array values of its shape in JAX's default float.

    Raises:
        ValueError: ``lr`` is negative.
        TypeError: ``lr`` is not a number.

    PyTorch:
        ``torch.optim.lr_scheduler.LambdaLR`` whose lambda returns 1, which is
        ``get_constant_schedule`` of Transformers. ``ConstantLR`` (here ``constant_lr``) is another:
        it jumps up after five steps. Left out: ``last_epoch``.

    Example:
        >>> import jaxaccel as ja
        >>> schedule = ja.schedules.constant_schedule(0.1)
        >>> [schedule(k) for k in range(3)]
        [0.1, 0.1, 0.1]
    """
    return multiple_of_base(given_lr(lr), lambda xp, k: xp.ones(k.shape))

"""Warm-up, a long plateau, and a short decay."""

from __future__ import annotations

import math
import warnings
from typing import Any, Literal

from jaxaccel._call_repr import shows_call
from jaxaccel._checked import checked_after
from jaxaccel._types import Count, Scalar, Schedule
from jaxaccel.schedules._cosine_phase import cosine_phase, known_cycles
from jaxaccel.schedules._inputs import given_lr, given_number, is_known, known_count
from jaxaccel.schedules._schedule import multiple_of_base


@shows_call
@checked_after
def wsd_schedule(
    lr: Scalar,
    num_warmup_steps: Count,
    num_decay_steps: Count,
    num_training_steps: Count | None = None,
    num_stable_steps: Count | None = None,
    warmup_type: Literal["linear", "cosine", "1-sqrt"] = "linear",
    decay_type: Literal["linear", "cosine", "1-sqrt"] = "cosine",
    min_lr_ratio: Scalar = 0.0,
    num_cycles: Scalar = 0.5,
) -> Schedule:
    r"""Raise the learning rate to ``lr``, hold it for most of the training, and let it fall.

    The length of the plateau bends no curve, so it can be chosen late: a run is stopped at any
    time by a decay that starts there. With :math:`x` the share of the warm-up or of the decay
    that is done, :math:`m` the ``min_lr_ratio`` and :math:`c` the ``num_cycles``:

    .. math::
        \eta_k = \eta \begin{cases}
            m + (1 - m)\, r(x), \quad r(x) = x,\ \tfrac{1}{2}(1 - \cos \pi x)
                \text{ or } 1 - \sqrt{1 - x} & k < W \\
            1 & W \le k < W + S \\
            m + (1 - m)\, f(x), \quad f(x) = 1 - x,\ \tfrac{1}{2}(1 + \cos 2 \pi c x)
                \text{ or } 1 - \sqrt{x} & W + S \le k < W + S + D \\
            m & k \ge W + S + D
        \end{cases}

    Args:
        lr: The optimizer's learning rate :math:`\eta`, at least 0.
        num_warmup_steps: The number of steps :math:`W` of the warm-up, a whole number of at
            least 0, as are the next three.
        num_decay_steps: The number of steps :math:`D` of the decay.
        num_training_steps: The number of steps in all, from which
            :math:`S = N - W - D` follows.
        num_stable_steps: The number of steps :math:`S` of the plateau; it takes
            precedence over ``num_training_steps``.
        warmup_type: The shape :math:`r` of the warm-up.
        decay_type: The shape :math:`f` of the decay.
        min_lr_ratio: The share :math:`m` of ``lr`` at which the warm-up begins and the decay
            ends, at least 0.
        num_cycles: The number of waves :math:`c` of a cosine decay, at least 0.

    Returns:
        A schedule ``step -> learning rate``: a Python int gives a float, a NumPy array float64
        values of its shape, a JAX array values of its shape in JAX's default float.

    Raises:
        ValueError: An argument is out of its range, neither ``num_training_steps`` nor
            ``num_stable_steps`` is given, or warm-up and decay are longer than the training.
        TypeError: An argument is not a number.

    PyTorch:
        Equal at every step, past the end too, to ``torch.optim.lr_scheduler.LambdaLR`` whose
        lambda returns the formula above divided by :math:`\eta`, which is ``get_wsd_schedule``
        of Transformers. Like it, this warns when both lengths are given. ``lr`` stands for the
        optimizer's. Left out: ``last_epoch``, and lengths and ratios below 0, which
        Transformers does not refuse.

    Example:
        >>> import jaxaccel as ja
        >>> schedule = ja.schedules.wsd_schedule(
        ...     0.1, num_warmup_steps=2, num_decay_steps=4, num_stable_steps=3, decay_type="1-sqrt"
        ... )
        >>> [round(schedule(k), 4) for k in range(11)]
        [0.0, 0.05, 0.1, 0.1, 0.1, 0.1, 0.05, 0.0293, 0.0134, 0.0, 0.0]

    References:
        Hu et al. MiniCPM: Unveiling the Potential of Small Language Models with Scalable
        Training Strategies. 2024. https://arxiv.org/abs/2404.06395
        Hägele et al. Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations
        (the ``1-sqrt`` decay). 2024. https://arxiv.org/abs/2405.18392
    """
    lr = given_lr(lr)
    num_warmup_steps = known_count("num_warmup_steps", num_warmup_steps, least=0)
    num_decay_steps = known_count("num_decay_steps", num_decay_steps, least=0)
    decay_start = num_warmup_steps + _known_plateau(
        num_warmup_steps + num_decay_steps, num_training_steps, num_stable_steps
    )
    _check_shape("warmup", warmup_type)
    _check_shape("decay", decay_type)
    lowest = given_number("min_lr_ratio", min_lr_ratio)
    if is_known(lowest) and not lowest >= 0.0:
        raise ValueError(f"min_lr_ratio must be at least 0, got {min_lr_ratio!r}")
    num_cycles = known_cycles(num_cycles)

    def factor(xp: Any, k: Any) -> Any:
        done, left = _shares(xp, k, num_warmup_steps)
        rising = lowest + (1.0 - lowest) * _rise(xp, warmup_type, done, left)
        since = xp.clip(k - decay_start, 0, num_decay_steps)
        done, left = _shares(xp, since, num_decay_steps)
        if decay_type == "cosine":
            done, left = cosine_phase(xp, since, num_cycles, max(num_decay_steps, 1))
        falling = lowest + (1.0 - lowest) * _rise(xp, decay_type, left, done)
        falling = xp.where(since < num_decay_steps, falling, lowest)
        later = xp.where(k < decay_start, 1.0, falling)
        return xp.where(k < num_warmup_steps, rising, later)

    return multiple_of_base(lr, factor, lowest)


def _known_plateau(others: int, num_training_steps: Any, num_stable_steps: Any) -> int:
    """Return the length of the plateau, given that of the ``others`` together."""
    if num_training_steps is None and num_stable_steps is None:
        raise ValueError("Either num_training_steps or num_stable_steps must be specified.")
    if num_stable_steps is not None:
        if num_training_steps is not None:
            warnings.warn(
                "Both num_training_steps and num_stable_steps are specified. "
                "num_stable_steps will be used.",
                stacklevel=5,
            )
        return known_count("num_stable_steps", num_stable_steps, least=0)
    num_training_steps = known_count("num_training_steps", num_training_steps, least=0)
    if num_training_steps < others:
        raise ValueError(
            "num_training_steps must be at least num_warmup_steps + num_decay_steps, "
            f"got {num_training_steps} and {others}"
        )
    return num_training_steps - others


def _check_shape(phase: str, shape: Any) -> None:
    """Raise unless ``shape`` is the name of one."""
    if shape not in ("linear", "cosine", "1-sqrt"):
        raise ValueError(f"Unknown {phase} type: {shape}, expected 'linear', 'cosine' or '1-sqrt'")


def _shares(xp: Any, k: Any, length: int) -> tuple[Any, Any]:
    """Return the share of ``length`` that is done at step ``k``, and the share that is left."""
    k, divisor = xp.minimum(k, length), max(length, 1)
    return k.astype(float) / divisor, (length - k).astype(float) / divisor


def _rise(xp: Any, shape: str, done: Any, left: Any) -> Any:
    """Return how far a phase has risen from 0 to 1; a decay falls as a warm-up played backwards.

    ``(1 - cos) / 2`` is ``sin**2``, and ``1 - sqrt(left)`` is ``done / (1 + sqrt(left))``:
    nothing is subtracted, so small values keep their digits in float32.
    """
    if shape == "cosine":
        return xp.sin(0.5 * math.pi * done) ** 2
    return done if shape == "linear" else done / (1.0 + xp.sqrt(left))

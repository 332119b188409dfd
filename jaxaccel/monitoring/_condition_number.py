"""How well a loss is conditioned: the extreme eigenvalues of its Hessian."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from jaxaccel._call_repr import in_brief
from jaxaccel._check_trees import check_arrays
from jaxaccel._checked import checked
from jaxaccel._checks import check_positive_integer
from jaxaccel._functions import check_takes, number_of
from jaxaccel._math import compute_dtype
from jaxaccel._tree import path_name
from jaxaccel._types import Key, Params
from jaxaccel.monitoring._lanczos import lanczos, ritz


class Conditioning(NamedTuple):
    """What :func:`condition_number` returns."""

    number: float
    """The condition number: :attr:`largest` over :attr:`smallest` where the Hessian is positive
    definite, and infinite where it is not (the smallest is at most 0, within its error): where the
    loss bends down, ``smallest < -errors[0]``, or where it is as good as flat and the dtype cannot
    tell its curvature from 0; float64 may."""
    smallest: float
    """The smallest eigenvalue, which is negative in a direction in which the loss bends down."""
    largest: float
    """The largest eigenvalue."""
    errors: tuple[float, float]
    """How far off the two may be. With as many steps as parameters: rounding alone."""
    magnitudes: tuple[float, float]
    """The smallest and the largest absolute value of all that was found. Their ratio is the
    condition number of linear algebra, also of what is indefinite; the smallest is exact only with
    as many steps as parameters."""
    eigenvalues: np.ndarray
    """All that was found, in ascending order: one for each step."""
    weights: np.ndarray
    """Their shares, which add up to 1: an estimate of the density of all eigenvalues."""

    def quantile(self, share: float) -> float:
        """Return the eigenvalue below which a share of all is, by the estimated density."""
        middles = np.cumsum(self.weights) - self.weights / 2
        return float(np.interp(share, middles, self.eigenvalues))


@checked
def condition_number(
    loss_fn: Callable[[Params], Any],
    params: Params,
    *,
    preconditioner: Params | None = None,
    steps: int = 64,
    key: Key | None = None,
) -> Conditioning:
    r"""Return the condition number of a loss: the ratio of its largest and smallest curvature.

    .. math:: \kappa = \lambda_{\max}(M) / \lambda_{\min}(M), \qquad
        M = P^{1/2} H P^{1/2}

    where :math:`H` is the Hessian at the parameters and :math:`P` the preconditioner, the identity
    by default. Gradient descent with the best rate shrinks the error of a quadratic by
    :math:`(\kappa - 1) / (\kappa + 1)` a step, and :math:`\theta \leftarrow \theta - \gamma P g`
    is descent on :math:`M`. The eigenvalues come from Lanczos' method: one product with the
    Hessian, about two gradients, a step. The largest is right after a few dozen; the smallest takes
    longer, and :attr:`Conditioning.errors` says how far it is.

    A network's loss is seldom convex, and :math:`\kappa` is infinite then. What can be compared is
    how far the largest curvature stands above the bulk of the others:
    ``found.largest / found.quantile(0.5)``.

    Args:
        loss_fn: The loss, ``params -> scalar``; the batch is bound to it. It is differentiated
            twice.
        params: A tree of real floating-point arrays, where the Hessian is taken. In float64 the
            small eigenvalues are right to more digits: rounding is of the size of epsilon times
            the largest.
        preconditioner: The diagonal of :math:`P`, positive, like the parameters: for diagonal
            Newton ``1 / (abs(h) + damping)`` with ``h`` of ``optimizers.hessian_diagonal``, for
            Adam ``1 / (sqrt(exp_avg_sq) + eps)``. Default: none.
        steps: Products with the Hessian, at least 1, and at most one for each parameter. As many
            vectors of all parameters are kept.
        key: A JAX key for the first direction, which is random; default: that of seed 0.

    Returns:
        A :class:`Conditioning`, on the host.

    Raises:
        ValueError: ``steps`` is below 1, the loss's curvature is not finite, or a number of the
            preconditioner is not positive.
        TypeError: ``steps`` is not an integer, a parameter is not a real floating-point array, or
            the preconditioner is not like the parameters.

    PyTorch:
        No counterpart: ``torch.linalg.cond`` of the whole of
        ``torch.autograd.functional.hessian``, which has one row for each parameter.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> curvature = jnp.array([1.0, 10.0, 100.0])
        >>> def loss(w):
        ...     return jnp.sum(curvature * w**2) / 2
        >>> found = ja.monitoring.condition_number(loss, jnp.ones(3))
        >>> print(f"{found.number:.2f}")
        100.00
        >>> newton = 1 / ja.optimizers.hessian_diagonal(loss, jnp.ones(3))
        >>> found = ja.monitoring.condition_number(loss, jnp.ones(3), preconditioner=newton)
        >>> print(f"{found.number:.2f}")
        1.00

    References:
        Lanczos. An Iteration Method for the Solution of the Eigenvalue Problem of Linear
        Differential and Integral Operators. 1950.

        Dauphin, de Vries, Bengio. Equilibrated Adaptive Learning Rates for Non-Convex Optimization.
        2015. https://arxiv.org/abs/1502.04390

        Ghorbani, Krishnan, Xiao. An Investigation into Neural Net Optimization via Hessian
        Eigenvalue Density. 2019. https://arxiv.org/abs/1901.10159
    """
    steps = check_positive_integer("steps", steps)
    check_takes("loss_fn", "(params) -> loss", loss_fn, params)
    check_arrays("params", params)
    for leaf in jax.tree.leaves(params):
        if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
            raise TypeError(
                "a Hessian needs real floating-point parameters, got "
                f"{jnp.result_type(leaf)}; give those that are trained"
            )
    roots = None if preconditioner is None else _roots(preconditioner, params)
    wide = jax.tree.map(lambda leaf: jnp.asarray(leaf, compute_dtype(leaf.dtype)), params)
    flat, unravel = ravel_pytree(wide)
    steps = min(steps, flat.size)
    key = jax.random.key(0) if key is None else key

    def run(flat: jax.Array, roots: Any, key: jax.Array) -> Any:
        def loss(flat: jax.Array) -> Any:
            own = jax.tree.map(lambda wide, leaf: wide.astype(leaf.dtype), unravel(flat), params)
            return jnp.asarray(number_of("loss_fn", loss_fn(own), "return"), flat.dtype)

        def product(vector: jax.Array) -> jax.Array:
            scaled = vector if roots is None else roots * vector
            image = jax.jvp(jax.grad(loss), (flat,), (scaled,))[1]
            return image if roots is None else roots * image

        return lanczos(product, flat.size, steps, key, flat.dtype)

    alphas, betas = jax.jit(run)(flat, roots, key)
    return _conditioning(alphas, betas, float(jnp.finfo(flat.dtype).eps))


def _roots(preconditioner: Params, params: Params) -> jax.Array:
    """Return the square roots of a preconditioner, as one vector."""
    shapes = [
        [(path_name(path), jnp.shape(leaf)) for path, leaf in jax.tree.leaves_with_path(tree)]
        for tree in (preconditioner, params)
    ]
    dtypes = map(jnp.result_type, jax.tree.leaves(preconditioner))
    if shapes[0] != shapes[1] or not all(jnp.issubdtype(dtype, jnp.floating) for dtype in dtypes):
        raise TypeError(
            "preconditioner must be a tree of real floating-point arrays like the parameters, got "
            f"{in_brief(preconditioner)}; make it of them: jax.tree.map(lambda h: 1 / (abs(h) + "
            "damping), optimizers.hessian_diagonal(loss_fn, params))"
        )
    flat = ravel_pytree(preconditioner)[0]
    if not bool(jnp.all(flat > 0)):
        raise ValueError(
            "the preconditioner must be positive, got a smallest number of "
            f"{float(jnp.min(flat)):g}; add a damping: 1 / (abs(h) + damping)"
        )
    return jnp.sqrt(flat)


def _conditioning(alphas: Any, betas: Any, epsilon: float) -> Conditioning:
    """Return what the tridiagonal matrix says."""
    if not np.isfinite(np.asarray(alphas)).all() or not np.isfinite(np.asarray(betas)).all():
        raise ValueError(
            "the loss has a curvature that is not finite; monitoring.find_anomaly(jax.grad(loss_fn)"
            ", params) says where a gradient is not"
        )
    found = ritz(alphas, betas)
    smallest, largest = float(found.values[0]), float(found.values[-1])
    sizes = np.abs(found.values)
    rounding = epsilon * float(sizes.max()) * len(sizes)
    errors = float(found.errors[0]) + rounding, float(found.errors[-1]) + rounding
    is_definite = smallest > errors[0]
    return Conditioning(
        largest / smallest if is_definite else float("inf"),
        smallest,
        largest,
        errors,
        (float(sizes.min()), float(sizes.max())),
        found.values,
        found.weights,
    )

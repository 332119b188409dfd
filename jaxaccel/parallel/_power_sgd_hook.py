"""PowerSGD: of each matrix of gradients two thin ones travel."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxaccel._checked import checked
from jaxaccel._checks import as_integer, check_non_negative, check_positive, check_positive_integer
from jaxaccel._math import compute_dtype
from jaxaccel._types import Count
from jaxaccel.parallel._comm_hook import CommHook, Memory
from jaxaccel.parallel._per_device import mean_over


class _Options(NamedTuple):
    """The arguments, as PyTorch has them."""

    matrix_approximation_rank: int
    start_powerSGD_iter: int
    min_compression_rate: float
    use_error_feedback: bool
    warm_start: bool
    orthogonalization_epsilon: float
    random_seed: int


@checked
def power_sgd_hook(
    matrix_approximation_rank: Count = 1,
    start_powerSGD_iter: Count = 1000,
    min_compression_rate: float = 2,
    use_error_feedback: bool = True,
    warm_start: bool = True,
    orthogonalization_epsilon: float = 0,
    random_seed: Count = 0,
) -> CommHook:
    r"""Return the hook that sends of each matrix of gradients an approximation of low rank.

    .. math:: M_d = G_d + E_d, \qquad P = \operatorname{orth}\Big(\sum_d M_d Q\Big), \qquad
        Q \leftarrow \frac{1}{D} \sum_d M_d^\top P, \qquad
        G = P Q^\top, \qquad E_d \leftarrow M_d - G

    Of an n x m matrix (n + m) x rank numbers are reduced over devices. Vectors, and matrices of
    which that saves too little, are averaged as they are. A kernel's rows are its outputs, the last
    axis, as in PyTorch.

    Args:
        matrix_approximation_rank: The rank, at least 1, at most the matrix's.
        start_powerSGD_iter: How many calls average plainly before it begins.
        min_compression_rate: A matrix is compressed if it has more than this many times the
            numbers that are sent of it.
        use_error_feedback: Remember what was lost, :math:`E_d`, and add it in the next step. It
            costs the memory of one gradient on every device.
        warm_start: Begin with the last step's :math:`Q`; otherwise with a random one each time.
        orthogonalization_epsilon: Added to the norm of a column where the rank is at most 2; above
            0 where a whole gradient may be zero, which otherwise becomes NaN.
        random_seed: Of the random :math:`Q`.

    Returns:
        The hook, for ``data_parallel(..., comm_hook=)``; the model's state is made by
        :func:`comm_state`.

    Raises:
        ValueError: The rank is below 1, ``min_compression_rate`` not positive, or
            ``start_powerSGD_iter`` or ``orthogonalization_epsilon`` negative.
        TypeError: An argument is not a number.

    PyTorch:
        ``torch.distributed.algorithms.ddp_comm_hooks.powerSGD_hook.powerSGD_hook`` with its
        ``PowerSGDState``: the same numbers from the same :math:`Q`, which is drawn from JAX's
        generator here. ``start_powerSGD_iter`` may be 0 or 1, because no buckets are rebuilt. What
        is averaged as it is has no error to remember. Left out: ``batch_tensors_with_same_shape``
        and the statistics for logging; ``aot.report`` counts the bytes.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> mesh = ja.parallel.make_mesh(devices=jax.devices()[:1])
        >>> hook = ja.parallel.power_sgd_hook(matrix_approximation_rank=2)
        >>> state, _ = ja.parallel.comm_state(hook, {"w": jnp.ones((64, 32))}, mesh=mesh)
        >>> print(state.own["error_dict"]["w"].shape, state.shared["q_memory_dict"]["w"].shape)
        (1, 64, 32) (64, 2)

    References:
        Vogels et al. PowerSGD: Practical Low-Rank Gradient Compression for Distributed
        Optimization. 2019. https://arxiv.org/abs/1905.13727
    """
    if (start := as_integer(start_powerSGD_iter)) is None or start < 0:
        raise ValueError(
            f"start_powerSGD_iter must be a number of calls, 0 or more, got {start_powerSGD_iter!r}"
        )
    check_positive("min_compression_rate", min_compression_rate, "Invalid min_compression_rate")
    rank = check_positive_integer("matrix_approximation_rank", matrix_approximation_rank)
    epsilon, seed = orthogonalization_epsilon, int(random_seed)
    check_non_negative("orthogonalization_epsilon", epsilon, "Invalid orthogonalization_epsilon")
    options = _Options(
        rank, start, min_compression_rate, use_error_feedback, warm_start, epsilon, seed
    )

    def init(params: dict[str, Any], devices: int) -> Memory:
        shapes = _compressed(params, options)
        dtypes = {name: compute_dtype(params[name].dtype) for name in shapes}
        errors = {name: jnp.zeros(params[name].shape, dtypes[name]) for name in shapes}
        shared: dict[str, Any] = {"iter": jnp.zeros((), jnp.int32)}
        if warm_start:
            shared["q_memory_dict"] = _drawn(shapes, dtypes, seed, shared["iter"])
        return Memory({"error_dict": errors} if use_error_feedback else {}, shared)

    return CommHook(functools.partial(_reduce, options), init)


def _compressed(leaves: dict[str, Any], options: _Options) -> dict[str, tuple[int, int]]:
    """Return of each matrix that is compressed the shape of its Q."""
    shapes = {}
    for name, leaf in leaves.items():
        if leaf.ndim and leaf.size and jnp.issubdtype(leaf.dtype, jnp.floating):
            n, m = leaf.shape[-1], leaf.size // leaf.shape[-1]
            rank = min(n, m, options.matrix_approximation_rank)
            if (n + m) * rank * options.min_compression_rate < n * m:
                shapes[name] = (m, rank)
    return shapes


def _drawn(shapes: dict[str, Any], dtypes: dict[str, Any], seed: int, step: Any) -> dict[str, Any]:
    """Return a random Q for each matrix, another one at each step."""
    keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), step), max(1, len(shapes)))
    pairs = zip(keys, shapes.items(), strict=False)
    return {name: jax.random.normal(key, shape, dtypes[name]) for key, (name, shape) in pairs}


def _reduce(
    options: _Options, grads: dict[str, Any], memory: Memory, axes: tuple[str, ...]
) -> tuple[dict[str, Any], Memory]:
    """Return the means of gradients, and the memory."""
    shapes = _compressed(grads, options)
    step, errors = memory.shared["iter"], memory.own.get("error_dict", {})
    wide = {name: grads[name].astype(compute_dtype(grads[name].dtype)) for name in shapes}

    def plainly(errors: Any, qs: Any) -> Any:
        return {name: mean_over(wide[name], axes) for name in shapes}, errors, qs

    def in_two(errors: Any, qs: Any) -> Any:
        found, errors, qs = {}, dict(errors), dict(qs)
        for name in shapes:
            matrix = wide[name] + errors[name] if errors else wide[name]
            found[name], new = _approximated(matrix, qs[name], axes, options)
            qs[name] = jnp.where(jnp.all(jnp.isfinite(new)), new, qs[name])
            if errors:
                errors[name] = matrix - found[name]
        return found, errors, qs

    qs = memory.shared.get("q_memory_dict")
    if qs is None:
        dtypes = {name: leaf.dtype for name, leaf in wide.items()}
        qs = _drawn(shapes, dtypes, options.random_seed, step)
    if options.start_powerSGD_iter:
        is_early = step < options.start_powerSGD_iter
        found, errors, qs = jax.lax.cond(is_early, plainly, in_two, errors, qs)
    else:
        found, errors, qs = in_two(errors, qs)
    means = {
        name: found[name].astype(grad.dtype) if name in shapes else mean_over(grad, axes)
        for name, grad in grads.items()
    }
    shared = memory.shared | {"iter": step + 1}
    if options.warm_start:
        shared["q_memory_dict"] = qs
    own = {"error_dict": errors} if options.use_error_feedback else {}
    return means, Memory(own, shared)


def _approximated(
    grad: jax.Array, q: jax.Array, axes: tuple[str, ...], options: _Options
) -> tuple[jax.Array, jax.Array]:
    """Return the mean of a matrix over devices in low rank, and Q."""
    exact, epsilon = jax.lax.Precision.HIGHEST, options.orthogonalization_epsilon
    transposed = grad.reshape(-1, grad.shape[-1])
    q = _orthogonalized(q, epsilon)
    p = jax.lax.psum(jnp.einsum("mn,mr->nr", transposed, q, precision=exact), axes)
    p = _orthogonalized(p, epsilon)
    q = jax.lax.pmean(jnp.einsum("mn,nr->mr", transposed, p, precision=exact), axes)
    return jnp.einsum("mr,nr->mn", q, p, precision=exact).reshape(grad.shape), q


def _orthogonalized(matrix: jax.Array, epsilon: float) -> jax.Array:
    """Return a matrix with orthonormal columns: by Gram and Schmidt up to two, else by QR."""
    if matrix.shape[1] > 2:
        return jnp.linalg.qr(matrix)[0]
    done: list[jax.Array] = []
    for column in matrix.T:
        for other in done:
            column = column - jnp.sum(other * column) * other
        done.append(column / (jnp.linalg.norm(column) + epsilon))
    return jnp.stack(done, axis=1)

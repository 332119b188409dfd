"""The orthogonal parametrization of a layer's parameter."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel._layout import from_torch, to_torch
from jaxaccel._math import compute_dtype
from jaxaccel._types import Generator
from jaxaccel.init import normal
from jaxaccel.nn._arguments import params_key
from jaxaccel.nn._parametrize import Layer, parametrize, plain_parameter


@checked
def orthogonal(
    module: Layer,
    name: str = "weight",
    orthogonal_map: str | None = None,
    *,
    use_trivialization: bool = True,
    rngs: nnx.Rngs | Generator,
) -> Layer:
    r"""Keep a matrix orthogonal while it is trained.

    With more rows (outputs) than columns its columns are orthonormal, otherwise its rows. More than
    two axes are a batch of matrices: PyTorch's last two axes, of a convolution those of its window.
    ``layer.weight[...]`` is computed at every call from ``layer.weight.original``: the lower
    triangle of a matrix that is mapped to an orthogonal one, where ``A`` is skew-symmetric and
    ``H_i`` a reflection,

    .. math::
        \exp(A), \qquad (I - A / 2)^{-1} (I + A / 2), \qquad H_1 H_2 \cdots H_k

    and then, with ``use_trivialization``, multiplied by a fixed orthogonal matrix, PyTorch's
    ``base``. The first weight is the old one if it is orthogonal and else its orthogonal factor.

    Args:
        module: The layer, which is changed.
        name: The name of the parameter.
        orthogonal_map: ``"matrix_exp"``, ``"cayley"`` or ``"householder"``; None for the first if
            the matrix is square and else the last.
        use_trivialization: Whether the map starts from the weight that is there; without it the
            first two maps start from the image of the old weight.
        rngs: Completes ``base`` where the matrix is not square: the ``params`` stream of an
            ``nnx.Rngs``, or a :class:`jaxaccel.random.Generator` for PyTorch's own numbers.

    Returns:
        ``module``.

    Raises:
        ValueError: ``module`` has no such parameter, it is parametrized or has one axis, or an
            unknown ``orthogonal_map``.

    PyTorch:
        ``torch.nn.utils.parametrizations.orthogonal``: the same, with its names in
        :func:`state_dict`; a completed ``base`` is a factor of the same random numbers and the
        same within rounding. Left out: complex matrices, a parametrization of a parametrization,
        and assignment through one (``remove_parametrizations`` first). As there, the diagonal that
        holds the reflections' signs is not a target for weight decay: it is rounded towards zero.

    Example:
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> layer = ja.nn.orthogonal(ja.nn.Linear(2, 2, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(1))
        >>> weight = layer.weight[...]
        >>> abs((weight @ weight.T).round(4)).tolist()
        [[1.0, 0.0], [0.0, 1.0]]

    References:
        Lezcano-Casado. Trivializations for Gradient-Based Optimization on Manifolds. 2019.
        https://arxiv.org/abs/1909.09501
    """
    variable, layout = plain_parameter(module, name)
    weight = variable[...]
    if weight.ndim < 2:
        raise ValueError(
            f"Expected a matrix or batch of matrices. Got a tensor of {weight.ndim} dimensions."
        )
    weight = to_torch(weight) if layout == "flax" else weight
    is_square = weight.shape[-1] == weight.shape[-2]
    if orthogonal_map is None:
        orthogonal_map = "matrix_exp" if is_square else "householder"
    if orthogonal_map not in _MAPS:
        raise ValueError(
            'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". '
            f"Got: {orthogonal_map}"
        )
    function, base = _MAPS[orthogonal_map], None
    if use_trivialization:
        base = _base(weight, rngs)
        # The map's identity: householder takes the signs from the diagonal.
        identity = jnp.eye(*weight.shape[-2:], dtype=weight.dtype)
        weight = jnp.broadcast_to(-identity, weight.shape)
    elif function is _householder:
        tall = _tall(weight).astype(compute_dtype(weight.dtype))
        weight = _like(_householder_inverse(tall), weight)
    variable[...] = from_torch(weight, layout)
    return parametrize(module, name, _Orthogonal(function, base), [variable], layout)


class _Orthogonal(nnx.Module):
    """Computes an orthogonal weight from its original."""

    torch_transposed = ()

    def __init__(self, function: Callable[[jax.Array], jax.Array], base: jax.Array | None):
        self.function = function
        self.base: nnx.BatchStat[jax.Array] | None = nnx.data(None)
        if base is not None:
            self.base = nnx.BatchStat(base)

    def __call__(self, *originals: jax.Array, layout: str) -> jax.Array:
        """Return the weight."""
        original = to_torch(originals[0]) if layout == "flax" else originals[0]
        wide = compute_dtype(original.dtype)
        weight = self.function(_tall(original).astype(wide))
        if self.base is not None:
            weight = self.base[...].astype(wide) @ weight
        return from_torch(_like(weight, original), layout)


def _base(weight: jax.Array, rngs: nnx.Rngs | Generator) -> jax.Array:
    """Return the square orthogonal matrix that begins with the weight's orthogonal factor."""
    q = _tall(weight)
    wide, (n, k) = q.astype(compute_dtype(q.dtype)), q.shape[-2:]
    if n == k:
        q = jnp.where(_is_orthonormal(wide), wide, _orthonormal(wide))
    else:
        shape = (*q.shape[:-2], n, n - k)
        more = normal(layout="torch")(params_key(rngs), shape, wide.dtype)
        q = _orthonormal(jnp.concatenate([wide, more], -1))
    return q.astype(weight.dtype)


def _tall(matrix: jax.Array) -> jax.Array:
    """Transpose matrices with fewer rows than columns."""
    return jnp.swapaxes(matrix, -1, -2) if matrix.shape[-2] < matrix.shape[-1] else matrix


def _like(tall: jax.Array, weight: jax.Array) -> jax.Array:
    """Undo :func:`_tall` and the conversion of the dtype."""
    matrix = jnp.swapaxes(tall, -1, -2) if weight.shape[-2] < weight.shape[-1] else tall
    return matrix.astype(weight.dtype)


# --- maps: tall (..., n, k), n >= k, to orthonormal columns ---------------------------------------


def _matrix_exp(x: jax.Array) -> jax.Array:
    """Return the exponential of a skew-symmetric matrix."""
    return jax.scipy.linalg.expm(_skew(x))[..., : x.shape[-1]]


def _cayley(x: jax.Array) -> jax.Array:
    """Return Cayley's ``(I - A / 2)^-1 (I + A / 2)`` of a skew-symmetric matrix ``A``."""
    half = _skew(x) / 2
    identity = jnp.broadcast_to(jnp.eye(half.shape[-1], dtype=x.dtype), half.shape)
    return jnp.linalg.solve(identity - half, identity + half)[..., : x.shape[-1]]


def _householder(x: jax.Array) -> jax.Array:
    r"""Return the product of the reflections along the columns below the diagonal.

    Together they are ``I - V T V'``, with an upper triangular ``T`` whose inverse has half the
    diagonal of ``V'V``, and what is above it (Joffrain et al. Accumulating Householder
    Transformations, Revisited. 2006): products of matrices instead of a loop over columns. The
    diagonal of ``x`` holds the columns' signs, which are constants.
    """
    n, k = x.shape[-2:]
    identity = jnp.broadcast_to(jnp.eye(n, k, dtype=x.dtype), x.shape)
    v = jnp.tril(x, -1) + identity
    gram = jnp.swapaxes(v, -1, -2) @ v
    inverse = jnp.triu(gram) - gram * (identity[..., :k, :] / 2)
    top = jnp.swapaxes(v[..., :k, :], -1, -2)
    q = identity - v @ jax.scipy.linalg.solve_triangular(inverse, top)
    # PyTorch rounds the signs towards zero, as integers.
    signs = jax.lax.stop_gradient(jnp.trunc(jnp.diagonal(x, axis1=-2, axis2=-1)))
    return q * jnp.expand_dims(signs, -2)


def _householder_inverse(q: jax.Array) -> jax.Array:
    """Return what :func:`_householder` maps to the orthonormal factor of a tall matrix."""
    reflectors, tau = jnp.linalg.qr(q, mode="raw")
    x = jnp.swapaxes(reflectors, -1, -2)
    # Where LAPACK leaves a reflection out, the map has one all the same: the sign undoes it.
    signs = jnp.sign(jnp.diagonal(x, axis1=-2, axis2=-1)) * jnp.where(tau == 0, -1, 1).astype(
        x.dtype
    )
    identity = jnp.broadcast_to(jnp.eye(*x.shape[-2:], dtype=x.dtype), x.shape)
    return x * (1 - identity) + identity * jnp.expand_dims(signs, -2)


def _orthonormal(matrix: jax.Array) -> jax.Array:
    """Return Q of the decomposition in which R has no negative number on its diagonal."""
    q, r = jnp.linalg.qr(matrix)
    return q * jnp.expand_dims(jnp.sign(jnp.diagonal(r, axis1=-2, axis2=-1)), -2)


def _is_orthonormal(q: jax.Array) -> jax.Array:
    """Return whether square matrices are orthogonal, all of them, as PyTorch judges it."""
    n = q.shape[-1]
    found = jnp.swapaxes(q, -1, -2) @ q
    identity = jnp.broadcast_to(jnp.eye(n, dtype=q.dtype), found.shape)
    return jnp.allclose(found, identity, atol=10 * n * float(jnp.finfo(q.dtype).eps))


def _skew(x: jax.Array) -> jax.Array:
    """Return the skew-symmetric square matrix that has a tall one's lower triangle."""
    n, k = x.shape[-2:]
    square = jnp.pad(jnp.tril(x), [(0, 0)] * (x.ndim - 1) + [(0, n - k)])
    return square - jnp.swapaxes(square, -1, -2)


_MAPS = {"matrix_exp": _matrix_exp, "cayley": _cayley, "householder": _householder}

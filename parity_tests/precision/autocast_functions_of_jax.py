"""JAX's own functions under autocast, beside PyTorch's. The rows are ``harness/autocast.py``'s."""

import jax
import jax.numpy as jnp
import torch

from parity_tests.harness.autocast import Row

T = torch.nn.functional
POSITIVE, INSIDE = {"values": "positive"}, {"values": "inside"}
FAR = {"values": "far"}
DTYPE = {"dtype_only": "has no gradient on one of the sides, or a complex one"}
PAIR = (32, 24), (32, 24)


def _row(operation, ours, theirs, *shapes, why="of JAX", low=1, **options):
    return Row(operation, why, ours, theirs, shapes or ((32, 24),), low, options)


ELEMENTWISE = [
    *(
        _row(name, getattr(jnp, name), getattr(torch, name))
        for name in ("exp", "expm1", "sinh", "cosh", "sin", "cos", "abs", "square")
    ),
    *(
        _row(name, getattr(jnp, name), getattr(torch, name), **POSITIVE)
        for name in ("log", "log2", "log10", "log1p", "sqrt", "reciprocal")
    ),
    _row("tan", jnp.tan, torch.tan, **INSIDE),
    _row("acos", jnp.arccos, torch.acos, **INSIDE),
    _row("asin", jnp.arcsin, torch.asin, **INSIDE),
    _row("erfinv", jax.lax.erf_inv, torch.erfinv, **INSIDE),
    _row("erf", jax.lax.erf, torch.erf, far="its derivative is a product, whose factors round"),
    _row("rsqrt", jax.lax.rsqrt, torch.rsqrt, **POSITIVE),
    _row("pow", lambda x: x**3, lambda x: x**3, why="of an integer"),
    _row("pow", lambda x: jnp.power(x, 1.5), lambda x: x**1.5, why="of a number", **POSITIVE),
    _row("pow", jnp.power, torch.pow, *PAIR, low=2, **POSITIVE),
    _row("atan2", jnp.arctan2, torch.atan2, *PAIR, low=2),
    _row("add", jnp.add, torch.add, *PAIR, low=2),
    _row("add", jnp.add, torch.add, *PAIR, why="of two dtypes"),
    _row("mul", jnp.multiply, torch.mul, *PAIR, low=2),
    _row("mul", lambda x: 0.3 * x, lambda x: 0.3 * x, why="by a number"),
    _row("div", lambda x, y: y / x, lambda x, y: y / x, *PAIR, low=2, **POSITIVE),
    _row("maximum", jnp.maximum, torch.maximum, *PAIR, low=2),
    _row("where", lambda x: jnp.where(x > 0, x, 0.0), lambda x: torch.where(x > 0, x, 0.0)),
]

REDUCTIONS = [
    *(
        _row(name, lambda x, f=f: f(x, 1), lambda x, name=name: getattr(torch, name)(x, 1))
        for name, f in (
            *(("sum", jnp.sum), ("prod", jnp.prod), ("cumsum", jnp.cumsum), ("mean", jnp.mean)),
            *(("cumprod", jnp.cumprod), ("amax", jnp.max), ("logsumexp", jax.nn.logsumexp)),
            *(("softmax", jax.nn.softmax), ("log_softmax", jax.nn.log_softmax)),
        )
    ),
    _row("sum", jnp.sum, torch.sum, why="of all"),
    _row("var", lambda x: jnp.var(x, 1), lambda x: torch.var(x, 1, correction=0)),
    _row(
        "linalg_vector_norm",
        lambda x: jnp.linalg.norm(x, axis=1),
        lambda x: torch.linalg.vector_norm(x, dim=1),
    ),
    _row("linalg_matrix_norm", jnp.linalg.matrix_norm, torch.linalg.matrix_norm),
    _row("gelu", lambda x: jax.nn.gelu(x, approximate=False), T.gelu),
    _row("silu", jax.nn.silu, T.silu),
    _row("trace", jnp.trace, torch.trace, (24, 24)),
    *(
        _row(name, lambda x, f=f: f(x, 0.4, 1), lambda x, g=g: g(x, 0.4, 1))
        for name, f, g in (
            ("quantile", jnp.quantile, torch.quantile),
            ("nanquantile", jnp.nanquantile, torch.nanquantile),
        )
    ),
]

MATRICES = [
    _row("matmul", jnp.matmul, torch.matmul, (8, 16, 24), (8, 24, 16), low=0),
    _row("mm", lambda x, y: x @ y, torch.mm, (32, 24), (24, 32)),
    _row("bmm", jnp.matmul, torch.bmm, (8, 16, 24), (8, 24, 16)),
    _row(
        "einsum",
        lambda x, y: jnp.einsum("bij,bkj->bik", x, y),
        lambda x, y: torch.einsum("bij,bkj->bik", x, y),
        *((8, 16, 24), (8, 16, 24)),
    ),
    _row(
        "linalg_multi_dot",
        lambda *x: jnp.linalg.multi_dot(x),
        lambda *x: torch.linalg.multi_dot(x),
        *((32, 24), (24, 32), (32, 16)),
        low=3,
    ),
    _row("cross", jnp.cross, torch.linalg.cross, (256, 3), (256, 3), low=2),
    _row(
        "index_put",
        lambda x, y: x.at[jnp.array([0, 2])].set(y),
        lambda x, y: torch.index_put(x, (torch.tensor([0, 2]),), y),
        *((32, 24), (2, 24)),
        low=2,
    ),
    _row(
        "scatter_add",
        lambda x, y: x.at[jnp.array([0, 2])].add(y),
        lambda x, y: torch.scatter_add(x, 0, torch.tensor([[0], [2]]).expand(2, 24), y),
        *((32, 24), (2, 24)),
        low=2,
    ),
    _row("linalg_vecdot", jnp.linalg.vecdot, torch.linalg.vecdot, *PAIR),
    _row("cat", lambda *x: jnp.concatenate(x), lambda *x: torch.cat(x), (32, 24), (2, 24)),
    _row("stack", lambda *x: jnp.stack(x), lambda *x: torch.stack(x), *PAIR),
    _row(
        "index_copy",
        lambda x, y: x.at[jnp.array([0, 2])].set(y),
        lambda x, y: torch.index_copy(x, 0, torch.tensor([0, 2]), y),
        *((32, 24), (2, 24)),
    ),
]

ONE, SYSTEM = ((4, 4),), ((4, 4), (4, 2))
SEVERAL = ((64, 4, 4),)


def _of_matrix(name, part=None, ours=None, theirs=None, values="far", why="of JAX"):
    """Return the row of a function of one matrix, or of a part of what it returns."""
    f, g = ours or getattr(jnp.linalg, name), theirs or getattr(torch.linalg, name)
    take = (lambda found: found) if part is None else (lambda found: found[part])
    operation = f"linalg_{name}" if theirs is None else name
    return _row(
        operation, lambda x: take(f(x)), lambda x: take(g(x)), *SEVERAL, why=why, values=values
    )


LINEAR_ALGEBRA = [
    *(_of_matrix(name) for name in ("inv", "svdvals", "cond", "matrix_rank")),
    *(_of_matrix(name, values="definite") for name in ("cholesky", "eigvalsh")),
    _of_matrix("qr", part=1),
    _of_matrix("svd", part=1),
    _of_matrix("eigh", part=0, values="definite"),
    _of_matrix("inverse", ours=jnp.linalg.inv, theirs=torch.inverse),
    _of_matrix("pinverse", ours=jnp.linalg.pinv, theirs=torch.pinverse),
    _of_matrix("cholesky", ours=jnp.linalg.cholesky, theirs=torch.cholesky, values="definite"),
    _row("linalg_solve", jnp.linalg.solve, torch.linalg.solve, *SYSTEM, low=2, **FAR),
    _row(
        "linalg_lstsq",
        lambda a, b: jnp.linalg.lstsq(a, b)[0],
        lambda a, b: torch.linalg.lstsq(a, b)[0],
        *SYSTEM,
        low=2,
        **FAR,
    ),
    _row(
        "triangular_solve",
        jax.scipy.linalg.solve_triangular,
        lambda a, b: torch.triangular_solve(b, a)[0],
        *SYSTEM,
        low=2,
        **FAR,
    ),
    _row(
        "cholesky_solve",
        lambda a, b: jax.scipy.linalg.cho_solve((jnp.tril(a), True), b),
        lambda a, b: torch.cholesky_solve(b, torch.tril(a)),
        *SYSTEM,
        low=2,
        **FAR,
    ),
    _row(
        "linalg_tensorinv",
        lambda x: jnp.linalg.tensorinv(x.reshape(4, 2, 2), 1),
        lambda x: torch.linalg.tensorinv(x.reshape(4, 2, 2), 1),
        *ONE,
        **FAR,
    ),
    _row(
        "linalg_tensorsolve",
        jnp.linalg.tensorsolve,
        torch.linalg.tensorsolve,
        *((4, 4), (4,)),
        low=2,
        **FAR,
    ),
    _row(
        "_lu_with_info",
        lambda a: jax.scipy.linalg.lu_factor(a)[0],
        lambda a: torch._lu_with_info(a)[0],
        *ONE,
        **FAR,
    ),
    _row(
        "lu_solve",
        lambda a, b: jax.scipy.linalg.lu_solve(jax.scipy.linalg.lu_factor(a), b),
        lambda a, b: torch.lu_solve(b, *torch._lu_with_info(a)[:2]),
        *SYSTEM,
        low=2,
        **FAR,
    ),
    *(
        _row(name, jax.lax.linalg.householder_product, theirs, (4, 4), (4,), low=2, **DTYPE)
        for name, theirs in (
            ("linalg_householder_product", torch.linalg.householder_product),
            ("orgqr", torch.orgqr),
        )
    ),
    *(
        _row(
            name,
            lambda x, ours=ours: getattr(jnp.linalg, ours)(x)[0],
            lambda x, theirs=theirs: theirs(x)[0],
            *ONE,
            **FAR,
            **DTYPE,
        )
        for name, ours, theirs in (
            ("linalg_eig", "eig", torch.linalg.eig),
            ("linalg_eigvals", "eigvals", torch.linalg.eigvals),
        )
    ),
    _row(
        "geqrf",
        lambda x: jnp.linalg.qr(x, mode="raw")[0],
        lambda x: torch.geqrf(x)[0],
        *ONE,
        **FAR,
        **DTYPE,
    ),
    *(
        _row(
            f"fft_{name}",
            lambda x, name=name: jnp.abs(getattr(jnp.fft, name)(x)),
            lambda x, name=name: torch.abs(getattr(torch.fft, name)(x)),
        )
        for name in (
            *("fft", "ifft", "fft2", "ifft2", "fftn", "ifftn", "rfft", "irfft", "rfft2"),
            *("irfft2", "rfftn", "irfftn", "hfft", "ihfft"),
        )
    ),
]

FUNCTIONS = [*ELEMENTWISE, *REDUCTIONS, *MATRICES, *LINEAR_ALGEBRA]

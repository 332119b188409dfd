"""``torch.autocast`` as a transform of functions."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax.extend.core import jaxpr_as_fun

from jaxaccel import _operations
from jaxaccel._checked import checked
from jaxaccel._types import DType
from jaxaccel.precision._autocast_casts import value_of
from jaxaccel.precision._autocast_interpret import Reader
from jaxaccel.precision._autocast_nested import in_inner_region
from jaxaccel.precision._autocast_notes import noting
from jaxaccel.precision._autocast_region import Region, region_of
from jaxaccel.precision._autocast_trace import trace


@checked
def autocast(
    fn: Callable[..., Any], device_type: str, dtype: DType | None = None, enabled: bool = True
) -> Callable[..., Any]:
    """Return a function that casts operation by operation, as PyTorch's lists say.

    Products and convolutions run in half precision, what loses digits there in float32, everything
    else in the widest dtype of its operands. It works on functions whoever wrote them: ours and
    flax's layers, optax's losses, plain ``jnp``; through ``jit``, ``scan``, ``while``, ``cond``,
    ``checkpoint``, ``custom_jvp``, ``custom_vjp``, ``vmap`` and ``shard_map``. Parameters stay in
    float32, and gradients arrive in float32.

    Differentiate it, not the other way round: ``value_and_grad(autocast(loss, "tpu"))``. A region
    inside another is read in its own dtype, or not cast at all with ``enabled=False``.

    While it is traced, Python sees float32 everywhere, so that ``x.astype(jnp.float32)`` leaves
    nothing behind: write :func:`to`, which is seen. What runs in which dtype says
    :func:`dtype_report`.

    XLA may keep more digits than a program asks for: by default it leaves out a cast to half
    precision and back. Compiled with
    ``jax.jit(f, compiler_options={"xla_allow_excess_precision": False})`` the numbers are those of
    ``torch.autocast``, at the cost of some memory traffic; without, they are closer to float64's.

    Args:
        fn: Any function of arrays, pytrees and Python values: a loss, a model's ``apply``.
        device_type: Whose lists: ``"cuda"``, ``"cpu"``, or ``"tpu"``, which is cuda's. The program
            runs anywhere.
        dtype: ``jnp.bfloat16`` or ``jnp.float16``; None for the device's: float16 on ``"cuda"``,
            as in PyTorch, else bfloat16. ``jnp.float8_e4m3fn`` or ``jnp.float8_e5m2``: bfloat16,
            but the operands of matrix products and linear layers in float8, each array scaled by
            its own largest number, sums in float32, and cotangents in ``float8_e5m2``. For chips
            that have it; compiled for them, and not yet run on one.
        enabled: False for a region that casts nothing.

    Returns:
        A function with ``fn``'s signature. Its results have the dtypes in which they come.

    Raises:
        ValueError: another ``device_type`` or ``dtype``.
        TypeError: ``fn`` changes the state of an nnx module, or returns gradients (at the call).
        RuntimeError: ``binary_cross_entropy`` on ``"cuda"`` (at the call).

    PyTorch:
        ``with torch.autocast(device_type, dtype, enabled): outputs = fn(inputs)``: the lists of
        PyTorch 2.13, as its header and its kernels have them. Left out: ``cache_enabled``, since
        the compiler casts a weight once, or inside of the products that read it. PyTorch's own
        regions have no float8.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> def f(x, weight):
        ...     return x @ weight, jax.nn.softmax(x @ weight)
        >>> product, probabilities = ja.precision.autocast(f, "tpu")(jnp.ones((2, 3)), jnp.eye(3))
        >>> print(product.dtype, probabilities.dtype)
        bfloat16 float32

    References:
        Micikevicius et al. Mixed Precision Training. 2018. https://arxiv.org/abs/1710.03740
    """
    region = region_of(device_type, dtype, enabled)

    @functools.wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        if _operations.in_region():
            return _call_inside(region, fn, args, kwargs)
        if not region.enabled:
            return fn(*args, **kwargs)
        traced = trace(fn, args, kwargs, region.dtype)
        program, values = traced.program, list(map(value_of, traced.arrays))
        results = Reader(region, noting.value).run(program.jaxpr, program.consts, values)
        return traced.rebuild([value.array for value in results])

    return call


def _call_inside(region: Region, fn: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Call a function inside another region, which reads its program later."""
    traced = trace(fn, args, kwargs, region.dtype if region.enabled else jnp.float32)
    run = jaxpr_as_fun(traced.program)
    return traced.rebuild(in_inner_region(region, run, traced.arrays))

"""Maps linear in an input and in a weight, whose weight's gradient has a form of its own on CPUs.

XLA computes the gradients of weights badly on CPUs where it computes the maps themselves well. The
form that is faster there is chosen when a program is lowered: programs for other platforms, for
several devices under one compiler, and of what is not differentiated are those of the plain map.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.core import ShapedArray
from jax.custom_derivatives import SymbolicZero
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from jaxaccel._gradient import varying_like, with_float32_sums
from jaxaccel._math import compute_dtype


class WeightMap(NamedTuple):
    """A map of an input and a weight, linear in each; equal maps are compiled once."""

    product: Callable[..., jax.Array]
    """``(input, weight, *arguments)`` -> output."""
    gradient_on_cpu: Callable[..., jax.Array] | None
    """``(input, output's gradient, weight's type, *arguments)`` -> weight's; None for XLA's."""
    arguments: tuple[Any, ...] = ()
    """What else the two take; hashable."""


def affine(
    rule: WeightMap, input: jax.Array, weight: jax.Array, bias: jax.Array | None
) -> jax.Array:
    """Return the map's product plus a bias along the last axis."""
    is_half = input.dtype != compute_dtype(input.dtype)
    if is_half or rule.gradient_on_cpu is not None:
        return _own_gradient(rule, input, weight, bias)
    return _affine(rule, input, weight, bias)


def _affine(
    rule: WeightMap, input: jax.Array, weight: jax.Array, bias: jax.Array | None
) -> jax.Array:
    """Return the product plus the bias, differentiable as JAX does it.

    Half precision rounds the product and the sum: in float32 between them, cuDNN convolves without
    tensor cores, and a product of matrices on GPUs is written out twice as wide.
    """
    output = rule.product(input, weight, *rule.arguments)
    if bias is None:
        return output
    return output + jax.lax.expand_dims(bias, range(output.ndim - 1))


_own_gradient = jax.custom_jvp(_affine, nondiff_argnums=(0,))


def _own_gradient_jvp(rule: WeightMap, primals: Any, tangents: Any) -> tuple[jax.Array, Any]:
    """Return the output and its tangent: the weight's part is the primitive below."""
    input, weight, bias = primals
    input_dot, weight_dot, bias_dot = tangents
    # Plainly, and not by the function itself: where activations are recomputed, a policy of
    # jax.checkpoint finds the product, and may keep it.
    output, terms = rule.product(input, weight, *rule.arguments), []
    if bias is not None:
        own = jax.lax.expand_dims(bias, range(output.ndim - 1))
        output += with_float32_sums(own, output)
    if not isinstance(input_dot, SymbolicZero):
        terms.append(rule.product(input_dot, weight, *rule.arguments))
    if not isinstance(weight_dot, SymbolicZero):
        terms.append(map_of_weight(rule, input, weight_dot, jax.typeof(output)))
    if bias_dot is not None and not isinstance(bias_dot, SymbolicZero):
        own = jax.lax.expand_dims(bias_dot, range(output.ndim - 1))
        terms.append(jnp.broadcast_to(with_float32_sums(own, output), output.shape))
    return output, sum(terms[1:], terms[0]) if terms else jnp.zeros_like(output)


_own_gradient.defjvp(_own_gradient_jvp, symbolic_zeros=True)


def map_of_weight(
    rule: WeightMap, input: jax.Array, weight: jax.Array, like: Any = None
) -> jax.Array:
    """Return the product with a weight that is itself a tangent, linear in it.

    ``like`` is the product's type, where it is known.
    """
    operands = varying_like(weight, input), varying_like(input, weight)
    return _map.bind(*operands, rule=rule, like=like)


# --- the map, and the gradient that is its transpose; both are linear in each operand -----------


def _product(
    input: jax.Array, weight: jax.Array, *, rule: WeightMap, like: Any = None
) -> jax.Array:
    """Return the plain map's output; ``like`` is its type, where it is known."""
    return rule.product(input, weight, *rule.arguments)


def _gradient(input: jax.Array, output: jax.Array, *, rule: WeightMap, like: Any) -> jax.Array:
    """Return the gradient of the weight as JAX finds it, from that of the output.

    ``like`` is the weight's type; inside ``shard_map`` each device has its own gradient.
    """
    return jax.linear_transpose(functools.partial(_product, input, rule=rule), like)(output)[0]


def _input_gradient(
    output: jax.Array, input: Any, weight: jax.Array, *, rule: WeightMap, like: Any = None
) -> Any:
    """Return the gradient of the input, which is the plain map's."""
    map_input = functools.partial(_product, weight=weight, rule=rule)
    return jax.linear_transpose(map_input, input.aval)(output)[0]


def _primitive(name: str, plain: Callable[..., jax.Array]) -> Primitive:
    """Return a primitive that is this function, and is mapped and compiled as it."""
    primitive = Primitive(name)

    def abstract(*arrays: Any, like: Any, **params: Any) -> Any:
        # Known shapes need no trace of the function; on a mesh a type says more than that.
        if like is not None and all(array.sharding.mesh.empty for array in arrays):
            return ShapedArray(like.shape, like.dtype)
        found = jax.make_jaxpr(functools.partial(plain, like=like, **params))(*arrays)
        return found.out_avals[0]

    def batch(arrays: Any, axes: Any, **params: Any) -> tuple[jax.Array, int]:
        return jax.vmap(functools.partial(plain, **params), axes)(*arrays), 0

    # One compiled function: one made anew in every call would be compiled anew.
    primitive.def_impl(jax.jit(primitive.bind, static_argnames=("rule", "like")))
    primitive.def_abstract_eval(abstract)
    batching.primitive_batchers[primitive] = batch
    mlir.register_lowering(primitive, mlir.lower_fun(plain, multiple_results=False))
    return primitive


_map = _primitive("weight_map", _product)
_weight_gradient = _primitive("weight_gradient", _gradient)

ad.defbilinear(
    _map,
    _input_gradient,
    lambda output, input, weight, rule, like: _weight_gradient.bind(
        input, output, rule=rule, like=weight.aval
    ),
)
ad.defbilinear(
    _weight_gradient,
    lambda weight, input, output, rule, like: _input_gradient(output, input, weight, rule=rule),
    lambda weight, input, output, rule, like: _map.bind(input, weight, rule=rule, like=output.aval),
)


def _lower_on_cpu(context: Any, *operands: Any, rule: WeightMap, like: Any) -> Any:
    """Lower the gradient for CPUs: by the map's own form if all of it is on one device."""
    form = rule.gradient_on_cpu
    if form is None or _devices_of_the_compiler(context.module_context.axis_context) > 1:
        lower = mlir.lower_fun(_gradient, multiple_results=False)
        return lower(context, *operands, rule=rule, like=like)

    def by_form(input: jax.Array, output: jax.Array) -> jax.Array:
        return form(input, output, like, *rule.arguments)

    return mlir.lower_fun(by_form, multiple_results=False)(context, *operands)


mlir.register_lowering(_weight_gradient, _lower_on_cpu, platform="cpu")


def _devices_of_the_compiler(axes: Any) -> int:
    """Return over how many devices the compiler may spread an array; shard_map's are our own."""
    if isinstance(axes, mlir.SPMDAxisContext):
        own = axes.manual_axes
        return math.prod(size for name, size in axes.mesh.shape.items() if name not in own)
    return getattr(axes, "num_devices", 1)


# --- a product of rows and a matrix -------------------------------------------------------------


def _rows(input: jax.Array, weight: jax.Array) -> jax.Array:
    """Return the product of the vectors along the last axis and a matrix."""
    return jnp.dot(input, weight)


def _gradient_of_rows(input: jax.Array, output: jax.Array, weight: Any) -> jax.Array:
    """Return the gradient of the matrix as one product of matrices.

    JAX contracts over all axes of the rows at once, for which XLA transposes the output's gradient
    into a copy on CPUs, and multiplies that at less than half of the speed.
    """
    rows, columns = weight.shape
    return jnp.dot(input.reshape(-1, rows).T, output.reshape(-1, columns))


ROWS = WeightMap(_rows, _gradient_of_rows)
"""Vectors along the last axis, times a matrix."""

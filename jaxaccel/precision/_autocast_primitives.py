"""What each of JAX's primitives is to autocast: PyTorch's operation, and what else it does. Data.

Where the lists of a device say nothing of the operation, the second word decides.
"""

from __future__ import annotations

from typing import Final, NamedTuple

FOLLOW: Final = "follow"
"""In the widest dtype of its operands that are not mere numbers: PyTorch's promotion."""
EACH: Final = "each"
"""Each operand in the dtype that it has."""
ROUND_ONCE: Final = "round once"
"""A sum: computed in float32, returned in the operand's dtype, as PyTorch's kernels do."""
AS_TRACED: Final = "as traced"
"""In the dtypes that it was traced with: what knows no half precision, or holds functions."""
LOWER: Final = "lower"
"""In the region's dtype."""
WIDE: Final = "float32"
"""In float32."""
STRUCTURE: Final = "structure"
"""Holds functions, which are transformed."""


class Meaning(NamedTuple):
    """What a primitive is."""

    operation: str | None
    """Its name in PyTorch's lists."""
    otherwise: str
    """What it does where the lists do not name it."""


def _all(words: str, otherwise: str) -> dict[str, Meaning]:
    """Return the meaning of primitives that PyTorch's lists do not name."""
    return {name: Meaning(None, otherwise) for name in words.split()}


PRIMITIVES: Final[dict[str, Meaning]] = {
    # products
    "dot_general": Meaning("matmul", FOLLOW),
    "ragged_dot_general": Meaning("matmul", FOLLOW),
    "conv_general_dilated": Meaning("_convolution", FOLLOW),
    "weight_map": Meaning("matmul", FOLLOW),
    "weight_gradient": Meaning("matmul", FOLLOW),
    # functions of one array that PyTorch's lists name
    "acos": Meaning("acos", FOLLOW),
    "asin": Meaning("asin", FOLLOW),
    "cosh": Meaning("cosh", FOLLOW),
    "erf_inv": Meaning("erfinv", FOLLOW),
    "exp": Meaning("exp", FOLLOW),
    "expm1": Meaning("expm1", FOLLOW),
    "log": Meaning("log", FOLLOW),
    "log1p": Meaning("log1p", FOLLOW),
    "rsqrt": Meaning("rsqrt", FOLLOW),
    "sinh": Meaning("sinh", FOLLOW),
    "tan": Meaning("tan", FOLLOW),
    "pow": Meaning("pow", FOLLOW),
    "integer_pow": Meaning("pow", FOLLOW),
    "atan2": Meaning("atan2", FOLLOW),
    # sums
    "reduce_sum": Meaning("sum", ROUND_ONCE),
    "reduce_prod": Meaning("prod", ROUND_ONCE),
    "cumsum": Meaning("cumsum", ROUND_ONCE),
    "cumprod": Meaning("cumprod", ROUND_ONCE),
    "cumlogsumexp": Meaning("logsumexp", ROUND_ONCE),
    **_all("reduce_window_sum select_and_scatter_add select_and_gather_add", ROUND_ONCE),
    # joins
    "concatenate": Meaning("cat", FOLLOW),
    "stack": Meaning("stack", FOLLOW),
    "scatter": Meaning("index_put", FOLLOW),
    "scatter_add": Meaning("scatter_add", FOLLOW),
    "scatter-add": Meaning("scatter_add", FOLLOW),
    **_all(
        "scatter_sub scatter_mul scatter_min scatter_max scatter-sub scatter-mul scatter-min"
        " scatter-max dynamic_update_slice select_and_scatter",
        FOLLOW,
    ),
    # elementwise
    **_all(
        "abs acosh add add_any asinh atan atanh cbrt ceil clamp cos div eq eq_to erf erfc exp2"
        " floor ge gt imag is_finite le le_to lgamma logistic lt lt_to max min mul ne neg nextafter"
        " real rem round select_n sign sin sqrt square sub tanh digamma bessel_i0e bessel_i1e"
        " igamma igammac igamma_grad_a polygamma zeta regularized_incomplete_beta random_gamma_grad"
        " reduce_precision copy copy_p and or xor not clz population_count shift_left"
        " shift_right_arithmetic shift_right_logical mulhi conj dimension_size",
        FOLLOW,
    ),
    # shapes and places
    **_all(
        "broadcast_in_dim reshape squeeze transpose expand_dims rev slice dynamic_slice gather pad"
        " split unstack tile argmax argmin reduce_max reduce_min reduce_and reduce_or reduce_xor"
        " reduce_window_max reduce_window_min cummax cummin top_k approx_top_k convert_element_type"
        " stop_gradient",
        FOLLOW,
    ),
    **_all(
        "sort optimization_barrier name psum psum_invariant pmax pmin pbroadcast pcast pvary"
        " ppermute all_gather all_gather_invariant all_gather_reduced all_to_all ragged_all_to_all"
        " reduce_scatter unreduced_reduce_scatter unreduced_psum psum2 sharding_constraint reshard"
        " mesh_cast device_put layout_constraint axis_index broadcast_one_to_all",
        EACH,
    ),
    # makers, and what has no dtype that is cast
    **_all(
        "iota empty empty2 rng_uniform rng_bit_generator random_bits random_seed random_split"
        " random_fold_in random_wrap random_unwrap random_clone threefry2x32 create_token after_all"
        " platform_index partition_id axis_size",
        EACH,
    ),
    # no half precision, or the user's own programs
    **_all(
        "fft lu lu_pivots_to_permutation cholesky cholesky_update qr householder_product geqrf"
        " eig eigh svd schur hessenberg tridiagonal tridiagonal_solve triangular_solve linear_solve"
        " custom_linear_solve symmetric_product sylvester complex bitcast_convert_type reduce"
        " reduce_window pure_callback io_callback debug_callback debug_print pallas_call ffi_call"
        " custom_lin run_state run_scoped get swap addupdate ref_get ref_set new_ref free_ref"
        " empty_ref freeze mutable_array random_gamma root custom_root tpu_custom_call"
        " xla_metadata_value assert check checkify_check",
        AS_TRACED,
    ),
    **_all(
        "jit scan while cond remat2 custom_jvp_call custom_vjp_call shard_map closed_call"
        " core_call",
        STRUCTURE,
    ),
}

PRODUCTS: Final = frozenset(
    ("dot_general", "ragged_dot_general", "conv_general_dilated", "weight_map")
)
"""The primitives whose results a bias may be added to."""

STRETCHES: Final = frozenset(_all("add sub mul div max min rem pow atan2 nextafter", FOLLOW))
"""The primitives that repeat an operand along its axes of length 1."""

SCALES: Final = frozenset(("add", "sub", "mul", "div"))
"""The primitives that take a number with all its digits, whatever the other operand's dtype."""

KEEPS_NUMBERS: Final = frozenset(
    (
        "broadcast_in_dim",
        "reshape",
        "squeeze",
        "transpose",
        "expand_dims",
        "copy",
        "convert_element_type",
    )
)
"""The primitives through which a vector stays a vector, and a product a product."""

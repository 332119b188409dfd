"""Rows for attention as a function.

``kwargs`` go to both functions. Options: ``shapes`` of query, key and value; ``masks``,
{argument: (kind, shape)} where a ``"bool"`` mask hides some keys, a ``"float"`` one adds numbers,
and ``"hidden"`` hides every key of some queries. ``weights`` of multi-head attention are its other
arrays, {argument: shape in PyTorch}, and ``nan`` says that NaN is right.
"""

from parity_tests.registry import Case

Q, K, V = (2, 3, 4, 8), (2, 3, 5, 8), (2, 3, 5, 6)
_SEVEN = ((3, 7, 8), (3, 5, 8), (3, 5, 6))
_FUNCTION = [
    ("defaults", {}),
    ("causal", {"is_causal": True}),
    ("causal square", {"is_causal": True}, {"shapes": (Q, Q, Q)}),
    ("causal more queries", {"is_causal": True}, {"shapes": (K, Q, (2, 3, 4, 6))}),
    ("no dropout", {"dropout_p": 0.0}),
    ("scale", {"scale": 0.7}),
    ("scale negative", {"scale": -0.3, "is_causal": True}),
    ("boolean mask", {}, {"masks": {"attn_mask": ("bool", (4, 5))}}),
    ("boolean mask of heads", {}, {"masks": {"attn_mask": ("bool", (3, 1, 5))}}),
    ("float mask", {}, {"masks": {"attn_mask": ("float", (2, 1, 4, 5))}}),
    ("float mask whole", {"scale": 2.0}, {"masks": {"attn_mask": ("float", (2, 3, 4, 5))}}),
    ("boolean mask hides all", {}, {"masks": {"attn_mask": ("hidden bool", (2, 1, 4, 5))}}),
    ("float mask hides all", {}, {"masks": {"attn_mask": ("hidden float", (4, 5))}}),
    ("one head", {}, {"shapes": (Q[2:], K[2:], V[2:])}),
    ("one sample", {"is_causal": True}, {"shapes": (Q[1:], K[1:], V[1:])}),
    ("five axes", {}, {"shapes": ((2, *Q), (2, *K), (2, *V))}),
    ("keys broadcast", {}, {"shapes": (Q, (1, 3, 5, 8), (2, 1, 5, 6))}),
    ("keys without batch", {}, {"shapes": (Q, K[1:], V[1:])}),
    ("queries broadcast", {}, {"shapes": (Q[2:], K, V)}),
    ("grouped queries", {"enable_gqa": True}, {"shapes": ((2, 6, 4, 8), K, V)}),
    (
        "grouped queries mask",
        {"enable_gqa": True, "scale": 0.5},
        {
            "shapes": ((2, 6, 4, 8), (2, 2, 5, 8), (2, 3, 5, 6)),
            "masks": {"attn_mask": ("float", (6, 4, 5))},
        },
    ),
    ("grouped queries one sample", {"enable_gqa": True}, {"shapes": ((6, 4, 8), K[1:], V[1:])}),
    (
        "seven queries masks",
        {},
        {
            "shapes": ((3, 7, 8), (1, 5, 8), (3, 5, 6)),
            "masks": {"attn_mask": ("hidden float", (3, 7, 5))},
        },
    ),
    ("seven queries mask of keys", {}, {"shapes": _SEVEN, "masks": {"attn_mask": ("bool", (5,))}}),
    ("seven queries mask", {}, {"shapes": _SEVEN, "masks": {"attn_mask": ("float", (1, 5))}}),
    ("seven queries causal", {"is_causal": True}, {"shapes": ((7, 8), (9, 8), (9, 6))}),
    ("no queries", {}, {"shapes": ((2, 3, 0, 8), K, V)}),
    ("no keys", {}, {"shapes": (Q, (2, 3, 0, 8), (2, 3, 0, 6))}),
    ("empty vectors", {}, {"shapes": ((2, 3, 4, 0), (2, 3, 5, 0), V)}),
]
FUNCTION = [
    Case(
        "functional.scaled_dot_product_attention",
        kwargs,
        "torch.nn.functional.scaled_dot_product_attention",
        why,
        {"shapes": (Q, K, V), **dict(*options)},
    )
    for why, kwargs, *options in _FUNCTION
]

E = 8
_PACKED = {"in_proj_weight": (3 * E, E), "in_proj_bias": (3 * E,)}
_SEPARATE = {"q_proj_weight": (E, E), "k_proj_weight": (E, 5), "v_proj_weight": (E, 3)}
_KERNELS = ("in_proj_weight", "out_proj_weight")
_OUT = {"out_proj_weight": (E, E), "out_proj_bias": (E,)}
_MORE = {"bias_k": (1, 1, E), "bias_v": (1, 1, E)}
_CROSS = ((4, 2, E), (5, 2, E), (5, 2, E))
_MASKS = {"attn_mask": ("float", (4, 4, 5)), "key_padding_mask": ("float", (2, 5))}
_FORWARD = [
    ("defaults", {}, {"weights": _PACKED | _OUT}),
    ("no biases", {}, {"weights": {name: (_PACKED | _OUT)[name] for name in _KERNELS}}),
    ("not training", {"dropout_p": 0.5, "training": False}, {"weights": _PACKED | _OUT}),
    (
        "separate weights",
        {"use_separate_proj_weight": True},
        {
            "shapes": ((4, 2, E), (5, 2, 5), (5, 2, 3)),
            "weights": _SEPARATE | {"in_proj_bias": (3 * E,)} | _OUT,
        },
    ),
    (
        "masks and more keys",
        {"add_zero_attn": True, "average_attn_weights": False},
        {"weights": _PACKED | _OUT | _MORE, "masks": _MASKS},
    ),
    (
        "hidden without weights",
        {"need_weights": False},
        {"weights": _PACKED | _OUT, "masks": {"attn_mask": ("hidden bool", (4, 5))}},
    ),
    (
        "causal instead of the mask",
        {"need_weights": False, "is_causal": True},
        {
            "shapes": ((4, 2, E),) * 3,
            "weights": _PACKED | _OUT,
            "masks": {"attn_mask": ("bool", (4, 4))},
        },
    ),
    (
        "hidden",
        {},
        {"weights": _PACKED | _OUT, "masks": {"attn_mask": ("hidden bool", (4, 5))}, "nan": True},
    ),
    ("no batch", {"num_heads": 4}, {"shapes": ((4, E), (5, E), (5, E)), "weights": _PACKED | _OUT}),
]
FORWARD = [
    Case(
        "functional.multi_head_attention_forward",
        {"embed_dim_to_check": E, "num_heads": 2, "add_zero_attn": False, "dropout_p": 0.0}
        | kwargs,
        "torch.nn.functional.multi_head_attention_forward",
        why,
        {"shapes": _CROSS, **options},
    )
    for why, kwargs, options in _FORWARD
]

CASES = [*FUNCTION, *FORWARD]

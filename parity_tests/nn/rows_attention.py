"""Rows for attention and the transformer encoder of ``jaxaccel.nn``.

``kwargs`` go to both constructors. Options: ``shapes`` of the inputs, one for self-attention;
``call``, further arguments of the call; ``masks`` as in ``functional/rows_attention.py``, where
``"causal"`` is the layers' boolean causal mask; ``mode`` is ``"eval"`` where it is not training;
``nan`` says that NaN is right. A stack's ``encoder_layer`` has the arguments of the layer, and its
``norm`` those of a ``LayerNorm``.
"""

from parity_tests.registry import Case

_SELF = ((4, 2, 8),)
_CROSS = ((4, 2, 8), (5, 2, 8), (5, 2, 8))
_NO_WEIGHTS = {"call": {"need_weights": False}}
_PADDING = {"key_padding_mask": ("bool", (2, 5))}
_MORE_KEYS = {"add_bias_kv": True, "add_zero_attn": True}
_ATTENTION = [
    ("defaults", {}, {}),
    ("no weights", {}, _NO_WEIGHTS),
    ("weights of heads", {}, {"call": {"average_attn_weights": False}}),
    ("other keys", {}, {"shapes": _CROSS}),
    ("other keys no weights", {}, {"shapes": _CROSS, **_NO_WEIGHTS}),
    ("no dropout", {"dropout": 0.0}, {}),
    ("dropout in evaluation", {"dropout": 0.9}, {"mode": "eval"}),
    ("no bias", {"bias": False}, {}),
    ("batch first", {"batch_first": True}, {"shapes": ((2, 4, 8), (2, 5, 8), (2, 5, 8))}),
    ("no batch", {}, {"shapes": ((4, 8), (5, 8), (5, 8))}),
    ("no batch batch first", {"batch_first": True}, {"shapes": ((4, 8),)}),
    ("kdim", {"kdim": 5}, {"shapes": ((4, 2, 8), (5, 2, 5), (5, 2, 8))}),
    (
        "vdim no bias",
        {"vdim": 6, "bias": False, "add_bias_kv": True},
        {"shapes": ((4, 2, 8), (5, 2, 8), (5, 2, 6)), **_NO_WEIGHTS},
    ),
    ("kdim vdim", {"kdim": 5, "vdim": 3}, {"shapes": ((4, 2, 8), (5, 2, 5), (5, 2, 3))}),
    ("bias kv", {"add_bias_kv": True}, {}),
    ("bias kv wide", {"embed_dim": 32, "add_bias_kv": True}, {"shapes": ((4, 2, 32),)}),
    ("zero attention", {"add_zero_attn": True}, {"call": {"average_attn_weights": False}}),
    ("bias kv zero attention", _MORE_KEYS, {"call": {"average_attn_weights": False}}),
    ("one head", {"num_heads": 1}, {}),
    ("as many heads", {"num_heads": 8}, _NO_WEIGHTS),
    *(
        (f"{why}{' no weights' if need else ''}", {}, {"shapes": _CROSS, "masks": masks, **need})
        for need in ({}, _NO_WEIGHTS)
        for why, masks in [
            ("padding", _PADDING),
            ("padding float", {"key_padding_mask": ("float", (2, 5))}),
            ("mask", {"attn_mask": ("bool", (4, 5))}),
            ("mask float", {"attn_mask": ("float", (4, 5))}),
            ("mask of heads", {"attn_mask": ("bool", (4, 4, 5))}),
            ("mask float of heads padding", {"attn_mask": ("float", (4, 4, 5)), **_PADDING}),
            ("mask and padding", {"attn_mask": ("bool", (4, 5)), **_PADDING}),
        ]
    ),
    (
        "mask hides all no weights",
        {},
        {"masks": {"attn_mask": ("hidden bool", (4, 4))}, **_NO_WEIGHTS},
    ),
    ("mask hides all", {}, {"masks": {"attn_mask": ("hidden bool", (4, 4))}, "nan": True}),
    (
        "no batch masks",
        {},
        {
            "shapes": ((4, 8), (5, 8), (5, 8)),
            "masks": {"attn_mask": ("bool", (2, 4, 5)), "key_padding_mask": ("bool", (5,))},
        },
    ),
    *(
        (
            f"{why} masks{' no weights' if need else ''}",
            {argument: True, "bias": bool(need)},
            {
                "masks": {"attn_mask": ("bool", (4, 4)), "key_padding_mask": ("bool", (2, 4))},
                **need,
            },
        )
        for need in ({}, _NO_WEIGHTS)
        for why, argument in (("bias kv", "add_bias_kv"), ("zero attention", "add_zero_attn"))
    ),
    *(
        (
            f"causal hint {why}",
            kwargs,
            {
                "masks": {"attn_mask": ("causal", (4, 4)), **mask},
                "call": {"is_causal": True, **call},
            },
        )
        for why, kwargs, mask, call in [
            ("weights", {}, {}, {}),
            ("no weights", {}, {}, {"need_weights": False}),
            ("weights bias kv", _MORE_KEYS, {}, {}),
            ("no weights bias kv", _MORE_KEYS, {}, {"need_weights": False}),
            ("untrue", {}, {"attn_mask": ("bool", (4, 4))}, {}),
            ("untrue no weights", {}, {"attn_mask": ("bool", (4, 4))}, {"need_weights": False}),
            ("padding", {}, {"key_padding_mask": ("bool", (2, 4))}, {"need_weights": False}),
        ]
    ),
]
ATTENTION = [
    Case(
        "nn.MultiheadAttention",
        {"embed_dim": 8, "num_heads": 2, **kwargs},
        "torch.nn.MultiheadAttention",
        why,
        {"shapes": _SELF, **options},
    )
    for why, kwargs, options in _ATTENTION
]

_CAUSAL = {"call": {"is_causal": True}}
_LAYER = [
    ("defaults", {"dropout": 0.1}, {"mode": "eval"}),
    ("no dropout", {}, {}),
    ("norm first", {"norm_first": True}, {}),
    ("gelu", {"activation": "gelu"}, {}),
    ("relu", {"activation": "relu"}, {}),
    ("batch first", {"batch_first": True}, {"shapes": ((2, 4, 8),)}),
    ("eps", {"layer_norm_eps": 1e-1}, {}),
    ("no bias", {"bias": False, "norm_first": True}, {}),
    ("no batch", {}, {"shapes": ((4, 8),)}),
    ("mask", {}, {"masks": {"src_mask": ("bool", (4, 4))}}),
    ("mask of heads", {}, {"masks": {"src_mask": ("float", (4, 4, 4))}}),
    (
        "padding causal",
        {"batch_first": True},
        {
            "shapes": ((2, 4, 8),),
            "masks": {"src_mask": ("causal", (4, 4)), "src_key_padding_mask": ("bool", (2, 4))},
            **_CAUSAL,
        },
    ),
    ("causal", {"norm_first": True}, {"masks": {"src_mask": ("causal", (4, 4))}, **_CAUSAL}),
]
LAYER = [
    Case(
        "nn.TransformerEncoderLayer",
        {"d_model": 8, "nhead": 2, "dim_feedforward": 12, "dropout": 0.0, **kwargs},
        "torch.nn.TransformerEncoderLayer",
        why,
        {"shapes": _SELF, **options},
    )
    for why, kwargs, options in _LAYER
]

_STACK = [
    ("defaults", {"num_layers": 2}, {}, {}),
    ("norm", {"num_layers": 2, "norm": 8}, {"norm_first": True}, {}),
    ("one layer", {"num_layers": 1}, {"bias": False}, {}),
    (
        "padding",
        {"num_layers": 2},
        {"batch_first": True},
        {"shapes": ((2, 4, 8),), "masks": {"src_key_padding_mask": ("bool", (2, 4))}},
    ),
    ("mask", {"num_layers": 2}, {}, {"masks": {"mask": ("float", (4, 4))}}),
    ("causal", {"num_layers": 2}, {}, {"masks": {"mask": ("causal", (4, 4))}, **_CAUSAL}),
    ("causal unsaid", {"num_layers": 2}, {}, {"masks": {"mask": ("causal", (4, 4))}}),
]
STACK = [
    Case(
        "nn.TransformerEncoder",
        {
            "encoder_layer": {"d_model": 8, "nhead": 2, "dim_feedforward": 12, "dropout": 0.0}
            | layer,
            **kwargs,
        },
        "torch.nn.TransformerEncoder",
        why,
        {"shapes": _SELF, **options},
    )
    for why, kwargs, layer, options in _STACK
]

LAYERS = [*ATTENTION, *LAYER, *STACK]
CASES = LAYERS

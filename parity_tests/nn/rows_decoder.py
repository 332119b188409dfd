"""Rows for the transformer decoder of ``jaxaccel.nn`` and the whole transformer.

The options are those of ``rows_attention.py``; the shapes are those of target and memory, or of
source and target.
"""

from parity_tests.registry import Case

_SHAPES = ((4, 2, 8), (5, 2, 8))
_BATCH_FIRST = ((2, 4, 8), (2, 5, 8))
_SIZES = {"d_model": 8, "nhead": 2, "dim_feedforward": 12}
_MASKS = {
    "tgt_mask": ("causal", (4, 4)),
    "memory_mask": ("float", (4, 5)),
    "tgt_key_padding_mask": ("bool", (2, 4)),
    "memory_key_padding_mask": ("bool", (2, 5)),
}

LAYER = [
    Case(
        "nn.TransformerDecoderLayer",
        {**_SIZES, "dropout": 0.0, **kwargs},
        "torch.nn.TransformerDecoderLayer",
        why,
        {"shapes": _SHAPES, **options},
    )
    for why, kwargs, options in [
        ("defaults", {"dropout": 0.1}, {"mode": "eval"}),
        (
            *("norm first", {"norm_first": True, "activation": "gelu", "batch_first": True}),
            {"shapes": _BATCH_FIRST, "masks": _MASKS},
        ),
        (
            *("no bias no batch", {"bias": False, "activation": "relu", "layer_norm_eps": 0.1}),
            {
                "shapes": ((4, 8), (4, 8)),
                # The hints take the place of the masks, true or not.
                "masks": {"tgt_mask": ("bool", (4, 4)), "memory_mask": ("bool", (4, 4))},
                "call": {"tgt_is_causal": True, "memory_is_causal": True},
            },
        ),
    ]
]
STACK = [
    Case(
        "nn.TransformerDecoder",
        {"decoder_layer": {**_SIZES, "dropout": 0.0}, "num_layers": 2, "norm": 8},
        "torch.nn.TransformerDecoder",
        "defaults",
        {"shapes": _SHAPES, "masks": {"tgt_mask": _MASKS["tgt_mask"]}},
    )
]
MODEL = [
    Case(
        "nn.Transformer",
        {**_SIZES, "num_encoder_layers": 2, "num_decoder_layers": 1, "dropout": 0.0, **kwargs},
        "torch.nn.Transformer",
        why,
        {"shapes": _BATCH_FIRST, **options},
    )
    for why, kwargs, options in [
        (
            "defaults",
            {"batch_first": True, "activation": "gelu"},
            {
                "masks": {
                    "tgt_mask": ("causal", (5, 5)),
                    "src_key_padding_mask": ("bool", (2, 4)),
                    "memory_key_padding_mask": ("bool", (2, 4)),
                },
                "call": {"tgt_is_causal": True},
            },
        ),
        (
            "options",
            {"norm_first": True, "bias": False, "layer_norm_eps": 0.1},
            {"shapes": _SHAPES, "masks": {"src_mask": ("float", (4, 4))}},
        ),
    ]
]
CASES = [*LAYER, *STACK, *MODEL]

"""Rows for ``jaxaccel.transforms``.

Options: ``scale``, of the random gradients; ``plant``, a number put among them; ``grads``, exact
gradients instead; ``real_only``, why there is no complex leaf; ``low_precision``, why the row has
no half-precision run; ``inner``, the row of the transform that this one is put around.
"""

from parity_tests.optimizers.rows_hyperparameters import decaying
from parity_tests.registry import Case

NAN, INF = float("nan"), float("inf")


def shrinking(step):
    """A clipping bound that halves with every step."""
    return 4.0 * 0.5 ** (step.astype(float) if hasattr(step, "astype") else float(step))


def _rows(function, oracle, rows):
    return [Case(function, kwargs, oracle, why, *rest) for why, kwargs, *rest in rows]


PYTHAGORAS = {"grads": {"w": [3.0], "b": [0.0, -4.0]}}
"""Gradients whose norm is 5 exactly, in every precision."""

CLIP_GRAD_NORM = _rows(
    "transforms.clip_grad_norm",
    "torch.nn.utils.clip_grad_norm_",
    [
        ("max norm below", {"max_norm": 1.0}),
        ("max norm above", {"max_norm": 1e3}, {"quick": "nothing is scaled up"}),
        ("max norm equal", {"max_norm": 5.0}, PYTHAGORAS),
        ("max norm just above", {"max_norm": 5.000002}, PYTHAGORAS),
        ("max norm zero", {"max_norm": 0.0}),
        ("max norm integer", {"max_norm": 1}),
        ("max norm infinite", {"max_norm": INF}),
        ("max norm schedule", {"max_norm": shrinking}),
        ("norm type one", {"max_norm": 1.0, "norm_type": 1}),
        ("norm type three", {"max_norm": 1.0, "norm_type": 3.0}),
        ("norm type half", {"max_norm": 1.0, "norm_type": 0.5}),
        ("norm type zero", {"max_norm": 1.0, "norm_type": 0}),
        ("norm type inf", {"max_norm": 1.0, "norm_type": INF}),
        ("norm type inf as text", {"max_norm": 1.0, "norm_type": "inf"}),
        ("norm type minus inf", {"max_norm": 1e-3, "norm_type": -INF}),
        ("norm type negative", {"max_norm": 1e-3, "norm_type": -1.0}),
        ("norm type schedule of max norm", {"max_norm": shrinking, "norm_type": 1.0}),
        # Where optax.clip_by_global_norm parts from PyTorch.
        ("tiny norm", {"max_norm": 1e-5}, {"scale": 1e-5}),
        ("tinier norm", {"max_norm": 1e-7}, {"scale": 1e-8}),
        ("norm that half precision cannot hold", {"max_norm": 1.0}, {"scale": 4e3}),
        ("zero gradients", {"max_norm": 1.0}, {"scale": 0.0}),
        ("zero gradients and max norm", {"max_norm": 0.0}, {"scale": 0.0}),
        ("nan", {"max_norm": 1.0}, {"plant": NAN}),
        ("inf", {"max_norm": 1.0}, {"plant": INF}),
        ("minus inf and norm type inf", {"max_norm": 1.0, "norm_type": INF}, {"plant": -INF}),
        ("nan and norm type inf", {"max_norm": 1.0, "norm_type": INF}, {"plant": NAN}),
        ("error if nonfinite, finite", {"max_norm": 1.0, "error_if_nonfinite": True}),
    ],
)

REAL = {"real_only": "complex numbers have no order"}
CLIP_GRAD_VALUE = _rows(
    "transforms.clip_grad_value",
    "torch.nn.utils.clip_grad_value_",
    [
        ("some", {"clip_value": 0.5}, REAL),
        ("none", {"clip_value": 1e3}, REAL),
        ("all", {"clip_value": 1e-3}, REAL),
        ("bound met", {"clip_value": 3.0}, PYTHAGORAS | REAL),
        ("zero", {"clip_value": 0.0}, REAL),
        ("integer", {"clip_value": 1}, REAL),
        ("infinite", {"clip_value": INF}, REAL),
        ("schedule", {"clip_value": shrinking}, REAL),
        ("nan", {"clip_value": 0.5}, {"plant": NAN, **REAL}),
        ("inf", {"clip_value": 0.5}, {"plant": -INF, **REAL}),
    ],
)

GET_TOTAL_NORM = _rows(
    "transforms.get_total_norm",
    "torch.nn.utils.get_total_norm",
    [
        ("defaults", {}),
        ("exact", {}, PYTHAGORAS),
        ("one", {"norm_type": 1.0}),
        ("integer", {"norm_type": 3}),
        ("half", {"norm_type": 0.5}),
        ("zero", {"norm_type": 0.0}),
        ("inf", {"norm_type": INF}),
        ("minus inf", {"norm_type": -INF}),
        ("finite and checked", {"error_if_nonfinite": True}),
        ("tiny", {}, {"scale": 1e-8}),
        ("zeros", {}, {"scale": 0.0}),
        ("nan", {}, {"plant": NAN}),
        ("inf planted", {}, {"plant": INF}),
        ("empty", {}, {"grads": {}}),
        ("empty leaf", {}, {"grads": {"w": [], "b": [2.0]}}),
    ],
)

CLIP_GRADS_WITH_NORM = _rows(
    "transforms.clip_grads_with_norm",
    "torch.nn.utils.clip_grads_with_norm_",
    [
        ("above", {"max_norm": 1.0, "total_norm": 4.0}),
        ("below", {"max_norm": 8.0, "total_norm": 4.0}),
        ("equal", {"max_norm": 4.0, "total_norm": 4.0}),
        ("not the true norm", {"max_norm": 1.0, "total_norm": 1e6}),
        ("total norm zero", {"max_norm": 1e-7, "total_norm": 0.0}),
        ("total norm tiny", {"max_norm": 1e-6, "total_norm": 1e-5}),
        ("total norm inf", {"max_norm": 1.0, "total_norm": INF}),
        ("total norm nan", {"max_norm": 1.0, "total_norm": NAN}),
    ],
)


def tables_stay(path):
    """Kernels as PyTorch keeps them, an embedding table as both do."""
    return "flax" if path.endswith("embedding") else "torch"


CENTRALIZE_GRADIENTS = _rows(
    "transforms.centralize_gradients",
    "paper",
    [
        ("defaults", {}),
        ("torch layout", {"layout": "torch"}),
        ("layout by path", {"layout": tables_stay}),
        ("conv only", {"conv_only": True}),
        ("conv only in torch layout", {"conv_only": True, "layout": "torch"}),
        ("tiny", {}, {"scale": 1e-12}),
        ("beyond half precision", {"layout": "torch"}, {"scale": 1e3}),
    ],
)

SGD = Case("optimizers.sgd", {"lr": 0.1, "momentum": 0.9}, "torch.optim.SGD", "momentum")
ADAMW = Case("optimizers.adamw", {"lr": 0.05, "weight_decay": 0.1}, "torch.optim.AdamW", "decay")
SCHEDULED = Case("optimizers.adamw", {"lr": decaying}, "torch.optim.AdamW", "schedule")

ACCUMULATE_GRADIENTS = _rows(
    "transforms.accumulate_gradients",
    "(loss / A).backward()",
    [
        ("steps one", {"steps": 1}, {"inner": ADAMW}),
        ("steps two with momentum", {"steps": 2}, {"inner": SGD}),
        ("steps three with adamw", {"steps": 3}, {"inner": ADAMW}),
        ("steps four under a schedule", {"steps": 4}, {"inner": SCHEDULED}),
        ("steps beyond the run", {"steps": 1000}, {"inner": SGD}),
    ],
)


def warming(n_averaged):
    """A decay factor that rises from 0.1, as averages are often warmed up."""
    n = n_averaged.astype(float) if hasattr(n_averaged, "astype") else float(n_averaged)
    return (1 + n) / (10 + n)


_DECAYS = [
    ("defaults", {}),
    ("decay near one", {"decay": 0.9999}),
    ("decay below one half", {"decay": 0.3}),
    ("decay zero", {"decay": 0.0}),
    ("decay one", {"decay": 1}),
    ("decay schedule", {"decay": warming}),
]
AVERAGES = [
    *_rows(
        "transforms.exponential_moving_average", "torch.optim.swa_utils.get_ema_avg_fn", _DECAYS
    ),
    *_rows(
        "transforms.exponential_moving_average",
        "torch.optim.swa_utils.get_ema_multi_avg_fn",
        _DECAYS,
    ),
    *_rows(
        "transforms.stochastic_weight_average",
        "torch.optim.swa_utils.get_swa_avg_fn",
        [("defaults", {})],
    ),
    *_rows(
        "transforms.stochastic_weight_average",
        "torch.optim.swa_utils.get_swa_multi_avg_fn",
        [("defaults", {})],
    ),
]

CLIPS = [*CLIP_GRAD_NORM, *CLIP_GRAD_VALUE]
CASES = [
    *CLIPS,
    *GET_TOTAL_NORM,
    *CLIP_GRADS_WITH_NORM,
    *CENTRALIZE_GRADIENTS,
    *ACCUMULATE_GRADIENTS,
    *AVERAGES,
]

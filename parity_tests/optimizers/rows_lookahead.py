"""Rows for ``jaxaccel.optimizers.lookahead``.

Options: ``inner``, the row of the optimizer inside; its oracle runs inside the paper's formula.
"""

from parity_tests.optimizers.rows_hyperparameters import decaying, rising
from parity_tests.registry import Case

SGD = Case("optimizers.sgd", {"lr": 0.1}, "torch.optim.SGD", "plain")
MOMENTUM = Case("optimizers.sgd", {"lr": 0.1, "momentum": 0.9}, "torch.optim.SGD", "momentum")
ADAMW = Case("optimizers.adamw", {"lr": 0.05, "weight_decay": 0.1}, "torch.optim.AdamW", "decay")
SCHEDULED = Case("optimizers.adamw", {"lr": decaying}, "torch.optim.AdamW", "schedule")

CASES = [
    Case("optimizers.lookahead", kwargs, "paper", why, {"inner": inner})
    for why, kwargs, inner in [
        ("defaults with sgd", {}, SGD),
        ("defaults with momentum", {}, MOMENTUM),
        ("defaults with adamw", {}, ADAMW),
        ("adamw under a schedule", {}, SCHEDULED),
        ("k one", {"k": 1}, ADAMW),
        ("k seven", {"k": 7}, MOMENTUM),
        ("k beyond the run", {"k": 1000}, ADAMW),
        ("alpha small", {"alpha": 0.1}, ADAMW),
        ("alpha large", {"k": 3, "alpha": 0.8}, ADAMW),
        ("alpha zero", {"alpha": 0.0}, MOMENTUM),
        ("alpha one", {"alpha": 1.0}, ADAMW),
        ("alpha beyond one", {"k": 2, "alpha": 1.5}, SGD),
        ("alpha integer", {"alpha": 1}, SGD),
        ("alpha schedule", {"k": 2, "alpha": rising}, ADAMW),
        ("start", {"start": 4}, ADAMW),
        ("start and a falling alpha", {"k": 3, "start": 5, "alpha": decaying}, MOMENTUM),
        ("start beyond the run", {"start": 1000}, SGD),
    ]
]

"""Rows for the cells of ``jaxaccel.nn``, one step of its recurrent layers.

``kwargs`` go to both constructors. Options: ``shape``, of the input; ``states``, that they are
given.
"""

from parity_tests.registry import Case

SIZES = {"input_size": 5, "hidden_size": 4}
EVERY_KIND = [
    ("defaults", {}, (3, 5), True),
    ("no states", {}, (3, 5), False),
    ("no bias", {"bias": False}, (3, 5), True),
    ("one row", {}, (5,), True),
]
CASES = [
    Case(
        f"nn.{name}",
        SIZES | kwargs,
        f"torch.nn.{name}",
        why,
        {"shape": shape, "states": states},
    )
    for name, rows in {
        "RNNCell": [*EVERY_KIND, ("relu", {"nonlinearity": "relu"}, (3, 5), True)],
        "LSTMCell": EVERY_KIND,
        "GRUCell": EVERY_KIND,
    }.items()
    for why, kwargs, shape, states in rows
]

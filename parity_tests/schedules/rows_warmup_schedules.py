"""Rows for the schedules that users know from Transformers, and for ``scale_lr``.

PyTorch has none of them: their judge is ``LambdaLR`` with a lambda of the published formula, which
is what ``oracle`` means. Option ``length``: the natural length in steps.
"""

import math

from parity_tests.registry import Case

MILLION = 1_000_000
PRIME = 999_983


def _rows(function, rows):
    return [Case(function, kwargs, "formula", why, {"length": n}) for why, n, kwargs in rows]


def _steps(lr, warmup, training, **kwargs):
    """Return the arguments that both cosines begin with."""
    return {"lr": lr, "num_warmup_steps": warmup, "num_training_steps": training, **kwargs}


def _phases(warmup, decay, **kwargs):
    """Return the arguments that the three phases begin with."""
    return {"lr": 0.1, "num_warmup_steps": warmup, "num_decay_steps": decay, **kwargs}


WARMUP = _rows(
    "schedules.constant_schedule_with_warmup",
    [
        ("plain", 20, {"lr": 0.1, "num_warmup_steps": 20}),
        ("no warmup", 5, {"lr": 0.1, "num_warmup_steps": 0}),
        ("one step", 5, {"lr": 0.1, "num_warmup_steps": 1}),
        ("lr zero", 5, {"lr": 0.0, "num_warmup_steps": 3}),
        ("a thousand steps", 1000, {"lr": 3e-4, "num_warmup_steps": 1000}),
    ],
)

CONSTANT = _rows(
    "schedules.constant_schedule",
    [("plain", 5, {"lr": 0.1}), ("lr zero", 5, {"lr": 0.0})],
)

LINEAR = _rows(
    "schedules.linear_schedule_with_warmup",
    [
        ("plain", 100, _steps(0.1, 20, 100)),
        ("no warmup", 100, _steps(0.1, 0, 100)),
        ("warmup all the way", 20, _steps(0.1, 20, 20)),
        ("no steps", 5, _steps(0.1, 0, 0)),
        ("lr zero", 20, _steps(0.0, 5, 20)),
        ("a thousand steps", 1000, _steps(3e-4, 100, 1000)),
    ],
)

POLYNOMIAL = _rows(
    "schedules.polynomial_decay_schedule_with_warmup",
    [
        ("defaults", 100, _steps(0.1, 20, 100)),
        ("no warmup", 100, _steps(0.1, 0, 100)),
        ("lr end", 100, _steps(0.1, 20, 100, lr_end=0.01)),
        ("lr end zero", 50, _steps(0.1, 20, 50, lr_end=0.0, power=2.0)),
        ("power", 50, _steps(0.1, 20, 50, power=0.5)),
        ("power zero", 30, _steps(0.1, 10, 30, power=0, lr_end=0.02)),
        ("one step of decay", 20, _steps(0.1, 19, 20, lr_end=0.02)),
        ("a thousand steps", 1000, _steps(3e-4, 100, 1000, lr_end=1e-5, power=3.0)),
    ],
)

COSINE = _rows(
    "schedules.cosine_schedule_with_warmup",
    [
        ("defaults", 100, _steps(0.1, 20, 100)),
        ("no warmup", 100, _steps(0.1, 0, 100)),
        ("whole cycles", 100, _steps(0.1, 10, 100, num_cycles=3)),
        ("cycle and a half", 99, _steps(0.1, 10, 99, num_cycles=1.5)),
        ("broken cycles", 100, _steps(0.1, 10, 100, num_cycles=0.7)),
        ("a cycle of few steps", 30, _steps(0.1, 5, 30, num_cycles=11.3)),
        ("no cycle", 30, _steps(0.1, 5, 30, num_cycles=0)),
        ("warmup all the way", 20, _steps(0.1, 20, 20)),
        ("no steps", 5, _steps(0.1, 0, 0, num_cycles=0.3)),
        ("a thousand steps", 1000, _steps(3e-4, 100, 1000)),
    ],
)

FLOOR = _rows(
    "schedules.cosine_with_min_lr_schedule_with_warmup",
    [
        ("min lr", 100, _steps(0.1, 20, 100, min_lr=0.01)),
        ("min lr rate", 100, _steps(0.1, 20, 100, min_lr_rate=0.1)),
        ("min lr zero", 50, _steps(0.1, 10, 50, min_lr=0.0)),
        ("min lr above lr", 50, _steps(0.1, 5, 50, min_lr=0.2, num_cycles=0.8)),
        ("min lr rate of lr zero", 20, _steps(0.0, 5, 20, min_lr_rate=0.1)),
        ("held", 60, _steps(0.1, 20, 60, min_lr=0.01, hold_min_lr=True)),
        ("held rate", 60, _steps(0.1, 0, 60, min_lr_rate=0.1, hold_min_lr=True)),
        ("cycle and a half", 60, _steps(0.1, 9, 60, min_lr=0.01, num_cycles=1.5)),
        (
            "held after a cycle and a half",
            60,
            _steps(0.1, 9, 60, min_lr=0.01, num_cycles=1.5, hold_min_lr=True),
        ),
        ("warmup all the way", 20, _steps(0.1, 20, 20, min_lr=0.01, hold_min_lr=True)),
        ("a thousand steps", 1000, _steps(6e-4, 100, 1000, min_lr=6e-5, hold_min_lr=True)),
    ],
)

RESTARTS = _rows(
    "schedules.cosine_with_hard_restarts_schedule_with_warmup",
    [
        ("defaults", 100, _steps(0.1, 20, 100)),
        ("falls of equal length", 100, _steps(0.1, 10, 100, num_cycles=6)),
        ("falls between steps", 100, _steps(0.1, 7, 100, num_cycles=4)),
        ("no warmup", 100, _steps(0.1, 0, 100, num_cycles=3)),
        ("as many falls as steps", 25, _steps(0.1, 5, 25, num_cycles=20)),
        ("more falls than steps", 25, _steps(0.1, 5, 25, num_cycles=27)),
        ("restarts that rounding would miss", 108, _steps(0.1, 10, 108, num_cycles=49)),
        ("warmup all the way", 20, _steps(0.1, 20, 20, num_cycles=2)),
        ("a thousand steps", 1000, _steps(3e-4, 100, 1000, num_cycles=7)),
    ],
)

INVERSE_SQRT = _rows(
    "schedules.inverse_sqrt_schedule",
    [
        ("defaults", 100, {"lr": 0.1, "num_warmup_steps": 20}),
        ("no warmup", 100, {"lr": 0.1, "num_warmup_steps": 0}),
        ("timescale", 100, {"lr": 0.1, "num_warmup_steps": 20, "timescale": 50}),
        ("timescale one", 100, {"lr": 0.1, "num_warmup_steps": 20, "timescale": 1}),
        ("lr zero", 10, {"lr": 0.0, "num_warmup_steps": 3}),
        ("a thousand steps", 1000, {"lr": 3e-4, "num_warmup_steps": 100}),
    ],
)

STABLE = _rows(
    "schedules.wsd_schedule",
    [
        ("training steps", 100, _phases(10, 20, num_training_steps=100)),
        ("stable steps", 100, _phases(10, 20, num_stable_steps=70)),
        ("warmup cosine", 60, _phases(20, 20, num_stable_steps=20, warmup_type="cosine")),
        ("warmup 1-sqrt", 60, _phases(20, 20, num_stable_steps=20, warmup_type="1-sqrt")),
        ("decay linear", 60, _phases(10, 30, num_stable_steps=20, decay_type="linear")),
        ("decay 1-sqrt", 60, _phases(10, 30, num_stable_steps=20, decay_type="1-sqrt")),
        ("min lr ratio", 60, _phases(10, 30, num_stable_steps=20, min_lr_ratio=0.1)),
        (
            "min lr ratio with other shapes",
            60,
            _phases(
                10,
                30,
                num_stable_steps=20,
                min_lr_ratio=0.1,
                warmup_type="1-sqrt",
                decay_type="1-sqrt",
            ),
        ),
        ("min lr ratio above one", 60, _phases(10, 30, num_stable_steps=20, min_lr_ratio=2.0)),
        ("cycles", 60, _phases(10, 30, num_stable_steps=20, num_cycles=2.2)),
        (
            "cycles of no cosine",
            60,
            _phases(10, 30, num_stable_steps=20, num_cycles=2.2, decay_type="linear"),
        ),
        ("no warmup", 40, _phases(0, 20, num_stable_steps=20, warmup_type="1-sqrt")),
        ("no plateau", 40, _phases(20, 20, num_training_steps=40)),
        ("no decay", 40, _phases(20, 0, num_training_steps=40, min_lr_ratio=0.3)),
        ("a thousand steps", 1000, _phases(100, 200, num_training_steps=1000)),
    ],
)

SCALE = [
    Case("schedules.scale_lr", kwargs, "formula", why)
    for why, kwargs in [
        ("defaults", {"base_lr": 0.1, "base_batch_size": 256, "batch_size": 1024}),
        ("smaller batch", {"base_lr": 0.1, "base_batch_size": 256, "batch_size": 96}),
        ("sqrt", {"base_lr": 3e-4, "base_batch_size": 96, "batch_size": 512, "rule": "sqrt"}),
        ("lr zero", {"base_lr": 0.0, "base_batch_size": 3, "batch_size": 7, "rule": "linear"}),
    ]
]

SCHEDULES = [
    *(*CONSTANT, *WARMUP, *LINEAR, *POLYNOMIAL, *COSINE, *FLOOR),
    *(*RESTARTS, *INVERSE_SQRT, *STABLE),
]
CASES = [*SCHEDULES, *SCALE]

LONG = [
    *_rows(
        "schedules.constant_schedule_with_warmup",
        [("a million steps", MILLION, {"lr": 0.1, "num_warmup_steps": MILLION})],
    ),
    *_rows(
        "schedules.cosine_schedule_with_warmup",
        [
            ("a million steps", MILLION, _steps(0.1, 10_000, MILLION)),
            ("swings of 333 steps", 333, _steps(0.1, 0, 333)),
            ("broken cycles of few steps", 50, _steps(0.1, 7, 50, num_cycles=7.77)),
            ("a long row of cycles", PRIME, _steps(0.1, 1000, PRIME, num_cycles=1234.5)),
        ],
    ),
    *_rows(
        "schedules.cosine_with_min_lr_schedule_with_warmup",
        [("a low floor", PRIME, _steps(1e-3, 1000, PRIME, min_lr=1e-8))],
    ),
    *_rows(
        "schedules.linear_schedule_with_warmup",
        [("a million steps", MILLION, _steps(0.1, 1000, PRIME))],
    ),
    *_rows(
        "schedules.polynomial_decay_schedule_with_warmup",
        [("a million steps", MILLION, _steps(0.1, 1000, PRIME, lr_end=1e-8, power=2.0))],
    ),
    *_rows(
        "schedules.cosine_with_hard_restarts_schedule_with_warmup",
        [
            ("a long fall", PRIME, _steps(0.1, 1000, PRIME)),
            ("a long row of falls", PRIME, _steps(0.1, 1000, PRIME, num_cycles=1000)),
            ("equal falls", MILLION, _steps(0.1, 0, MILLION, num_cycles=8000)),
            ("falls of three steps", PRIME, _steps(0.1, 0, PRIME, num_cycles=333_333)),
        ],
    ),
    *_rows(
        "schedules.inverse_sqrt_schedule",
        [
            ("a million steps", MILLION, {"lr": 0.1, "num_warmup_steps": 4000}),
            ("a quick decay", MILLION, {"lr": 1.0, "num_warmup_steps": 10, "timescale": 1}),
        ],
    ),
    *_rows(
        "schedules.wsd_schedule",
        [
            (
                f"a million steps {shape}",
                MILLION,
                _phases(
                    300_000,
                    399_983,
                    num_training_steps=MILLION,
                    warmup_type=shape,
                    decay_type=shape,
                ),
            )
            for shape in ("linear", "cosine", "1-sqrt")
        ],
    ),
]
"""Judged by the formula in 40 digits."""

RESTARTS = "cosine_with_hard_restarts_schedule_with_warmup"
FLOORED = "cosine_with_min_lr_schedule_with_warmup"
POLYNOMIALS = "polynomial_decay_schedule_with_warmup"
WITHIN_TRAINING = (
    *("cosine_schedule_with_warmup", RESTARTS, "linear_schedule_with_warmup"),
    *(FLOORED, POLYNOMIALS),
)
NEEDED = {FLOORED: (0.5, 0.01)}
"""Arguments without a default, besides the steps."""
ERRORS = [
    *(
        (name, args, ValueError, "Invalid learning rate: -1")
        for name, args in [
            ("constant_schedule_with_warmup", (-1, 5)),
            ("constant_schedule", (-1,)),
            *((name, (-1, 5, 9, *NEEDED.get(name, ()))) for name in WITHIN_TRAINING),
            ("inverse_sqrt_schedule", (-1, 5)),
            ("wsd_schedule", (-1, 5, 5, 20)),
        ]
    ),
    *(
        (name, args, ValueError, "num_warmup_steps must be a whole number of at least 0, got")
        for name, args in [
            ("constant_schedule_with_warmup", (0.1, -1)),
            *((name, (0.1, 1.5, 9, *NEEDED.get(name, ()))) for name in WITHIN_TRAINING),
            ("inverse_sqrt_schedule", (0.1, -3)),
            ("wsd_schedule", (0.1, 1.5, 5, 20)),
        ]
    ),
    ("constant_schedule_with_warmup", ("a", 5), TypeError, "lr must be a number"),
    *(
        (
            name,
            (0.1, 5, -2, *NEEDED.get(name, ())),
            ValueError,
            "num_training_steps must be a whole number",
        )
        for name in WITHIN_TRAINING
    ),
    *(
        (
            name,
            (0.1, 5, 4, *NEEDED.get(name, ())),
            ValueError,
            "num_training_steps must be at least num_warmup_steps",
        )
        for name in WITHIN_TRAINING
    ),
    *(
        ("cosine_schedule_with_warmup", (0.1, 5, 9, c), ValueError, "num_cycles must be finite and")
        for c in (-0.5, math.inf, math.nan)
    ),
    (
        FLOORED,
        (0.1, 5, 9, 0.5, 0.01, 0.1),
        ValueError,
        "Only one of min_lr or min_lr_rate should be set",
    ),
    (
        FLOORED,
        (0.1, 5, 9, 0.5, -0.01),
        ValueError,
        "min_lr must be at least 0",
    ),
    (
        FLOORED,
        (0.1, 5, 9, 0.5, None, math.nan),
        ValueError,
        "min_lr_rate must be at least 0, got nan",
    ),
    (FLOORED, (0.0, 5, 9, 0.5, 0.01), ValueError, "give min_lr_rate"),
    (FLOORED, (0.1, 5, 9), ValueError, "One of min_lr or min_lr_rate should be set through the"),
    (
        POLYNOMIALS,
        (0.1, 5, 9, 0.2),
        ValueError,
        r"lr_end \(0.2\) must be smaller than initial lr \(0.1\)",
    ),
    (POLYNOMIALS, (0.1, 5, 5), ValueError, "num_training_steps must be more than num_warmup_steps"),
    (POLYNOMIALS, (0.1, 5, 9, 0.0, -1), ValueError, "power must be at least 0"),
    *(
        (RESTARTS, (0.1, 5, 9, c), ValueError, "num_cycles must be a whole number of at least 1")
        for c in (0, 1.5)
    ),
    *(
        (
            "inverse_sqrt_schedule",
            (0.1, 5, t),
            ValueError,
            "timescale must be a whole number of at least 1",
        )
        for t in (0, 1.5)
    ),
    (
        "wsd_schedule",
        (0.1, 5, 5),
        ValueError,
        "Either num_training_steps or num_stable_steps must be specified.",
    ),
    ("wsd_schedule", (0.1, 5, -5, 20), ValueError, "num_decay_steps must be a whole"),
    ("wsd_schedule", (0.1, 5, 5, None, -1), ValueError, "num_stable_steps must be a whole"),
    (
        "wsd_schedule",
        (0.1, 5, 5, 9),
        ValueError,
        "num_warmup_steps . num_decay_steps, got 9",
    ),
    (
        "wsd_schedule",
        (0.1, 5, 5, 20, None, "sqrt"),
        ValueError,
        "Unknown warmup type: sqrt, expected 'linear', 'cosine' or '1-sqrt'",
    ),
    (
        "wsd_schedule",
        (0.1, 5, 5, 20, None, "linear", "exp"),
        ValueError,
        "Unknown decay type: exp, expected 'linear', 'cosine' or '1-sqrt'",
    ),
    (
        "wsd_schedule",
        (0.1, 5, 5, 20, None, "linear", "cosine", -0.1),
        ValueError,
        "min_lr_ratio must be at least 0, got -0.1",
    ),
    (
        "wsd_schedule",
        (0.1, 5, 5, 20, None, "linear", "cosine", 0.1, -1),
        ValueError,
        "num_cycles must be finite and at least 0",
    ),
    ("scale_lr", (-0.1, 256, 512), ValueError, "base_lr must be at least 0, got -0.1"),
    ("scale_lr", ("a", 256, 512), TypeError, "base_lr must be a number"),
    ("scale_lr", (0.1, 0, 512), ValueError, "base_batch_size must be at least 1, got 0"),
    ("scale_lr", (0.1, 256, 0), ValueError, "batch_size must be at least 1, got 0"),
    ("scale_lr", (0.1, 256, 51.2), TypeError, "batch_size must be an integer, got 51.2"),
    ("scale_lr", (0.1, 256, 512, "cubic"), ValueError, "rule must be 'linear' or 'sqrt', got 'cub"),
]
"""(schedule, positional arguments, error, its text)."""

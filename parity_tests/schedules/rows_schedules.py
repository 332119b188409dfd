"""Rows for ``jaxaccel.schedules``: defaults, every option alone, options that meet, extremes.

``lr`` goes to PyTorch's optimizer, everything else to the scheduler. A member of a sequence is a
pair (function, kwargs). Options of a row: ``length``, its natural length in steps; ``writes``, what
PyTorch's scheduler sets besides lr (``momentum`` or ``betas``), which is then what is compared;
``oracle_kwargs``, what the judge needs besides; ``last_step``, where PyTorch fails on the way.
"""

import math

from parity_tests.registry import Case

_TORCH = "torch.optim.lr_scheduler."
ORACLES = {
    "schedules.lambda_lr": _TORCH + "LambdaLR",
    "schedules.multiplicative_lr": _TORCH + "MultiplicativeLR",
    "schedules.step_lr": _TORCH + "StepLR",
    "schedules.multi_step_lr": _TORCH + "MultiStepLR",
    "schedules.constant_lr": _TORCH + "ConstantLR",
    "schedules.linear_lr": _TORCH + "LinearLR",
    "schedules.exponential_lr": _TORCH + "ExponentialLR",
    "schedules.polynomial_lr": _TORCH + "PolynomialLR",
    "schedules.cosine_annealing_lr": _TORCH + "CosineAnnealingLR",
    "schedules.cosine_annealing_warm_restarts": _TORCH + "CosineAnnealingWarmRestarts",
    "schedules.cyclic_lr": _TORCH + "CyclicLR",
    "schedules.cyclic_momentum": _TORCH + "CyclicLR",
    "schedules.one_cycle_lr": _TORCH + "OneCycleLR",
    "schedules.one_cycle_momentum": _TORCH + "OneCycleLR",
    "schedules.sequential_lr": _TORCH + "SequentialLR",
    "schedules.chained_scheduler": _TORCH + "ChainedScheduler",
    "schedules.swa_lr": "torch.optim.swa_utils.SWALR",
}


def member(function, **kwargs):
    """Return a member of a sequence or a chain."""
    return (f"schedules.{function}", kwargs)


def decay(gamma=0.9):
    """Return a member of a sequence or a chain."""
    return member("exponential_lr", lr=0.1, gamma=gamma)


def halved(step_size=7):
    """Return a member of a sequence or a chain."""
    return member("step_lr", lr=0.1, step_size=step_size, gamma=0.5)


def held(**kwargs):
    """Return a member of a sequence or a chain."""
    return member("constant_lr", **{"lr": 0.1, "total_iters": 6, **kwargs})


def fading(**kwargs):
    """Return a member of a sequence or a chain."""
    return member("polynomial_lr", **{"lr": 0.1, "total_iters": 30, **kwargs})


def wave(**kwargs):
    """Return a member of a sequence or a chain, not traceable."""
    return member("multiplicative_lr", **{"lr": 0.1, "lr_lambda": wavy, **kwargs})


def restarts(**kwargs):
    """Return a member of a sequence or a chain."""
    return member("cosine_annealing_warm_restarts", **{"lr": 0.1, "T_0": 5, **kwargs})


def triangles(**kwargs):
    """Return a member of a sequence or a chain."""
    return member("cyclic_lr", **{"base_lr": 0.02, "max_lr": 0.3, "step_size_up": 4, **kwargs})


def swa(**kwargs):
    """Return a member of a sequence or a chain."""
    return member("swa_lr", **{"lr": 0.1, "swa_lr": 0.03, **kwargs})


def share(k):
    """Return a factor of the step, traceable."""
    return 0.97**k


def wavy(k):
    """Return a factor of the step that needs a Python int."""
    return 0.98 + 0.05 * math.sin(k) if k % 3 else 0.9


def linear(**kwargs):
    """Return a member of a sequence."""
    return ("schedules.linear_lr", {"lr": 0.1, **kwargs})


def cosine(**kwargs):
    """Return a member of a sequence."""
    return ("schedules.cosine_annealing_lr", {"lr": 0.1, **kwargs})


def falling(**kwargs):
    """Return a member of a sequence."""
    return linear(**{"start_factor": 1.0, "end_factor": 0.1, **kwargs})


def one_cycle(**kwargs):
    """Return a member of a sequence."""
    return ("schedules.one_cycle_lr", {"max_lr": 1.0, **kwargs})


def sequence(schedulers, milestones):
    """Return a member of a sequence."""
    return ("schedules.sequential_lr", {"schedulers": schedulers, "milestones": milestones})


def chain(schedulers):
    """Return a member of a sequence or a chain."""
    return member("chained_scheduler", schedulers=schedulers)


def _rows(function, rows, **options):
    return [
        Case(function, kwargs, ORACLES[function], why, {"length": length, **options})
        for why, length, kwargs in rows
    ]


LINEAR = _rows(
    "schedules.linear_lr",
    [
        ("defaults", 5, {"lr": 0.1}),
        ("start factor", 5, {"lr": 0.1, "start_factor": 0.001}),
        ("end factor", 5, {"lr": 0.1, "end_factor": 0.5}),
        ("total iters", 100, {"lr": 0.1, "total_iters": 100}),
        (
            "falling to zero",
            50,
            {"lr": 2.0, "start_factor": 1.0, "end_factor": 0.0, "total_iters": 50},
        ),
        ("flat", 7, {"lr": 0.1, "start_factor": 0.5, "end_factor": 0.5, "total_iters": 7}),
        ("total iters one", 1, {"lr": 0.1, "total_iters": 1}),
        ("total iters zero", 3, {"lr": 0.1, "total_iters": 0}),
        ("lr zero", 5, {"lr": 0.0}),
        ("a thousand steps", 1000, {"lr": 3e-4, "start_factor": 1e-6, "total_iters": 1000}),
    ],
)

COSINE = _rows(
    "schedules.cosine_annealing_lr",
    [
        ("defaults", 50, {"lr": 0.1, "T_max": 50}),
        ("eta min", 50, {"lr": 0.1, "T_max": 50, "eta_min": 0.001}),
        ("eta min above lr", 10, {"lr": 0.1, "T_max": 10, "eta_min": 0.3}),
        ("T max one", 1, {"lr": 0.1, "T_max": 1}),
        ("T max one with eta min", 1, {"lr": 0.1, "T_max": 1, "eta_min": 0.02}),
        ("T max two", 2, {"lr": 0.1, "T_max": 2}),
        ("T max odd", 197, {"lr": 1e-3, "T_max": 197, "eta_min": 1e-6}),
        ("a thousand steps", 1000, {"lr": 0.5, "T_max": 1000}),
    ],
)

_CYCLES = [
    ("defaults", 100, {"total_steps": 100}),
    ("epochs and steps per epoch", 60, {"epochs": 4, "steps_per_epoch": 15}),
    ("total steps go first", 40, {"total_steps": 40, "epochs": 4, "steps_per_epoch": 15}),
    ("pct start", 100, {"total_steps": 100, "pct_start": 0.1}),
    ("linear", 100, {"total_steps": 100, "anneal_strategy": "linear"}),
    ("three phase", 100, {"total_steps": 100, "three_phase": True}),
    (
        "three phase linear",
        100,
        {"total_steps": 100, "three_phase": True, "anneal_strategy": "linear"},
    ),
    ("peak between steps", 197, {"total_steps": 197}),
    ("three phase between steps", 197, {"total_steps": 197, "three_phase": True}),
    ("no way up", 30, {"total_steps": 30, "pct_start": 0.0}),
    ("no way down", 30, {"total_steps": 30, "pct_start": 1.0}),
    ("three phase without a third", 30, {"total_steps": 30, "pct_start": 0.8, "three_phase": True}),
    (
        "three phase turned by the end",
        10,
        {"total_steps": 10, "pct_start": 0.575, "three_phase": True},
    ),
    ("one step", 1, {"total_steps": 1}),
    ("two steps", 2, {"total_steps": 2, "three_phase": True}),
    ("a thousand steps", 1000, {"total_steps": 1000}),
]

ONE_CYCLE = _rows(
    "schedules.one_cycle_lr",
    [
        *((why, length, {"max_lr": 1.0, **kwargs}) for why, length, kwargs in _CYCLES),
        ("max lr", 100, {"max_lr": 3e-4, "total_steps": 100}),
        ("div factor", 100, {"max_lr": 1.0, "total_steps": 100, "div_factor": 10.0}),
        ("div factor one", 100, {"max_lr": 1.0, "total_steps": 100, "div_factor": 1.0}),
        ("final div factor", 100, {"max_lr": 1.0, "total_steps": 100, "final_div_factor": 1e8}),
        ("momentum not cycled", 100, {"max_lr": 1.0, "total_steps": 100, "cycle_momentum": False}),
        (
            "momentum arguments do not touch it",
            100,
            {"max_lr": 1.0, "total_steps": 100, "base_momentum": 0.5, "max_momentum": 0.9},
        ),
    ],
)

ONE_CYCLE_MOMENTUM = [
    *_rows(
        "schedules.one_cycle_momentum",
        [
            *_CYCLES,
            ("base momentum", 100, {"total_steps": 100, "base_momentum": 0.5}),
            ("max momentum", 100, {"total_steps": 100, "max_momentum": 0.99}),
        ],
        writes="momentum",
        oracle_kwargs={"max_lr": 1.0},
    ),
    *_rows(
        "schedules.one_cycle_momentum",
        [("beta1", 100, {"total_steps": 100})],
        writes="betas",
        oracle_kwargs={"max_lr": 1.0},
    ),
]

RATES = [0.1 * (1 + k % 7) for k in range(61)]


def with_python(k):
    """Return a factor as a Python program computes it: no traced step could."""
    if k < 10:
        return (k + 1) / 10
    return 0.1 + 0.45 * (1 + math.cos(math.pi * min(k - 10, 50) / 50))


LAMBDA = _rows(
    "schedules.lambda_lr",
    [
        ("power", 60, {"lr": 0.1, "lr_lambda": share}),
        ("integer division", 60, {"lr": 0.1, "lr_lambda": lambda k: 0.5 ** (k // 20)}),
        ("ramp", 40, {"lr": 3.0, "lr_lambda": lambda k: k / 40}),
        ("an int", 5, {"lr": 0.1, "lr_lambda": lambda k: 2}),
        ("lr zero", 5, {"lr": 0.0, "lr_lambda": share}),
        ("an if and a cosine", 60, {"lr": 0.1, "lr_lambda": with_python, "total_steps": 180}),
        ("a list", 20, {"lr": 1.0, "lr_lambda": RATES.__getitem__, "total_steps": 60}),
    ],
)

MULTIPLICATIVE = _rows(
    "schedules.multiplicative_lr",
    [
        ("constant factor", 60, {"lr": 0.1, "lr_lambda": lambda k: 0.95, "total_steps": 180}),
        ("wavy", 100, {"lr": 0.1, "lr_lambda": wavy, "total_steps": 300}),
        ("growing", 30, {"lr": 1e-6, "lr_lambda": lambda k: 1 + 1 / k, "total_steps": 90}),
        ("down to zero", 10, {"lr": 0.1, "lr_lambda": lambda k: float(k < 7), "total_steps": 30}),
    ],
)

STEP = _rows(
    "schedules.step_lr",
    [
        ("defaults", 90, {"lr": 0.1, "step_size": 30}),
        ("gamma", 50, {"lr": 0.1, "step_size": 10, "gamma": 0.5}),
        ("every step", 20, {"lr": 0.1, "step_size": 1, "gamma": 0.9}),
        ("gamma above one", 50, {"lr": 1e-3, "step_size": 10, "gamma": 1.5}),
        ("gamma one", 20, {"lr": 0.1, "step_size": 5, "gamma": 1.0}),
        ("gamma zero", 20, {"lr": 0.1, "step_size": 5, "gamma": 0.0}),
        ("gamma negative", 20, {"lr": 0.1, "step_size": 3, "gamma": -0.5}),
    ],
)

MULTI_STEP = _rows(
    "schedules.multi_step_lr",
    [
        ("defaults", 80, {"lr": 0.1, "milestones": [30, 80]}),
        ("gamma", 80, {"lr": 0.1, "milestones": [30, 60, 80], "gamma": 0.2}),
        ("repeated milestone", 80, {"lr": 0.1, "milestones": [30, 30, 80], "gamma": 0.5}),
        ("any order", 80, {"lr": 0.1, "milestones": [80, 10, 40], "gamma": 0.5}),
        ("milestone at zero", 20, {"lr": 0.1, "milestones": [0, 0, 10], "gamma": 0.5}),
        ("no milestone", 5, {"lr": 0.1, "milestones": []}),
    ],
)

CONSTANT = _rows(
    "schedules.constant_lr",
    [
        ("defaults", 5, {"lr": 0.1}),
        ("factor", 5, {"lr": 0.1, "factor": 0.01}),
        ("total iters", 50, {"lr": 0.1, "total_iters": 50}),
        ("total iters zero", 5, {"lr": 0.1, "total_iters": 0, "factor": 0.5}),
        ("total iters one", 5, {"lr": 0.1, "total_iters": 1, "factor": 0.5}),
        ("factor one", 5, {"lr": 0.1, "factor": 1.0}),
        ("factor zero", 7, {"lr": 0.1, "factor": 0.0, "total_iters": 7}),
        ("factor zero for good", 7, {"lr": 0.1, "factor": 0.0, "total_iters": 0}),
    ],
)

EXPONENTIAL = _rows(
    "schedules.exponential_lr",
    [
        ("defaults", 100, {"lr": 0.1, "gamma": 0.95}),
        ("slow", 1000, {"lr": 0.1, "gamma": 0.999}),
        ("growing", 100, {"lr": 1e-7, "gamma": 1.17}),
        ("gamma zero", 5, {"lr": 0.1, "gamma": 0.0}),
        ("gamma negative", 30, {"lr": 0.1, "gamma": -0.9}),
    ],
)

POLYNOMIAL = _rows(
    "schedules.polynomial_lr",
    [
        ("defaults", 5, {"lr": 0.1}),
        ("total iters", 100, {"lr": 0.1, "total_iters": 100}),
        ("square", 100, {"lr": 0.1, "total_iters": 100, "power": 2.0}),
        ("root", 100, {"lr": 0.1, "total_iters": 100, "power": 0.5}),
        ("power zero", 10, {"lr": 0.1, "total_iters": 10, "power": 0.0}),
        ("power negative", 10, {"lr": 0.1, "total_iters": 10, "power": -0.5}),
        ("total iters zero", 5, {"lr": 0.1, "total_iters": 0}),
        ("total iters one", 5, {"lr": 0.1, "total_iters": 1, "power": 2.0}),
        ("a thousand steps", 1000, {"lr": 3e-4, "total_iters": 1000, "power": 0.9}),
    ],
)

WARM_RESTARTS = _rows(
    "schedules.cosine_annealing_warm_restarts",
    [
        ("defaults", 20, {"lr": 0.1, "T_0": 20}),
        ("eta min", 20, {"lr": 0.1, "T_0": 20, "eta_min": 0.001}),
        ("T mult two", 70, {"lr": 0.1, "T_0": 10, "T_mult": 2, "eta_min": 1e-6}),
        ("T mult three", 130, {"lr": 0.1, "T_0": 1, "T_mult": 3}),
        ("T 0 one", 3, {"lr": 0.1, "T_0": 1}),
        ("T mult ten", 1111, {"lr": 0.1, "T_0": 1, "T_mult": 10}),
        ("eta min above lr", 20, {"lr": 0.1, "T_0": 20, "eta_min": 1}),
    ],
)

_TRIANGLES = [
    ("step size up", 40, {"step_size_up": 20}),
    ("step size down", 30, {"step_size_up": 20, "step_size_down": 10}),
    ("no way down", 20, {"step_size_up": 20, "step_size_down": 0}),
    ("steps of one", 2, {"step_size_up": 1}),
    ("triangular2", 100, {"step_size_up": 10, "mode": "triangular2"}),
    ("exp range", 90, {"step_size_up": 10, "mode": "exp_range", "gamma": 0.99}),
    ("scale by cycle", 90, {"step_size_up": 10, "scale_fn": lambda x: 0.85 ** (x - 1)}),
    (
        "scale by step",
        90,
        {"step_size_up": 10, "scale_fn": share, "scale_mode": "iterations", "mode": "ignored"},
    ),
]

CYCLIC = [
    *_rows(
        "schedules.cyclic_lr",
        [
            ("defaults", 500, {"base_lr": 0.001, "max_lr": 0.1}),
            *(
                (why, n, {"base_lr": 0.001, "max_lr": 0.1, **kwargs})
                for why, n, kwargs in _TRIANGLES
            ),
            ("upside down", 40, {"base_lr": 0.1, "max_lr": 0.01, "step_size_up": 20}),
            (
                "momentum not cycled",
                40,
                {"base_lr": 0.1, "max_lr": 1.0, "step_size_up": 20, "cycle_momentum": False},
            ),
            (
                "momentum arguments do not touch it",
                40,
                {
                    "base_lr": 0.1,
                    "max_lr": 1.0,
                    "step_size_up": 20,
                    "base_momentum": 0.5,
                    "max_momentum": 0.7,
                },
            ),
        ],
    ),
    *_rows(
        "schedules.cyclic_momentum",
        [
            ("defaults", 500, {}),
            *_TRIANGLES,
            ("base momentum", 40, {"step_size_up": 20, "base_momentum": 0.5}),
            ("max momentum", 40, {"step_size_up": 20, "max_momentum": 0.99}),
        ],
        writes="momentum",
        oracle_kwargs={"base_lr": 0.1, "max_lr": 1.0},
    ),
    *_rows(
        "schedules.cyclic_momentum",
        [("beta1", 40, {"step_size_up": 20, "step_size_down": 5})],
        writes="betas",
        oracle_kwargs={"base_lr": 0.1, "max_lr": 1.0},
    ),
]

SWA = _rows(
    "schedules.swa_lr",
    [
        ("defaults", 10, {"lr": 0.1, "swa_lr": 0.05}),
        ("anneal epochs", 50, {"lr": 0.1, "swa_lr": 0.01, "anneal_epochs": 50}),
        (
            "linear",
            20,
            {"lr": 0.1, "swa_lr": 0.3, "anneal_epochs": 20, "anneal_strategy": "linear"},
        ),
        ("at once", 5, {"lr": 0.1, "swa_lr": 0.01, "anneal_epochs": 0}),
        ("in one step", 5, {"lr": 0.1, "swa_lr": 0.01, "anneal_epochs": 1}),
        ("to zero", 20, {"lr": 0.1, "swa_lr": 0.0, "anneal_epochs": 20}),
    ],
)

SEQUENTIAL = _rows(
    "schedules.sequential_lr",
    [
        (why, length, {"schedulers": schedulers, "milestones": milestones})
        for why, length, schedulers, milestones in [
            ("alone", 20, [cosine(T_max=20)], []),
            ("warmup and cosine", 100, [linear(total_iters=20), cosine(T_max=80)], [20]),
            ("warmup cut short", 60, [linear(total_iters=20), cosine(T_max=50)], [10]),
            ("warmup held", 80, [linear(total_iters=20), cosine(T_max=50)], [30]),
            ("three members", 90, [linear(), cosine(T_max=40), falling(total_iters=30)], [10, 50]),
            ("cosine past its end", 60, [cosine(T_max=7, eta_min=0.01), falling()], [40]),
            ("milestone at zero", 20, [linear(), cosine(T_max=20, eta_min=0.01)], [0]),
            ("milestone at one", 20, [linear(), cosine(T_max=20, eta_min=0.01)], [1]),
            ("repeated milestone", 40, [linear(), cosine(T_max=9), falling()], [10, 10]),
            ("first member of no length", 12, [linear(total_iters=0), falling()], [3]),
            ("one cycle last", 60, [linear(), one_cycle(total_steps=40)], [20]),
            ("cosine before one cycle", 80, [cosine(T_max=9), one_cycle(total_steps=40)], [40]),
            ("cosine after one cycle", 60, [one_cycle(total_steps=40), cosine(T_max=20)], [40]),
            (
                "one cycle between",
                80,
                [linear(total_iters=9), one_cycle(total_steps=30), cosine(T_max=20)],
                [10, 40],
            ),
            (
                "two one cycles",
                70,
                [one_cycle(total_steps=30), one_cycle(total_steps=40, max_lr=0.3, div_factor=5.0)],
                [30],
            ),
            (
                "one cycle never run",
                30,
                [linear(), one_cycle(total_steps=30), cosine(T_max=15)],
                [10, 10],
            ),
        ]
    ],
)

SEQUENTIAL += _rows(
    "schedules.sequential_lr",
    [
        (why, length, {"schedulers": schedulers, "milestones": milestones})
        for why, length, schedulers, milestones in [
            ("factors", 80, [held(), decay(), halved(), fading()], [10, 30, 50]),
            ("constant of no length", 20, [held(total_iters=0), held(total_iters=0)], [8]),
            (
                "multi step",
                40,
                [decay(), member("multi_step_lr", lr=0.1, milestones=[0, 4, 9])],
                [9],
            ),
            ("multiplicative first", 40, [wave(total_steps=10), decay()], [10]),
            ("multiplicative goes on", 40, [decay(), wave(total_steps=120)], [10]),
            ("swa goes on", 40, [cosine(T_max=15), swa()], [10]),
            ("swa goes on from multiplicative", 40, [wave(total_steps=10), swa()], [10]),
            ("swa goes on from one cycle", 40, [one_cycle(total_steps=20), swa(lr=0.5)], [20]),
            ("swa first", 40, [swa(), decay()], [20]),
            ("swa at once", 20, [decay(), swa(anneal_epochs=0)], [8]),
            ("warmup and restarts", 80, [linear(), restarts(T_mult=2, eta_min=0.01)], [5]),
            (
                "warmup and lambda",
                40,
                [linear(), member("lambda_lr", lr=0.1, lr_lambda=share)],
                [5],
            ),
            ("warmup and triangles", 40, [linear(), triangles(mode="triangular2")], [5]),
            ("triangles and exponential", 40, [triangles(), decay()], [16]),
        ]
    ],
)
SEQUENTIAL += _rows(
    "schedules.sequential_lr",
    [
        (
            "one cycle past its end",
            40,
            {"schedulers": [one_cycle(total_steps=10), decay()], "milestones": [20]},
        )
    ],
    last_step=10,
)
SEQUENTIAL += _rows(
    "schedules.sequential_lr",
    [
        (why, length, {"schedulers": members, "milestones": milestones, "total_steps": 3 * length})
        for why, length, members, milestones in [
            ("nested", 60, [sequence([linear(), cosine(T_max=20)], [10]), falling()], [30]),
            (
                "nested with cosine first",
                40,
                [sequence([cosine(T_max=5, eta_min=0.01), linear()], [15]), cosine(T_max=20)],
                [20],
            ),
            (
                "nested with cosine of one step first",
                40,
                [sequence([cosine(T_max=1, eta_min=0.01), linear()], [15]), cosine(T_max=20)],
                [20],
            ),
            (
                "nested milestone at one",
                40,
                [sequence([cosine(T_max=5), linear()], [1]), cosine(T_max=20)],
                [20],
            ),
            (
                "nested twice",
                60,
                [
                    sequence([sequence([cosine(T_max=6), linear()], [2]), cosine(T_max=9)], [12]),
                    falling(),
                ],
                [30],
            ),
            (
                "nested with one cycles",
                85,
                [
                    sequence([linear(), one_cycle(total_steps=40)], [10]),
                    one_cycle(total_steps=40, max_lr=0.2),
                ],
                [45],
            ),
            ("nested swa", 40, [sequence([swa(), decay()], [15]), halved()], [25]),
            ("nested factors", 40, [sequence([decay(), fading()], [15]), held()], [25]),
            ("nested polynomial", 40, [sequence([fading(power=2.0), wave()], [15]), held()], [25]),
            ("nested triangles", 40, [sequence([triangles(), restarts()], [15]), decay()], [25]),
            (
                "a sequence in a chain first",
                40,
                [chain([decay(), sequence([linear(), fading()], [6])]), halved()],
                [25],
            ),
            ("a chain first", 40, [chain([decay(), cosine(T_max=9)]), halved()], [25]),
            ("a chain of factors first", 40, [chain([fading(), held()]), cosine(T_max=9)], [25]),
            ("a chain with swa first", 40, [chain([decay(), swa()]), cosine(T_max=9)], [25]),
            ("a chain goes on", 40, [chain([decay(), cosine(T_max=9)]), swa()], [15]),
        ]
    ],
)

CHAINED = [
    *_rows(
        "schedules.chained_scheduler",
        [
            (why, length, {"schedulers": schedulers})
            for why, length, schedulers in [
                ("alone", 20, [decay()]),
                ("cosine alone", 20, [cosine(T_max=9, eta_min=0.01)]),
                ("swa alone", 20, [swa()]),
                ("constant and exponential", 40, [held(), decay()]),
                ("all factors", 40, [linear(), held(), halved(), fading(), decay(0.99)]),
                (
                    "repeated milestones",
                    40,
                    [member("multi_step_lr", lr=0.1, milestones=[3, 3, 9]), decay()],
                ),
                ("negative factor", 40, [decay(-0.9), halved()]),
                ("factor zero", 15, [decay(), held(factor=0.0)]),
                ("lambda last", 20, [linear(), member("lambda_lr", lr=0.1, lr_lambda=share)]),
                (
                    "lambda first",
                    20,
                    [member("lambda_lr", lr=0.1, lr_lambda=share), linear(), decay()],
                ),
                ("restarts and linear", 40, [restarts(T_mult=2), linear(total_iters=12)]),
                ("cyclic and exponential", 40, [triangles(), decay()]),
                ("cyclic after linear", 40, [linear(), triangles()]),
                ("cyclic after linear and then a factor", 40, [linear(), triangles(), fading()]),
                ("one cycle and exponential", 40, [one_cycle(total_steps=40), decay()]),
                ("exponential and one cycle", 40, [decay(), one_cycle(total_steps=40)]),
                ("chain in a chain", 40, [chain([held(), decay()]), halved()]),
            ]
        ],
    ),
    *_rows(
        "schedules.chained_scheduler",
        [
            (why, length, {"schedulers": schedulers, "total_steps": 3 * length})
            for why, length, schedulers in [
                ("multiplicative", 40, [wave(total_steps=120), decay()]),
                ("warmup and cosine", 100, [linear(total_iters=20), cosine(T_max=100)]),
                (
                    "warmup and cosine with eta min",
                    80,
                    [linear(total_iters=20), cosine(T_max=30, eta_min=0.01)],
                ),
                (
                    "cosine before its factors",
                    60,
                    [cosine(T_max=7, eta_min=0.02), decay(0.99), held()],
                ),
                ("cosine of one step", 10, [cosine(T_max=1, eta_min=0.02), decay()]),
                ("two cosines", 60, [cosine(T_max=10, eta_min=0.01), cosine(T_max=15)]),
                ("swa after a factor", 40, [decay(), swa()]),
                ("swa before a factor", 40, [swa(anneal_strategy="linear"), decay()]),
                ("swa at once", 10, [decay(), swa(anneal_epochs=0)]),
                ("one cycle and cosine", 40, [one_cycle(total_steps=40), cosine(T_max=15)]),
                (
                    "a sequence in a chain",
                    60,
                    [linear(), sequence([decay(), cosine(T_max=9)], [12])],
                ),
                (
                    "a sequence and a factor",
                    60,
                    [sequence([decay(), cosine(T_max=9)], [12]), halved()],
                ),
            ]
        ],
    ),
]

CASES = [
    *LAMBDA,
    *MULTIPLICATIVE,
    *STEP,
    *MULTI_STEP,
    *CONSTANT,
    *LINEAR,
    *EXPONENTIAL,
    *POLYNOMIAL,
    *COSINE,
    *WARM_RESTARTS,
    *CYCLIC,
    *ONE_CYCLE,
    *ONE_CYCLE_MOMENTUM,
    *SEQUENTIAL,
    *CHAINED,
    *SWA,
]

_MILLION = 1_000_000
_PRIME = 999_983

LONG = [
    *_rows(
        "schedules.step_lr",
        [
            ("a thousand reductions", 1000, {"lr": 0.1, "step_size": 1000, "gamma": 0.99}),
            ("hardly any", _PRIME // 7, {"lr": 0.1, "step_size": _PRIME // 7}),
        ],
    ),
    *_rows(
        "schedules.exponential_lr",
        [
            ("down to a thousandth", _MILLION, {"lr": 0.1, "gamma": 0.9999930922}),
            ("down to nothing", 100, {"lr": 0.1, "gamma": 0.99}),
            ("up by ten million", _MILLION, {"lr": 1e-6, "gamma": 1.0000161181}),
            ("gamma negative", 1000, {"lr": 0.1, "gamma": -0.9999}),
        ],
    ),
    *_rows(
        "schedules.polynomial_lr",
        [
            ("a million steps", _MILLION, {"lr": 0.1, "total_iters": _MILLION}),
            (
                "a million steps squared",
                _MILLION,
                {"lr": 0.1, "total_iters": _MILLION, "power": 2.0},
            ),
            ("a root", _PRIME, {"lr": 0.1, "total_iters": _PRIME, "power": 0.5}),
        ],
    ),
    *_rows(
        "schedules.cosine_annealing_warm_restarts",
        [
            ("many restarts", 333, {"lr": 0.1, "T_0": 333, "eta_min": 1e-6}),
            ("growing cycles", 30, {"lr": 0.1, "T_0": 10, "T_mult": 2, "eta_min": 1e-6}),
            ("tripling cycles", 4, {"lr": 0.1, "T_0": 1, "T_mult": 3}),
            ("a cycle beyond int32", 50_001, {"lr": 0.1, "T_0": 1, "T_mult": 50_000}),
        ],
    ),
    *_rows(
        "schedules.cyclic_lr",
        [
            (
                "many cycles",
                7,
                {"base_lr": 1e-5, "max_lr": 0.1, "step_size_up": 3, "step_size_down": 4},
            ),
            ("long cycles", _PRIME, {"base_lr": 1e-5, "max_lr": 0.1, "step_size_up": _PRIME // 3}),
            (
                "long triangular2",
                100_000,
                {"base_lr": 1e-5, "max_lr": 0.1, "step_size_up": 50_000, "mode": "triangular2"},
            ),
            (
                "long exp range",
                _MILLION,
                {
                    "base_lr": 1e-5,
                    "max_lr": 0.1,
                    "step_size_up": 2000,
                    "mode": "exp_range",
                    "gamma": 0.99999,
                },
            ),
        ],
    ),
    *_rows(
        "schedules.linear_lr",
        [("a million steps", _MILLION, {"lr": 0.1, "start_factor": 1e-4, "total_iters": _MILLION})],
    ),
    *_rows(
        "schedules.cosine_annealing_lr",
        [
            ("a million steps", _MILLION, {"lr": 0.1, "T_max": _MILLION}),
            ("swings of 333 steps", 333, {"lr": 0.1, "T_max": 333}),
            ("an odd length", _PRIME // 10, {"lr": 1e-3, "T_max": _PRIME // 10, "eta_min": 1e-8}),
        ],
    ),
    *_rows(
        "schedules.one_cycle_lr",
        [
            ("a million steps", _MILLION, {"max_lr": 1.0, "total_steps": _MILLION}),
            (
                "a million steps linear",
                _MILLION,
                {"max_lr": 1.0, "total_steps": _MILLION, "anneal_strategy": "linear"},
            ),
            (
                "a long three phase",
                _PRIME,
                {"max_lr": 0.01, "total_steps": _PRIME, "three_phase": True, "pct_start": 0.37},
            ),
        ],
    ),
    *_rows(
        "schedules.one_cycle_momentum",
        [("a long cycle", _PRIME, {"total_steps": _PRIME, "pct_start": 0.37})],
    ),
]
"""Too long for the live object, whose recursion drifts: judged by the formula in 40 digits."""

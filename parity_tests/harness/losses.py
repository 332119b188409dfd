"""What the tests of losses share: the arrays of their rows."""

import numpy as np

DRAWN = {
    "like": lambda rng, shape: rng.normal(size=shape),
    "shares": lambda rng, shape: rng.uniform(0.05, 0.95, shape),
    "positive": lambda rng, shape: rng.uniform(0.2, 2.0, shape),
    "signs": lambda rng, shape: rng.choice([-1.0, 1.0], shape),
    "counts": lambda rng, shape: rng.integers(0, 5, shape).astype(float),
    "indices": lambda rng, shape: rng.integers(0, 4, shape),
    "log probs": lambda rng, shape: np.log(rng.dirichlet(np.ones(shape[-1]), shape[:-1])),
}


def numbers(given, rng):
    """Return what an option of a row says as an array."""
    if isinstance(given, tuple):
        return np.asarray(DRAWN[given[0]](rng, given[1]))
    return np.asarray(given, np.int64 if given == [] else None)


def arguments_of(case):
    """Return what is differentiated, and the other arguments, by name."""
    rng = np.random.default_rng(0)
    arrays = {name: numbers(each, rng) for name, each in case.options["differentiated"].items()}
    constants = {name: numbers(each, rng) for name, each in case.options["constants"].items()}
    return arrays, {n: c for n, c in constants.items() if n not in arrays}

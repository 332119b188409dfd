"""The host's random streams as arrays: Python's, NumPy's and a generator's."""

# ruff: noqa: NPY002  (NumPy's global stream is meant)

from __future__ import annotations

import random as python
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxaccel._checked import checked
from jaxaccel.random import Generator

WORDS = 624
"""The words of the Mersenne Twister, which all three are."""


@checked
def get_rng_state(generator: Generator | None = None) -> dict[str, np.ndarray]:
    """Return where the host's random streams are: Python's, NumPy's and a generator's.

    What JAX draws needs no place here: keys are values, and :class:`TrainState` holds the run's.

    Args:
        generator: The generator that the run draws from; default: it has none.

    Returns:
        ``{"python": ..., "numpy": ..., "generator": ...}``, the last one only for a ``generator``:
        arrays of integers whose shapes and dtypes never change (uint32 of 628, twice, and uint8 of
        5056), so that they can be saved beside the state, as parts of any pytree.

    Raises:
        ValueError: Another kind of stream was put in the place of NumPy's global one.

    PyTorch:
        ``random.getstate()``, ``np.random.get_state()`` and ``torch.get_rng_state()``, which a
        script saves one by one. The bytes of the generator are those of PyTorch's.

    Example:
        >>> import random
        >>> import jaxaccel as ja
        >>> seeds = ja.training.set_seed(42)
        >>> found = ja.training.get_rng_state(seeds.generator)
        >>> first = random.random(), seeds.generator.rand((2,)).tolist()
        >>> ja.training.set_rng_state(found, seeds.generator)
        >>> first == (random.random(), seeds.generator.rand((2,)).tolist())
        True
    """
    _, words, gauss = python.getstate()
    found = {"python": _packed(words, gauss), "numpy": _of_numpy()}
    return found if generator is None else found | {"generator": generator.get_state()}


@checked
def set_rng_state(new_state: Mapping[str, Any], generator: Generator | None = None) -> None:
    """Have the host's random streams go on from where they were.

    Everything is checked before anything is set.

    Args:
        new_state: What :func:`get_rng_state` has returned, as it is or restored.
        generator: The generator to set; there must be one just where the state has one.

    Returns:
        Nothing.

    Raises:
        ValueError: The state has other parts, shapes or dtypes, or is none that a stream can be in;
            or it has a generator's part without ``generator``, or the reverse.

    PyTorch:
        ``random.setstate(...)``, ``np.random.set_state(...)`` and ``torch.set_rng_state(...)``.

    Example:
        as :func:`get_rng_state`.
    """
    wanted = {"python", "numpy"} | ({"generator"} if generator is not None else set())
    if set(new_state) != wanted:
        raise ValueError(
            f"new_state must have the parts {', '.join(sorted(wanted))}, got "
            f"{', '.join(map(repr, new_state)) or 'none'}; the part of a generator goes with "
            "generator=, the one to set"
        )
    of_python, of_numpy = (_unpacked(part, new_state[part]) for part in ("python", "numpy"))
    if generator is not None:
        try:
            generator.set_state(np.asarray(new_state["generator"]))
        except (TypeError, RuntimeError) as error:
            raise ValueError(
                f"new_state['generator'] is not a generator's state: {error}"
            ) from None
    words, position, gauss = of_python
    python.setstate((3, (*words.tolist(), position), gauss))
    words, position, gauss = of_numpy
    np.random.set_state(("MT19937", words, position, int(gauss is not None), gauss or 0.0))


def _of_numpy() -> np.ndarray:
    """Return the state of NumPy's global stream."""
    found: Any = np.random.get_state(legacy=False)
    if found["bit_generator"] != "MT19937":
        raise ValueError(
            "NumPy's global stream must be its own, MT19937, to be saved, got "
            f"{found['bit_generator']}; np.random.set_bit_generator put it there: give such a "
            "stream to who draws from it, as np.random.Generator, instead"
        )
    words = (*found["state"]["key"].tolist(), found["state"]["pos"])
    return _packed(words, found["gauss"] if found["has_gauss"] else None)


def _packed(words: Any, gauss: float | None) -> np.ndarray:
    """Return a stream's words and position, whether it holds a normal number, and its bits.

    As integers of 32 bits, which no device rounds.
    """
    bits = np.array([0.0 if gauss is None else gauss]).view(np.uint32)
    return np.array([*words, gauss is not None, *bits.tolist()], np.uint32)


def _unpacked(part: str, packed: Any) -> tuple[np.ndarray, int, float | None]:
    """Return the words, the position and the normal number that a stream holds."""
    found = np.asarray(packed)
    if found.shape != (WORDS + 4,) or found.dtype != np.uint32:
        raise ValueError(
            f"new_state[{part!r}] must be uint32 of shape ({WORDS + 4},), got {found.dtype} of "
            f"shape {found.shape}; give what get_rng_state has returned"
        )
    position, holds = int(found[WORDS]), int(found[WORDS + 1])
    if position > WORDS or holds > 1 or not found[:WORDS].any():
        raise ValueError(
            f"new_state[{part!r}] is not the state of a stream, got position {position} of "
            f"{WORDS}; give what get_rng_state has returned"
        )
    gauss = float(found[WORDS + 2 :].copy().view(np.float64)[0])
    return found[:WORDS], position, gauss if holds else None

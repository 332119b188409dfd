"""The text that the language models learn: this project's licence, 1,600 words of real English."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

LICENSE = Path(__file__).parents[2] / "LICENSE"


class Text(NamedTuple):
    """Tokens in the order of the text, and how many there are."""

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    vocabulary: int


def words() -> Text:
    """Return the licence in words and marks, lower case."""
    return _numbered(re.findall(r"\w+|[^\w\s]", LICENSE.read_text(encoding="utf-8").lower()))


def characters() -> Text:
    """Return the licence in characters."""
    return _numbered(list(LICENSE.read_text(encoding="utf-8")))


def _numbered(tokens: list[str]) -> Text:
    """Return eight tenths of the tokens to train on, a tenth to validate and a tenth to test."""
    numbers = {token: number for number, token in enumerate(sorted(set(tokens)))}
    array = np.array([numbers[token] for token in tokens], np.int32)
    return Text(*np.split(array, [len(array) * 8 // 10, len(array) * 9 // 10]), len(numbers))

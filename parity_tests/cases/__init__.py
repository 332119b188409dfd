"""The table that drives the tests, the README and the docs: data only."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Case(NamedTuple):
    """One row: a function, its arguments, its judge, and why the row exists.

    ``kwargs`` go unchanged to ``jaxaccel.<function>``, ``torch_ref.<function>`` and ``oracle``.
    ``options`` hold what the area's harness needs beyond the call (and what cannot be done, with
    the reason); the area's test says which keys it knows.
    """

    function: str
    kwargs: Mapping[str, Any]
    oracle: str
    why: str
    options: Mapping[str, Any] = {}

    @property
    def id(self) -> str:
        return f"{self.function.split('.')[-1]}-{self.why.replace(' ', '-')}"

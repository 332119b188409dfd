"""The gradients of a step under their parameters' names, seen where its operations are read."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Final

import jax

from jaxaccel._tree import path_name

MARK: Final = "jaxaccel gradient: "

# Part of the keys of JAX's caches: what was traced without names is traced anew with them.
_names_gradients = jax.make_user_context(default_value=False)


def naming_gradients() -> AbstractContextManager[Any]:
    """Return the context in which a step's program says which of its values are gradients."""
    return _names_gradients(True)


def named_gradients(grads: Any) -> Any:
    """Return gradients, in :func:`naming_gradients` under their names; elsewhere as they are."""
    if not _names_gradients.value:
        return grads
    from jax.ad_checkpoint import checkpoint_name  # which jax itself does not load

    return jax.tree.map_with_path(
        lambda path, grad: checkpoint_name(grad, MARK + path_name(path)), grads
    )


def gradient_name(equation: Any) -> str | None:
    """Return whose gradient an equation names, None where it names none."""
    name = equation.params.get("name") if equation.primitive.name == "name" else None
    is_mark = isinstance(name, str) and name.startswith(MARK)
    return name.removeprefix(MARK) if isinstance(name, str) and is_mark else None

"""How compare.py sees a recipe's weights after every step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flax import nnx

import jaxaccel as ja

Watch = Callable[[Mapping[str, Any]], None]
"""Called with a state dict after every step."""


def watching(
    watch: Watch | None,
    model: nnx.Module,
    weights_of: Callable[[Any], Any] = lambda state: (state.params, state.model_state),
) -> list[ja.training.Callback]:
    """Return the callback that shows the model under PyTorch's names; none where nobody watches."""
    if watch is None:
        return []

    def show(run: ja.training.Run, memory: Any) -> None:
        ja.training.merge(model, *weights_of(run.state))
        watch(ja.nn.state_dict(model))

    return [ja.training.Callback("watch", on_step=show)]

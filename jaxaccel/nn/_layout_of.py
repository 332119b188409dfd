"""Which arrays of a module PyTorch keeps transposed: the module's class says it."""

from __future__ import annotations

from flax import nnx


def layout_of(module: nnx.Module, name: str) -> str:
    """Return the layout in which a module keeps one of its variables: ``"flax"`` or ``"torch"``.

    Raises:
        TypeError: the module does not say it.
    """
    if isinstance(module, (nnx.List, nnx.Dict)):
        return "torch"  # of parameters, as torch.nn.ParameterList
    names, kind = getattr(module, "torch_transposed", None), type(module).__name__
    if names is None:
        raise TypeError(
            f"{kind} holds {name!r} and does not say whether PyTorch keeps it transposed: write "
            f"torch_transposed = ({name!r},) into the class {kind} if it is a kernel (*k, I, O), "
            "and torch_transposed = () if not; in the place of one of flax's own layers use "
            "jaxaccel.nn's"
        )
    missing = [each for each in names if not hasattr(module, each)]
    if isinstance(names, str) or missing:
        raise TypeError(
            f"torch_transposed of {kind} must be a tuple of names of its attributes, as "
            f"({name!r},) or (), but got {names!r}"
        )
    return "flax" if name in names else "torch"

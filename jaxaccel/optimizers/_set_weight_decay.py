"""torchvision's groups: another weight decay for norms, and for parameters of some names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flax import nnx

from jaxaccel._checked import checked
from jaxaccel._named_arrays import named_parameters
from jaxaccel._types import Scalar


@checked
def set_weight_decay(
    model: nnx.Module,
    weight_decay: Scalar,
    norm_weight_decay: Scalar | None = None,
    norm_classes: Sequence[type] | None = None,
    custom_keys_for_weight_decay: Sequence[tuple[str, Scalar]] | None = None,
) -> list[dict[str, Any]]:
    """Return groups for :func:`param_groups` by what layer a parameter belongs to.

    Args:
        model: The model.
        weight_decay: The weight decay of all other parameters.
        norm_weight_decay: The weight decay of the parameters of norms; ``None``: they are like all
            others.
        norm_classes: Which layers are norms; ``None``: those whose class says ``is_norm = True``:
            batch, instance, layer and group normalization of ``jaxaccel.nn``. A class of your own
            may say it too.
        custom_keys_for_weight_decay: Pairs of a name and a weight decay, which come first: of the
            parameters of that name in whatever layer (``"bias"``), or with a dot in it of that
            whole name in PyTorch (``"encoder.pos_embedding"``).

    Returns:
        A list of mappings with ``"params"``, a predicate of paths, and ``"weight_decay"``: the
        others, the norms, the names in their order; those without any parameter are left out.

    Raises:
        TypeError: An argument is of another kind.

    PyTorch:
        ``torchvision.ops._utils``' and the reference scripts' ``set_weight_decay``: the same groups
        in the same order, so that ``torch.optim.SGD(groups, ...)`` is
        ``param_groups(sgd, groups, ...)``. Its norms are those above; RMSNorm is none of them.
        Whether a parameter is trained is not asked: those that are not are not in the optimizer.

    Example:
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> model = ja.models.resnet10(rngs=nnx.Rngs(0))
        >>> groups = ja.optimizers.set_weight_decay(
        ...     model, 1e-4, norm_weight_decay=0.0, custom_keys_for_weight_decay=[("bias", 0.0)]
        ... )
        >>> tx = ja.optimizers.param_groups(ja.optimizers.sgd, groups, lr=0.1, momentum=0.9)
        >>> _, params, _ = ja.training.split_model(model)
        >>> for group in ja.optimizers.get_hyperparams(tx.init(params)):
        ...     print(group["name"], f"{group['weight_decay']:.4f}")
        0 0.0001
        1 0.0000
        2 0.0000
        default 0.0000
    """
    keys = custom_keys_for_weight_decay or ()
    paths: dict[Any, set[str]] = {"other": set(), "norm": set(), **{key: set() for key, _ in keys}}
    for each in named_parameters(model):
        array = each.arrays[0]
        own = array.name.rpartition(".")[2]
        found = [key for key, _ in keys if key == (array.name if "." in key else own)]
        if found:
            paths[found[0]].update(each.paths)
        elif norm_weight_decay is not None and _is_norm(array.owner, norm_classes):
            paths["norm"].update(each.paths)
        else:
            paths["other"].update(each.paths)
    decays = {"other": weight_decay, "norm": norm_weight_decay, **dict(keys)}
    return [
        {"params": _within(frozenset(own)), "weight_decay": decays[name]}
        for name, own in paths.items()
        if own
    ]


def _is_norm(layer: nnx.Module, norm_classes: Sequence[type] | None) -> bool:
    """Return whether a layer is a norm."""
    if norm_classes is None:
        return bool(getattr(type(layer), "is_norm", False))
    return isinstance(layer, tuple(norm_classes))


def _within(paths: frozenset[str]) -> Callable[[str, Any], bool]:
    """Return the predicate of a group."""

    def is_of_group(path: str, leaf: Any) -> bool:
        del leaf
        return path in paths

    return is_of_group

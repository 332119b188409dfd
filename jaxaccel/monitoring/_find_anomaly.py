"""Where a function's results stop being finite: its program run once more, and looked at."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.extend.core import ClosedJaxpr, Literal

from jaxaccel._checked import checked
from jaxaccel._named_gradients import gradient_name, naming_gradients
from jaxaccel._tree import path_name
from jaxaccel.monitoring._anomaly import Anomaly, operation
from jaxaccel.monitoring._births import Trail, trail
from jaxaccel.monitoring._layer_scopes import layers_in_scopes
from jaxaccel.monitoring._scope import INF, NAN, Flow, Scope
from jaxaccel.training import TrainState


@checked
def find_anomaly(
    fn: Callable[..., Any], *args: Any, skipped: bool = False, **kwargs: Any
) -> Anomaly | None:
    """Return where the results of a call stop being finite, or ``None`` where they are finite.

    The program is traced once more, with names for its layers and gradients, and run once, with a
    look at every value in it. It goes into compiled functions, scans, checkpoints, branches and
    ``shard_map``, to the operation and the iteration. An infinity that reaches no result, such as
    the ``-inf`` of a mask, is not an anomaly.

    Args:
        fn: A step of ``training.train_step``, a gradient function, a loss function, or any other
            function of arrays that can be compiled.
        *args: What it is called with; ``find_anomaly(step, state, batch)`` of the state *before*
            the step. Nothing is donated.
        skipped: Whether a step that a ``precision.grad_scaler`` skips is one as well. By default
            it is not: the infinities of scaled float16 gradients are what the scaler is for.
        **kwargs: As ``*args``, by name.

    Returns:
        An :class:`Anomaly`. ``print`` shows the layer by PyTorch's dotted path, the operation, the
        line, the pass (forward, backward, update), what was finite and what was not.

    Raises:
        TypeError: the call is part of a larger program, in which there are no numbers to look at.

    PyTorch:
        ``torch.autograd.detect_anomaly``, for one call. It says the function whose backward
        returned NaN, and the line of its forward; here it is also the layer, infinities too, and
        the forward pass and the optimizer as well.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> def loss_fn(params, model_state, batch):
        ...     return jnp.mean(jnp.sqrt(params["w"] * batch)), (model_state, {})
        >>> found = ja.monitoring.find_anomaly(
        ...     ja.training.gradients(loss_fn), {"w": jnp.ones(2)}, (), jnp.array([0.0, 1.0])
        ... )
        >>> print(found.first.name, found.first.phase, found.first.line.function, found.outputs)
        div backward loss_fn ('grads.w',)
    """
    leaves, treedef = jax.tree.flatten((args, kwargs))
    check_not_traced("find_anomaly", leaves)
    is_array = [isinstance(leaf, jax.Array | np.ndarray | np.generic) for leaf in leaves]
    arrays = [leaf for leaf, is_one in zip(leaves, is_array, strict=True) if is_one]

    def call(*arrays: Any) -> Any:
        given = iter(arrays)
        own = [next(given) if one else leaf for leaf, one in zip(leaves, is_array, strict=True)]
        args, kwargs = treedef.unflatten(own)
        return fn(*args, **kwargs)

    with layers_in_scopes(), naming_gradients():
        program, shape = jax.make_jaxpr(call, return_shape=True)(*arrays)
    values, constants = [*program.consts, *arrays], frozenset(range(len(program.consts)))
    scope = _without_shells(Scope(_compiled, program.jaxpr, values, constants))
    results = named_results(shape)
    of_skip = [v for name, v in zip(results, scope.jaxpr.outvars, strict=True) if name == _SKIPPED]
    flow = scope.flow(*of_skip)
    kinds = [_kinds_of(flow, variable) for variable in scope.jaxpr.outvars]
    is_skipped = any(map(bool, flow.values))
    already = kinds_by_name(args, [flow.kinds.get(v, 0) for v in _inputs(scope, is_array, args)])
    bad = not_finite(results, kinds, already, is_exempt=is_skipped and not skipped)
    if not bad:
        return None
    names = [name for name, one in zip(_names_of(fn, args, kwargs), is_array, strict=True) if one]
    return _anomaly(scope, flow, {results[i]: kinds[i] for i in bad}, results, names, args)


_SKIPPED = "metrics.skipped"
_NORM = "metrics.grad_norm"
_LOSS = "metrics.loss"
_A_CONSTANT = "a constant that the function holds"


def check_not_traced(taker: str, leaves: Sequence[Any]) -> None:
    """Raise inside of a larger program."""
    if any(isinstance(leaf, Tracer) for leaf in leaves):
        raise TypeError(
            f"{taker} was called inside a function that is compiled or differentiated, where there "
            "are no numbers to look at; wrap the outermost function, as the step that train_step "
            "returns"
        )


def named_results(shape: Any) -> list[str]:
    """Return the names of a function's results: ``"state.params.w"``, ``"metrics.loss"``."""
    firsts = dict(enumerate(("state", "metrics"))) if _is_of_step(shape) else {}
    return [_with_first(path, firsts) for path, _ in jax.tree.leaves_with_path(shape)]


def _is_of_step(shape: Any) -> bool:
    """Return whether a result is a step's."""
    return isinstance(shape, tuple) and len(shape) == 2 and isinstance(shape[0], TrainState)


def _with_first(path: Any, firsts: Any) -> str:
    """Return a path's name, its first part by another name."""
    name = path_name(path)
    first, dot, rest = name.partition(".")
    known = firsts.get(int(first)) if first.isdigit() else None
    return name if known is None else known + dot + rest


def kinds_by_name(args: Sequence[Any], kinds: Sequence[int]) -> dict[str, int]:
    """Return what the leaves of a state hold that is not finite, by the names of the results."""
    if not args or not isinstance(args[0], TrainState):
        return {}
    names = [path_name(path) for path, _ in jax.tree.leaves_with_path(args[0])]
    return {f"state.{name}": kind for name, kind in zip(names, kinds, strict=False) if kind}


def not_finite(
    names: Sequence[str], kinds: Sequence[int], already: dict[str, int], *, is_exempt: bool
) -> list[int]:
    """Return which results are an anomaly.

    An infinity that a state already had is not: the best loss of a plateau begins so. Nor is the
    norm of the gradients of a step that the scaler skips.
    """
    bad = []
    for index, (name, kind) in enumerate(zip(names, kinds, strict=True)):
        is_new = kind == NAN or (kind == INF and name not in already)
        if is_new and not (is_exempt and name == _NORM):
            bad.append(index)
    return bad


def _compiled(function: Callable[..., list[Any]], arrays: Sequence[Any], _: Any) -> list[Any]:
    """Call a function of arrays as one program."""
    return list(jax.jit(function)(*arrays))


def _without_shells(scope: Scope) -> Scope:
    """Return the program inside of programs that hold one other and nothing else."""
    while len(scope.jaxpr.eqns) == 1:
        (equation,) = scope.jaxpr.eqns
        inner: ClosedJaxpr | None = equation.params.get("jaxpr")
        is_whole = equation.invars == scope.variables and equation.outvars == scope.jaxpr.outvars
        if equation.primitive.name != "jit" or inner is None or inner.consts or not is_whole:
            break
        scope = scope._replace(jaxpr=inner.jaxpr, outer=(*scope.outer, equation))
    return scope


def _inputs(scope: Scope, is_array: Sequence[bool], args: Sequence[Any]) -> list[Any]:
    """Return the variables of a state's leaves, ``None`` for one that is not an array."""
    own = iter(scope.variables[len(scope.written) :])
    count = len(jax.tree.leaves(args[0])) if args else 0
    return [next(own) if one else None for one in is_array[:count]]


def _kinds_of(flow: Flow, atom: Any) -> int:
    """Return what a result holds that is not finite."""
    return 0 if isinstance(atom, Literal) else flow.kinds.get(atom, 0)


def _names_of(fn: Any, args: Any, kwargs: Any) -> list[str]:
    """Return the names of all leaves of a call's arguments: ``"batch.0"``."""
    try:
        parameters = list(inspect.signature(fn).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    firsts = {i: p.name for i, p in enumerate(parameters) if p.kind in positional}
    names = [_with_first(path, firsts) for path, _ in jax.tree.leaves_with_path(args)]
    return names + [path_name(path) for path, _ in jax.tree.leaves_with_path(kwargs)]


class _Root(NamedTuple):
    """The first thing that went wrong: in a program, or before it."""

    argument: str | None
    first: Any
    became_nan: Any


def _anomaly(
    scope: Scope,
    flow: Flow,
    bad: dict[str, int],
    results: Sequence[str],
    names: Sequence[str],
    args: Any,
) -> Anomaly:
    """Return what is said of results that are not finite."""
    variables = dict(zip(results, scope.jaxpr.outvars, strict=True))
    starts = {}
    for name, kind in bad.items():
        origin = flow.origins[kind].get(variables[name])
        if origin is not None:
            starts[name, kind] = (not origin.is_input, origin.at)
    found = Trail()
    if starts:
        name, kind = min(starts, key=lambda each: starts[each])
        found = trail(scope, flow, variables[name], kind)
    marks = [(i, e) for i, e in enumerate(scope.jaxpr.eqns) if gradient_name(e) is not None]
    last = max((index for index, _ in marks), default=None)

    def said(birth: Any) -> Any:
        if birth is None:
            return None
        equations, own = scope.jaxpr.eqns, birth.equations[len(scope.outer)]
        index = next(i for i, equation in enumerate(equations) if equation is own)
        return operation(
            birth,
            is_update=last is not None and index > last,
            is_differentiated=any("jvp(" in str(e.source_info.name_stack) for e in equations),
            loss_is_finite=_finite_loss(bad, results),
        )

    given = found.given if found.given is not None else found.given_cause
    argument = None
    if given is not None:
        argument = _A_CONSTANT if given in scope.written else names[given - len(scope.written)]
    first = found.cause or (None if argument is not None else found.birth)
    state = args[0] if args and isinstance(args[0], TrainState) else None
    return Anomaly(
        None if state is None else int(jnp.asarray(state.step)),
        argument,
        said(first),
        said(found.birth if found.birth is not first else None),
        tuple(str(gradient_name(e)) for _, e in marks if e.outvars[0] in flow.kinds),
        tuple(bad),
    )


def _finite_loss(bad: dict[str, int], results: Sequence[str]) -> bool:
    """Return whether there is a loss among the results, and it is finite."""
    losses = [name for name in results if name == _LOSS or name.endswith("metrics.loss")]
    return bool(losses) and not any(name in bad for name in losses)

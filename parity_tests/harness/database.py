"""PyTorch's own databases of calls, ``op_db`` and ``module_db``: a whole entry is one program.

All samples of a function (or layer) are traced together, with the gradients of all that has one in
PyTorch, and compiled once. Each is compared by itself, and a fault names it.
"""

import functools
import itertools
import random
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch

import jaxaccel as ja
from parity_tests.harness.compare import assert_close, largest, wide
from parity_tests.harness.compiled import FAST_COMPILE
from parity_tests.harness.function import ours_of, theirs_of
from parity_tests.harness.layer import OF_MAX
from parity_tests.registry import Case

MOST = 16
"""An entry with more samples is thinned: see :func:`with_new_pairs`."""


class Limit(NamedTuple):
    """Calls of an entry that cannot be as PyTorch's: a pattern of their texts, and why."""

    name: str
    pattern: str
    reason: str

    def fits(self, name, text):
        return re.fullmatch(self.name, name) is not None and re.search(self.pattern, text)


class Sample(NamedTuple):
    """One call, PyTorch's side and ours. ``axes`` is a row with the options of a function's."""

    text: str
    axes: Case
    tensors: Mapping[str, torch.Tensor]
    judge: Callable[[Mapping[str, torch.Tensor]], Any]
    """Tensors by name -> the tree of PyTorch's results."""
    own: Callable[[Mapping[str, Any], Any], Any]
    """Arrays by name, in our layouts, and variables -> the tree of ours."""
    parameters: Mapping[str, torch.Tensor] = {}
    """What PyTorch differentiates besides the tensors."""
    variables: Any = None
    """The tree of ours that holds them, a layer's state."""
    by_name: Callable[[Any], Mapping[str, np.ndarray]] = dict
    """Gradients of the variables -> those of the parameters, in PyTorch's layout."""


# --- the calls ----------------------------------------------------------------------------------


def seeded():
    """Let the databases draw the same numbers wherever they are asked."""
    torch.manual_seed(0)
    random.seed(0)


def text_of(arguments):
    """Return a call's arguments in words; of a tensor its dtype and shape."""
    return ", ".join(f"{name}={_words(value)}" for name, value in arguments.items())


def _words(value):
    if isinstance(value, torch.Tensor):
        return f"{str(value.dtype).removeprefix('torch.')}{[*value.shape]}"
    if isinstance(value, tuple | list):
        return f"({', '.join(map(_words, value))})"
    return type(value).__name__ if isinstance(value, torch.nn.Module) else repr(value)


def own_value(value):
    """Return an argument that is no array as jaxaccel takes it."""
    if isinstance(value, torch.nn.PairwiseDistance):
        numbers = {"p": value.norm, "eps": value.eps, "keepdim": value.keepdim}
        return functools.partial(ja.functional.pairwise_distance, **numbers)
    if isinstance(value, torch.dtype):
        return jnp.dtype(str(value).removeprefix("torch."))
    if isinstance(value, torch.Tensor):
        return jnp.asarray(value.detach().numpy())
    return tuple(value) if isinstance(value, torch.Size) else value


def classes_last(ndim, first):
    """Return the order of axes with the classes last, which stand at ``first`` in PyTorch."""
    first = min(first, ndim - 1)  # of a call that is refused, it may be anywhere
    return (*range(first), *range(first + 1, ndim), first)


def with_new_pairs(samples):
    """Return the samples; of many, so many that each pair of two arguments' values is among them.

    The databases multiply options with each other (1440 calls of ``max_pool2d``). Here each value
    stays, and what two options do to each other. The next one has the most new pairs.
    """
    if len(samples) <= MOST:
        return samples
    arguments = [re.split(r", (?=\w+=)", sample.text) for sample in samples]
    missing = [set(itertools.combinations_with_replacement(each, 2)) for each in arguments]
    kept = []
    while any(missing):
        best = max(range(len(samples)), key=lambda index: len(missing[index]))
        kept.append(best)
        missing = [pairs - missing[best] for pairs in missing]
    return [samples[index] for index in sorted(kept)]


def arrays_of(sample):
    """Return the arrays of a call in our layouts."""
    return {
        name: ours_of(sample.axes, name, tensor.detach().numpy())
        for name, tensor in sample.tensors.items()
    }


# --- one run ------------------------------------------------------------------------------------


class _Judged(NamedTuple):
    results: list[np.ndarray]
    cotangents: list[np.ndarray | None]
    gradients: dict[str, np.ndarray]


def _judged(sample, rng):
    """Return PyTorch's results, random cotangents of those that have gradients, and gradients."""
    tensors = {
        name: tensor.detach().clone().requires_grad_(tensor.requires_grad)
        for name, tensor in sample.tensors.items()
    }
    results = [t for t in jax.tree.leaves(sample.judge(tensors)) if t is not None]
    cotangents = [rng.normal(size=tuple(t.shape)) if t.requires_grad else None for t in results]
    given = {name: tensor for name, tensor in tensors.items() if tensor.requires_grad}
    given |= sample.parameters
    found = [None] * len(given)
    if given and any(c is not None for c in cotangents):
        found = torch.autograd.grad(
            [t for t in results if t.requires_grad],
            [*given.values()],
            [torch.tensor(c) for c in cotangents if c is not None],
            allow_unused=True,
        )
    gradients = {
        name: np.zeros(tuple(tensor.shape)) if grad is None else wide(grad)
        for (name, tensor), grad in zip(given.items(), found, strict=True)
    }
    return _Judged([t.detach().numpy() for t in results], cotangents, gradients)


def faults_of(samples):
    """Return [(sample, what is wrong)] of those that are not PyTorch's, all in one program."""
    rng = np.random.default_rng(1)
    judged = [_judged(sample, rng) for sample in samples]
    given = [arrays_of(sample) for sample in samples]
    refused = {}

    def results_of(index, arrays, variables):
        sample = samples[index]
        try:
            results = jax.tree.leaves(sample.own({**given[index], **arrays}, variables))
        except Exception as error:  # whatever it is: the sample's fault
            refused[index] = f"{type(error).__name__}: {error}"
            return []
        expected = [ours_of(sample.axes, "output", r).shape for r in judged[index].results]
        if [np.shape(r) for r in results] != expected:
            refused[index] = f"shapes {[np.shape(r) for r in results]}, not {expected}"
            return []
        return results

    def chosen(index, results):
        """Return the results with gradients; none of a sample that is refused."""
        pairs = zip(results, judged[index].cotangents, strict=True) if results else ()
        return [result for result, cotangent in pairs if cotangent is not None]

    @functools.partial(jax.jit, compiler_options=FAST_COMPILE)
    def run(differentiated, cotangents):
        def call(differentiated):
            results = [results_of(i, *own) for i, own in enumerate(differentiated)]
            return [chosen(i, own) for i, own in enumerate(results)], results

        wanted, pullback, results = jax.vjp(call, differentiated, has_aux=True)
        used = [[] if i in refused else own for i, own in enumerate(cotangents)]
        return results, pullback(jax.tree.map(lambda c, r: c.astype(r.dtype), used, wanted))[0]

    differentiated = [
        ({n: own[n] for n, t in sample.tensors.items() if t.requires_grad}, sample.variables)
        for sample, own in zip(samples, given, strict=True)
    ]
    cotangents = [
        [ours_of(sample.axes, "output", c) for c in own.cotangents if c is not None]
        for sample, own in zip(samples, judged, strict=True)
    ]
    with jax.default_matmul_precision("highest"):
        results, gradients = run(differentiated, cotangents)
    faults = [
        refused.get(index) or _difference(sample, judged[index], results[index], gradients[index])
        for index, sample in enumerate(samples)
    ]
    return [(sample, fault) for sample, fault in zip(samples, faults, strict=True) if fault]


def _difference(sample, judged, results, gradients):
    """Return the first difference from PyTorch in words, or None."""
    arrays, variables = gradients
    gradients = {name: theirs_of(sample.axes, name, array) for name, array in arrays.items()}
    gradients |= sample.by_name(variables) if sample.parameters else {}
    try:
        for found, expected in zip(results, judged.results, strict=True):
            found = theirs_of(sample.axes, "output", found)
            kinds = found.dtype.kind, expected.dtype.kind
            assert kinds[0] == kinds[1], f"output: dtype {found.dtype}, not {expected.dtype}"
            assert_close(found, expected, OF_MAX["float64"], what="output", special=True)
        scale = max((largest(c) for c in judged.cotangents if c is not None), default=0.0)
        assert judged.gradients.keys() <= gradients.keys()
        for name, expected in judged.gradients.items():
            what = f"gradient of {name}"
            assert_close(gradients[name], expected, OF_MAX["float64"], scale, what, special=True)
    except AssertionError as error:
        return str(error)
    return None


# --- what a test asserts ------------------------------------------------------------------------


def faults_of_entry(name, samples, limits):
    """Yield (call, what is wrong): a sample that is not PyTorch's, or a limit that is none."""
    faults = faults_of(samples)
    wrong = {sample.text for sample, _ in faults}
    for sample, fault in faults:
        if not any(limit.fits(name, sample.text) for limit in limits):
            yield sample.text, fault
    yield from _needless(name, limits, [(sample.text, sample.text in wrong) for sample in samples])


def faults_of_errors(name, calls, limits):
    """Yield the same of (text, call, pattern of PyTorch's text): each must raise with its text."""
    found = [(text, pattern, _refusal(call, pattern)) for text, call, pattern in calls]
    for text, pattern, fault in found:
        if fault and not any(limit.fits(name, text) for limit in limits):
            yield text, f"{fault}; PyTorch's is {pattern!r}"
    yield from _needless(name, limits, [(text, fault is not None) for text, _, fault in found])


def _needless(name, limits, found):
    """Yield the limits of an entry that stop nothing, from [(text, whether it is wrong)]."""
    for limit in limits:
        if re.fullmatch(limit.name, name):
            stopped = [is_wrong for text, is_wrong in found if limit.fits(name, text)]
            if not stopped or not all(stopped):
                yield limit.pattern, "has become possible: take it from the table"


def _refusal(call, pattern):
    """Return what is wrong with the refusal of a call, or None."""
    try:
        call()
    except (ValueError, TypeError, IndexError) as error:
        first = str(error)
        return None if re.search(pattern, first) else first.splitlines()[0]
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "nothing is raised"

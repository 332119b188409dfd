"""The suite's comparisons: every error is measured against a magnitude, and both are named."""

import jax
import jax.numpy as jnp
import numpy as np
import torch

from parity_tests import tolerances as tol


def wide(array):
    """Return an array, tensor or number as float64 or complex128 (NumPy; None stays None)."""
    if array is None:
        return None
    if isinstance(array, torch.Tensor):
        array = array.detach().to(torch.complex128 if array.is_complex() else torch.float64)
    array = np.asarray(array)
    return array.astype(np.complex128 if np.iscomplexobj(array) else np.float64)


def largest(array):
    """Return the largest magnitude: 0 of nothing, NaN if there is one."""
    return np.max(np.abs(array), initial=0.0)


def assert_close(found, expected, of_max, at_least=0.0, what="", *, floor=0.0, special=False):
    """Assert the shape, and an error of at most a share of the largest magnitude.

    ``at_least`` is a magnitude below which the share does not fall, ``floor`` is added to what is
    allowed. ``special``: the judge may hold infinities and NaN, which must stand where it has them.
    """
    found, expected = wide(found), wide(expected)
    assert found.shape == expected.shape, f"{what}: {found.shape} is not {expected.shape}"
    if special:
        finite = np.isfinite(expected)
        assert np.array_equal(found[~finite], expected[~finite], equal_nan=True), what
        found, expected = found[finite], expected[finite]
    with np.errstate(invalid="ignore"):  # infinities that nobody has asked for make it NaN
        error = largest(found - expected)
    allowed = of_max * max(largest(expected), at_least) + floor
    assert error <= allowed, f"{what}: {error:.2e} > {allowed:.2e}"


def assert_each_close(found, expected, relative):
    """Assert the shape, and of every element an error of at most a share of itself."""
    found, expected = wide(found), wide(expected)
    assert found.shape == expected.shape, f"{found.shape} is not {expected.shape}"
    excess = np.abs(found - expected) - relative * np.abs(expected)
    assert np.all(excess <= 0), f"{np.argmax(excess)}: {excess.max():.2e} too far"


def assert_same_tree(found, expected, of_max):
    """Assert two trees of the same structure, shapes and dtypes, leaf by leaf as above."""
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for (path, a), b in zip(
        jax.tree.leaves_with_path(found), jax.tree.leaves(expected), strict=True
    ):
        assert a.dtype == b.dtype, path
        assert_close(a, b, of_max, what=jax.tree_util.keystr(path))


def assert_same_weights(found, twin, of_norm, also_statistics=True):
    """Assert weights (a mapping) against a PyTorch model's, tensor by tensor, as 2-norms."""
    for name, tensor in twin.state_dict().items():
        if "num_batches" in name or ("running" in name and not also_statistics):
            continue
        ours, theirs = wide(found[name]), wide(tensor)
        assert ours.shape == theirs.shape, f"{name}: {ours.shape} is not {theirs.shape}"
        error, allowed = np.linalg.norm(ours - theirs), of_norm * np.linalg.norm(theirs)
        assert error <= allowed, f"{name}: {error:.2e} > {allowed:.2e}"


def assert_same_path(found, expected, slack=0.0, floor=0.0, what=""):
    """Assert the design's float64 criterion for one leaf; the arrays start before the first step.

    ``slack`` is added to the share of the path that is allowed, ``floor`` to what is allowed.
    """
    assert len(found) == len(expected), what
    path = 0.0
    for t in range(1, len(expected)):
        path += largest(expected[t] - expected[t - 1])
        allowed = (tol.FLOAT64_OF_PATH + slack) * path
        allowed += tol.FLOAT64_ROUNDING * t * largest(expected[t]) + floor
        error = largest(found[t] - expected[t])
        assert error <= allowed, f"{what} at step {t}: {error:.2e} > {allowed:.2e}"


def assert_rounded_once(found, exact, dtype, of_max=None, what=""):
    """Assert arithmetic with an error of ``of_max``, then one rounding to ``dtype``.

    The arithmetic is double precision for float64, and single for all others.

    Infinities and NaN of the exact result stand in the found one; so does what ``dtype`` cannot
    hold.
    """
    info = jnp.finfo(dtype)
    if of_max is None:
        of_max = tol.TRANSFORM_FLOAT64_OF_MAX if info.bits == 64 else tol.FLOAT32_ONE_STEP
    found, exact = wide(found), wide(exact).copy()
    assert found.shape == exact.shape, f"{what}: {found.shape} is not {exact.shape}"
    too_large = np.isfinite(exact) & (np.abs(exact) > float(info.max))
    exact[too_large] = np.sign(exact[too_large]) * np.inf
    finite = np.isfinite(exact)
    assert np.array_equal(found[~finite], exact[~finite], equal_nan=True), what
    found, exact = found[finite], exact[finite]
    allowed = np.full(exact.shape, of_max * largest(exact))
    if info.bits < 32:
        allowed += np.maximum(np.abs(exact) * float(info.eps), float(info.tiny * info.eps)) / 2
    error = np.abs(found - exact)
    assert np.all(error <= allowed), f"{what}: {largest(error):.2e} > {largest(allowed):.2e}"


def assert_no_worse(found, theirs, judge, ratio=None, dtype="float32"):
    """Assert the RMS error of runs (seed, step, ...) at steps 1, 10 and the last: the design's.

    Where PyTorch's float16 run breaks down (eps 1e-8 is 0 there), jaxaccel's must not.
    """
    for t in (1, 10, judge.shape[1] - 1):
        own, pytorch = (np.sqrt(np.mean((run - judge)[:, t] ** 2)) for run in (found, theirs))
        if np.isfinite(pytorch):
            allowed = (ratio or tol.OWN_ERROR_RATIO) * pytorch
            assert own <= allowed, f"{dtype} at step {t}: {own:.3e} > {allowed:.3e}"
        else:
            assert dtype == "float16"
            assert np.isfinite(own), f"step {t}"


def assert_no_shared_buffers(tree):
    """Assert that no two leaves share memory on any device: each could be donated."""
    own = [
        {shard.data.unsafe_buffer_pointer() for shard in leaf.addressable_shards}
        for leaf in jax.tree.leaves(tree)
    ]
    assert len(set().union(*own)) == sum(map(len, own))

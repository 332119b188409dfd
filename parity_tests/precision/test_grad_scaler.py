"""The scaler by itself: every scale of ten thousand steps, gradients, states, optimizers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jaxaccel as ja
from parity_tests.harness.mirror import torch_ref_inside

STEPS = 10_000
HALVING = {"init_scale": 65536.0, "growth_factor": 2.0, "backoff_factor": 0.5}


@functools.cache
def updates(**options):
    """Return a compiled run of ``update`` over answers, for any numbers in the state."""
    scaler = ja.precision.grad_scaler(**options)

    def one(state, found):
        state = scaler.update(state, found)
        return state, (state.scale, state.growth_tracker)

    return jax.jit(lambda state, founds: jax.lax.scan(one, state, founds))


def scales(founds, **arguments):
    """Return scale and tracker after every answer, and the last state."""
    state = ja.precision.grad_scaler(**arguments).init()
    state, found = updates()(state, jnp.asarray(founds))
    return np.asarray(found[0]), np.asarray(found[1]), state


def torch_scales(founds, init_scale, growth_factor, backoff_factor, growth_interval):
    """Return the same of the kernel that ``torch.amp.GradScaler.update`` calls."""
    scale, tracker = torch.full((), init_scale), torch.zeros((), dtype=torch.int32)
    answers, found = (torch.tensor(0.0), torch.tensor(1.0)), []
    for answer in founds:
        torch._amp_update_scale_(
            scale, tracker, answers[int(answer)], growth_factor, backoff_factor, growth_interval
        )
        found.append((scale.item(), tracker.item()))
    return np.array(found, np.float32).T


def answers(rate, seed=0):
    return np.random.default_rng(seed).random(STEPS) < rate


def script(*runs):
    """Return (answer, times) written out, repeated to ten thousand."""
    return np.resize(np.repeat([a for a, _ in runs], [n for _, n in runs]), STEPS) == 1


SEQUENCES = {
    "at random": (answers(0.1), HALVING | {"growth_interval": 7}),
    "often": (answers(0.4, 1), HALVING | {"growth_interval": 2}),
    "by the defaults": (answers(0.0005, 2), HALVING | {"growth_interval": 2000}),
    "other factors": (
        answers(0.2, 3),
        {"init_scale": 3.0, "growth_factor": 1.5, "backoff_factor": 0.75, "growth_interval": 3},
    ),
    "grows at every step, up to the largest": (
        script((0, 150), (1, 3), (0, 1)),
        HALVING | {"growth_interval": 1},
    ),
    "down to 0, where it stays": (script((1, 300), (0, 10)), HALVING | {"growth_interval": 1}),
    "through subnormal numbers and back": (
        script((1, 160), (0, 160)),
        HALVING | {"growth_interval": 1},
    ),
    "from infinity": (answers(0.3, 4), HALVING | {"init_scale": np.inf, "growth_interval": 2}),
}


@pytest.mark.parity
@pytest.mark.parametrize("name", SEQUENCES)
def test_every_scale_of_ten_thousand_steps_is_pytorchs(name):
    founds, arguments = SEQUENCES[name]
    expected, expected_trackers = torch_scales(founds, **arguments)
    found, trackers, state = scales(founds, **arguments)
    # Bits: a subnormal number is not 0.
    assert found.tobytes() == expected.astype(np.float32).tobytes()
    assert np.array_equal(trackers, expected_trackers)
    assert int(state.skipped) == founds.sum()
    extremes = {"largest": 2.0**127, "to 0": 0.0, "subnormal": 2.0**-144, "infinity": np.inf}
    for word, value in extremes.items():
        assert word not in name or value in found


def test_the_sequences_tell_wrong_scalers():
    """In NumPy, right and wrong: a check of the sequences, not of the scaler."""
    largest = "grows at every step, up to the largest"
    for sequence, wrong in (
        ("at random", {"late": 1}),  # growth one step late
        ("at random", {"is_reset": False}),  # a count that an infinity leaves
        (largest, {"is_bounded": False}),  # a scale that grows into infinity
    ):
        founds, arguments = SEQUENCES[sequence]
        expected = torch_scales(founds, **arguments)[0]
        assert np.array_equal(plain_scales(founds, **arguments), expected)
        assert not np.array_equal(plain_scales(founds, **arguments, **wrong), expected), wrong


def plain_scales(
    founds,
    init_scale,
    growth_factor,
    backoff_factor,
    growth_interval,
    late=0,
    is_reset=True,
    is_bounded=True,
):
    """Return the scales of a scaler in plain NumPy, which may be wrong."""
    growth, backoff = np.float32(growth_factor), np.float32(backoff_factor)
    scale, tracker, found = np.float32(init_scale), 0, []
    with np.errstate(over="ignore"):
        for answer in founds:
            if answer:
                scale, tracker = scale * backoff, 0 if is_reset else tracker
            elif tracker + 1 == growth_interval + late:
                grown = scale * growth
                scale, tracker = scale if is_bounded and np.isinf(grown) else grown, 0
            else:
                tracker += 1
            found.append(scale)
    return np.array(found)


# --- gradients ----------------------------------------------------------------------------------


def torch_unscaled(grads, scale):
    """Return what ``unscale_`` leaves in ``.grad``, and what it has found."""
    params = [torch.nn.Parameter(torch.zeros_like(grad)) for grad in grads]
    for param, grad in zip(params, grads, strict=True):
        param.grad = grad.clone()
    scaler = torch.amp.GradScaler("cpu", init_scale=scale)
    optimizer = torch.optim.SGD(params)
    scaler.scale(torch.zeros(()))
    scaler.unscale_(optimizer)
    found = scaler._found_inf_per_device(optimizer)
    return [p.grad for p in params], bool(sum(v.item() for v in found.values()))


@pytest.mark.parity
def test_unscaled_gradients_and_the_answer_are_pytorchs():
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(3, 4)), rng.normal(size=5), rng.normal(size=())]
    cases = [(65536.0, None), (3.0, None), (0.1, np.nan), (1.0, np.inf), (2.0**127, -np.inf)]
    cases += [(0.0, None), (np.inf, None)]
    for dtype in ("float32", "bfloat16", "float64"):
        for scale, bad in cases:
            grads = [np.array(array, np.float32) for array in arrays]
            if bad is not None:
                grads[1][2] = bad
            theirs = [torch.tensor(grad).to(getattr(torch, dtype)) for grad in grads]
            expected, expected_inf = torch_unscaled(theirs, scale)
            scaler = ja.precision.grad_scaler(init_scale=scale)
            own = [jnp.asarray(grad, dtype) for grad in grads]
            found, found_inf = scaler.unscale(own, scaler.init())
            assert bool(found_inf) == expected_inf == (bad is not None)
            for a, b in zip(found, expected, strict=True):
                assert a.dtype == dtype
                pair = np.asarray(a, np.float64), b.double().numpy()
                # XLA takes subnormal results for 0 where it compiles for a device that does so.
                pair = [np.where(np.abs(x) < np.finfo(np.float32).tiny, 0, x) for x in pair]
                np.testing.assert_array_equal(*pair, f"{dtype} {scale}")


def test_a_loss_is_scaled_in_float32_and_an_array_in_its_own_dtype():
    scaler = ja.precision.grad_scaler()
    theirs = torch.amp.GradScaler("cpu")
    for dtype in ("float16", "bfloat16", "float32", "float64"):
        for shape in ((), (2,)):
            mine = scaler.scale(jnp.full(shape, 0.5, dtype), scaler.init())
            expected = theirs.scale(torch.full(shape, 0.5, dtype=getattr(torch, dtype)))
            assert str(expected.dtype) == f"torch.{mine.dtype}"
            np.testing.assert_array_equal(np.asarray(mine, np.float64), expected.double().numpy())


def test_float16_gradients_are_refused_in_pytorchs_words():
    with pytest.raises(ValueError, match="unscale FP16") as theirs:
        torch_unscaled([torch.ones(2, dtype=torch.float16)], 2.0)
    scaler = ja.precision.grad_scaler()
    grads = {"w": jnp.ones(2, jnp.float16)}
    with pytest.raises(ValueError, match=r"That of 'w' is float16: keep parameters") as own:
        scaler.unscale(grads, scaler.init())
    assert str(own.value).splitlines()[0] == str(theirs.value)
    taken = ja.precision.grad_scaler(init_scale=2.0**12, allow_fp16=True)
    found, _ = taken.unscale({"w": jnp.full(2, 2.0**-20, jnp.float16)}, taken.init())
    assert found["w"].dtype == jnp.float32
    assert found["w"][0] == 2.0**-32  # of which float16 has nothing left


def test_a_sparse_gradient_keeps_its_rows():
    scaler = ja.precision.grad_scaler(init_scale=2.0)
    rows = {"values": jnp.ones((2, 3)), "indices": jnp.arange(2)}
    found, _ = scaler.unscale(rows, scaler.init())
    assert found["values"][0, 0] == 0.5
    assert found["indices"].tolist() == [0, 1]


@pytest.mark.parity
def test_torch_ref_computes_the_same():
    founds, arguments = answers(0.3)[:60], HALVING | {"growth_interval": 2}
    expected = torch_scales(founds, **arguments)[0]
    scaler = ja.precision.grad_scaler(**arguments)
    with torch_ref_inside("precision") as ran:
        state, found = scaler.init(), []
        for answer in founds:
            grads = {"w": jnp.asarray([1.0, np.inf if answer else 2.0], jnp.float32)}
            scaled = scaler.scale(jnp.float32(3.0), state)
            assert float(scaled) == 3 * float(state.scale)
            unscaled, found_inf = scaler.unscale(grads, state)
            assert float(unscaled["w"][0] * state.scale) == 1.0
            state = scaler.update(state, found_inf)
            found.append(float(state.scale))
    assert found == expected.tolist()
    assert ran >= {f"precision._loss_scale.{n}" for n in ("scaled", "unscaled", "next_scale")}


# --- states -------------------------------------------------------------------------------------


@pytest.mark.parity
def test_state_dict_goes_both_ways():
    arguments = {
        "init_scale": 512.0,
        "growth_factor": 1.1,
        "backoff_factor": 0.7,
        "growth_interval": 4,
    }
    theirs = torch.amp.GradScaler("cpu", **arguments)
    theirs.scale(torch.ones(()))
    scaler = ja.precision.grad_scaler(**arguments)
    state = scaler.init()
    assert scaler.state_dict(state) == theirs.state_dict()
    state = scaler.update(scaler.update(state, True), False)
    other = torch.amp.GradScaler("cpu")
    other.load_state_dict(scaler.state_dict(state))
    assert other.state_dict() == scaler.state_dict(state)
    back = ja.precision.grad_scaler().load_state_dict(other.state_dict())
    assert jax.tree.all(jax.tree.map(jnp.array_equal, back, state._replace(skipped=back.skipped)))
    assert set(map(type, scaler.state_dict(state).values())) == {float, int}


def test_a_scaler_that_is_off_changes_nothing():
    scaler, theirs = ja.precision.grad_scaler(enabled=False), torch.amp.GradScaler(enabled=False)
    state, grads = scaler.init(), {"w": jnp.ones(2)}
    assert state is None
    assert scaler.scale(3.0, state) == 3.0
    assert scaler.unscale(grads, state)[0] is grads
    assert scaler.update(state, True) is None
    assert scaler.state_dict(state) == theirs.state_dict() == {}
    assert scaler.load_state_dict({}) is None
    with pytest.raises(RuntimeError, match="empty") as error:
        torch.amp.GradScaler("cpu").load_state_dict({})
    with pytest.raises(ValueError, match="empty") as own:
        ja.precision.grad_scaler().load_state_dict({})
    assert str(own.value).splitlines()[0] == str(error.value)


def test_a_scale_of_ones_own():
    theirs = torch.amp.GradScaler("cpu")
    theirs.scale(torch.ones(()))
    theirs.update(new_scale=7.5)
    scaler = ja.precision.grad_scaler()
    state = scaler.update(scaler.init(), new_scale=7.5)
    assert scaler.state_dict(state) == theirs.state_dict()


REFUSED = {
    "growth": (lambda: ja.precision.grad_scaler(growth_factor=1.0), "growth factor must be > 1.0."),
    "backoff": (lambda: ja.precision.grad_scaler(backoff_factor=1.0), "backoff factor must be < 1"),
    "count": (lambda: ja.precision.grad_scaler(hysteresis=0), "hysteresis must be at least 1"),
    "no answer": (
        lambda: ja.precision.grad_scaler().update(ja.precision.grad_scaler().init()),
        "No inf checks were recorded prior to update",
    ),
    "no gradients": (
        lambda: ja.precision.grad_scaler().unscale({}, ja.precision.grad_scaler().init()),
        "No inf checks were recorded for this optimizer",
    ),
    "a key is missing": (
        lambda: ja.precision.grad_scaler().load_state_dict({"scale": 1.0}),
        "lacks growth_factor, backoff_factor",
    ),
    "no state": (lambda: ja.precision.grad_scaler().scale(1.0, None), "needs a GradScalerState"),
    "reduced in bfloat16": (
        lambda: ja.precision.mixed_precision_policy(reduce_dtype=jnp.bfloat16),
        "reduce_dtype must be float32 or None",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name):
    call, text = REFUSED[name]
    with pytest.raises((ValueError, TypeError), match=text):
        call()


# --- options beyond PyTorch ---------------------------------------------------------------------


def deepspeed_scales(overflows, scale, window, hysteresis, floor, consecutive):
    """Return DeepSpeed's scale after every step: counted from the last overflow, in plain Python.

    Its own numbers are in ``interop/test_deepspeed_config.py``.
    """
    left, last, found = hysteresis, -1, []
    for now, overflow in enumerate(overflows):
        if overflow:
            if left == 1:
                scale = max(scale / 2, floor)
            else:
                left -= 1
            last = now
        else:
            if consecutive:
                left = hysteresis
            good = now - last - 1
            if good > 0 and good % window == 0:
                left, scale = hysteresis, scale * 2
        found.append(scale)
    return np.array(found)


@pytest.mark.parametrize("consecutive", [False, True], ids=["in all", "in a row"])
def test_deepspeeds_scale_after_every_step(consecutive):
    often, seldom = (0.25, 0.5) if consecutive else (0.1, 0.4)
    for rate, window, hysteresis in [(often, 10, 2), (seldom, 3, 3), (0.002, 1000, 2)]:
        overflows = answers(rate)
        overflows[:40] = True  # down to the floor
        scaler = ja.precision.deepspeed_grad_scaler(
            initial_scale_power=16,
            loss_scale_window=window,
            hysteresis=hysteresis,
            consecutive_hysteresis=consecutive,
            min_loss_scale=4.0,
        )

        def one(state, found, scaler=scaler):
            state = scaler.update(state, found)
            return state, state.scale

        _, found = jax.jit(lambda s, o: jax.lax.scan(one, s, o))(scaler.init(), overflows)
        expected = deepspeed_scales(overflows, 65536.0, window, hysteresis, 4.0, consecutive)
        assert expected.max() < 2.0**127
        np.testing.assert_array_equal(found, expected)


def test_deepspeeds_schedules_stand_still_at_skipped_steps():
    """Its engine calls ``lr_scheduler.step()`` only where nothing has overflowed."""
    tx = ja.optimizers.sgd(lr=ja.schedules.exponential_lr(1.0, 0.5))
    for scaler, rate in (
        (ja.precision.deepspeed_grad_scaler(), 1.0),
        (ja.precision.grad_scaler(), 0.5),
    ):
        scaled = ja.precision.scaled_gradients(tx, scaler)
        w = jnp.ones((), jnp.float32)
        state = scaled.init(w)
        _, state = scaled.update(jnp.full_like(w, jnp.inf), state, w)
        grad = scaler.scale(w, state.scaler)
        assert float(scaled.update(grad, state, w)[0]) == -rate


def test_a_static_scale_stays_and_counts():
    for scaler in (
        ja.precision.grad_scaler(init_scale=128.0, dynamic=False),
        ja.precision.deepspeed_grad_scaler(loss_scale=128.0),
    ):
        state = scaler.init()
        for found in (True, False, True):
            state = scaler.update(state, found)
        assert (float(state.scale), int(state.skipped)) == (128.0, 2)


def test_a_policy_in_fsdps_words():
    words = {"param_dtype": torch.bfloat16, "reduce_dtype": torch.float32}
    assert torch.distributed.fsdp.MixedPrecisionPolicy(**words).cast_forward_inputs
    seen = {}

    def apply(params, model_state, x):
        seen.update(w=params.dtype, x=x.dtype)
        return params * x.astype(params.dtype), model_state

    for cast_forward_inputs in (True, False):
        policy = ja.precision.mixed_precision_policy(
            jnp.bfloat16, jnp.float32, cast_forward_inputs=cast_forward_inputs
        )
        x = jnp.ones(2, jnp.float32)
        outputs, _ = ja.precision.cast(apply, policy)(x, (), x)
        assert outputs.dtype == seen["w"] == jnp.bfloat16
        assert seen["x"] == (jnp.bfloat16 if cast_forward_inputs else jnp.float32)

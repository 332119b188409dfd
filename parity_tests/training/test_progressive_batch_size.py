"""Growing batches: the class that recipes write is the judge; each size is compiled once."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxaccel as ja

T = ja.training


class Recipes:
    """What recipes write, with its state."""

    def __init__(self, initial, maximum, growth_factor, every):
        self.size, self.maximum = initial, maximum
        self.growth_factor, self.every = growth_factor, every

    def of(self, epoch):
        if epoch % self.every == 0:
            self.size = min(int(self.size * self.growth_factor), self.maximum)
        return self.size


SETTINGS = [
    (32, 256, 1.5, 10),
    (32, 512, 2.0, 1),
    (7, 1000, 1.3, 3),
    (10, 400, 1.1, 2),
    (64, 64, 1.5, 10),
    (3, 4, 1.5, 1),
]


@pytest.mark.quick
def test_sizes_are_the_recipes_with_and_without_growth_at_epoch_0():
    for setting in SETTINGS:
        theirs = Recipes(*setting)
        sizes = T.progressive_batch_size(*setting, grow_at_start=True)
        assert [sizes.at(e) for e in range(300)] == [theirs.of(e) for e in range(300)]
        theirs = Recipes(*setting)
        sizes = T.progressive_batch_size(*setting)
        expected = [theirs.of(e) if e else setting[0] for e in range(300)]
        assert [sizes.at(e) for e in range(300)] == expected
        # An epoch's size does not depend on which were asked for before, as after a resume.
        assert [sizes.at(e) for e in reversed(range(300))] == expected[::-1]
        assert [*dict.fromkeys(expected)] == [*sizes.sizes]
    sizes = T.progressive_batch_size(32, 256)
    assert (sizes.sizes, sizes.every) == ((32, 48, 72, 108, 162, 243, 256), 10)
    sizes = T.progressive_batch_size(32, 256, multiple_of=8)
    assert sizes.sizes == (32, 48, 72, 104, 152, 224, 256)


@pytest.mark.quick
@pytest.mark.parametrize("rule", ["linear", "sqrt"])
def test_the_rate_of_every_step_is_that_of_its_epochs_batch(rule):
    rows, epochs = 70, 14
    for drop_last, at_start in itertools.product((True, False), repeat=2):
        sizes = T.progressive_batch_size(8, 40, 1.5, 3, grow_at_start=at_start)
        schedule = sizes.lr(0.1, rows, rule=rule, drop_last=drop_last)
        data = np.arange(rows)
        expected = [
            ja.schedules.scale_lr(0.1, 8, sizes.at(epoch), rule)
            for epoch in range(epochs)
            for _ in ja.data.batches(data, data, sizes.at(epoch), drop_last=drop_last)
        ]
        steps = np.arange(len(expected))
        assert schedule(steps).tolist() == expected
        traced = jax.vmap(schedule)(jnp.asarray(steps, jnp.int32))
        assert np.array_equal(traced, expected)
        assert schedule(10**12) == expected[-1]
    schedule = T.progressive_batch_size(8, 40).lr(0.1, 2**40, rule=rule)
    with jax.enable_x64(False):  # whose integers do not hold every milestone
        assert float(jax.jit(schedule)(jnp.int32(2**31 - 1))) == np.float32(0.1)


def test_a_run_compiles_each_size_once_and_scales_its_rate():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 3))
    sizes = T.progressive_batch_size(4, 10, 1.5, 2)
    lr = sizes.lr(0.01, rows=len(x))
    tx = ja.optimizers.param_groups(ja.optimizers.sgd, [], lr=lr)

    def loss_fn(params, model_state, batch):
        return jnp.mean((batch[0] @ params - 1.0) ** 2), (model_state, {})

    step = ja.aot.count_recompiles(T.train_step(T.gradients(loss_fn), tx))
    seen = []

    def batches(epoch):
        order = ja.data.epoch_order(len(x), seed=0, epoch=epoch)
        for batch in ja.data.batches(x, x, sizes.at(epoch), order, drop_last=True):
            seen.append(len(batch[0]))
            yield batch

    state = T.train_state(np.zeros(3), tx)
    state, history = T.fit(step, state, batches, epochs=10, progress=False)
    assert sizes.sizes == (4, 6, 9, 10)
    assert [*dict.fromkeys(seen)] == [4, 6, 9, 10]
    assert len(step.recompiles) == 4
    assert history.steps["lr"].tolist() == pytest.approx([0.01 * size / 4 for size in seen])
    params, losses = np.zeros(3), []
    for number, batch in enumerate(b for epoch in range(10) for b in batches(epoch)):
        residual = batch[0] @ params - 1.0
        losses.append(np.mean(residual**2))
        params -= lr(number) * 2 * batch[0].T @ residual / len(residual)
    assert history.steps["loss"].tolist() == pytest.approx(losses, rel=1e-10)


@pytest.mark.quick
def test_what_cannot_grow_is_said():
    for arguments, text in [
        ((0, 4), "initial must be at least 1, got 0"),
        ((8, 4), "maximum must be at least initial=8, got 4"),
        ((8, 16, 1.0), r"growth_factor must be more than 1, got 1.0"),
        ((8, 16, float("nan")), "growth_factor must be more than 1, got nan"),
        ((1, 16), r"growth_factor must make .*got 1.5, which leaves 1 rows as they are"),
        ((8, 16, 1.5, 0), "every must be at least 1, got 0"),
    ]:
        with pytest.raises(ValueError, match=text):
            T.progressive_batch_size(*arguments)
    for maximum, text in [(60, "maximum must be a multiple"), (64, "leaves 8 rows")]:
        with pytest.raises(ValueError, match=text):
            T.progressive_batch_size(8, maximum, multiple_of=8)
    assert T.progressive_batch_size(8, 64, float("inf")).sizes == (8, 64)
    sizes = T.progressive_batch_size(8, 64)
    with pytest.raises(ValueError, match="at least the batch of 64, got 63"):
        sizes.lr(0.1, 63)
    with pytest.raises(ValueError, match="epoch must be at least 0, got -1"):
        sizes.at(-1)

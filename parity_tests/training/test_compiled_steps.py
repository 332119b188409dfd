"""What whole training steps move, hold and compute beside flax + optax's, by two compilers.

Exact figures of small steps: a pass more over the activations, a second copy of them or a product
computed twice shows at once. A loop's body counts once, so of an LSTM only memory is compared.
What a small convolution network holds on a TPU is the copy of its activations, in the layout and
with the padding that the compiler gives to the branch which is for a mean that is far off. A GPT
moves as much more there as its norms' second passes do.
"""

import jax
import jax.numpy as jnp
import pytest

from parity_tests.harness import figures, kept_figures
from parity_tests.harness.errors import assert_no_faults

BOUNDS = {
    "cpu": {
        "gpt": {"bytes_accessed": 0.91, "temporary_bytes": 0.98, "flops": 1.01, "fusions": 0.94},
        "conv net": {"bytes_accessed": 0.97, "temporary_bytes": 0.9, "flops": 1.01},
        "lstm": {"temporary_bytes": 1.0, "fusions": 0.82},
        "mlp": {"bytes_accessed": 0.86, "temporary_bytes": 1.0, "flops": 1.0, "fusions": 0.95},
    },
    "tpu": {
        "gpt": {"bytes_accessed": 1.017, "temporary_bytes": 1.0, "flops": 1.01},
        "conv net": {"bytes_accessed": 0.9, "temporary_bytes": 2.4, "flops": 1.07},
        "lstm": {"temporary_bytes": 1.13, "fusions": 0.91},
        "mlp": {"bytes_accessed": 1.01, "flops": 1.0, "fusions": 1.0},
    },
}


@pytest.mark.long
def test_steps_move_and_hold_no_more_than_flaxs():
    assert_no_faults(figures.above(figures.read("steps"), BOUNDS))


def test_a_figure_above_its_bound_is_seen():
    ours = {"bytes_accessed": 103, "temporary_bytes": 0}
    theirs = {"bytes_accessed": 100, "temporary_bytes": 0}
    found = {"cpu": {"gpt": {"jaxaccel": ours, "flax + optax": theirs}}}
    tight = {"cpu": {"gpt": {"bytes_accessed": 1.02, "temporary_bytes": 1.0}}}
    loose = {"cpu": {"gpt": {"bytes_accessed": 1.03, "temporary_bytes": 1.0}}}
    assert [what for _, what in figures.above(found, tight)] == [
        "bytes_accessed 103 is 1.030 of 100, more than 1.02"
    ]
    assert not [*figures.above(found, loose)]


def test_figures_are_kept_as_long_as_the_program_stays(monkeypatch):
    """Another program, other options or other code that reads them off: they are read off anew."""
    device, calls = jax.devices()[0], []

    def measure(compiled):
        calls.append(compiled)
        return {"made": len(calls)}

    def found(power, options=None):
        monkeypatch.setattr(kept_figures, "met", {})
        lowered = jax.jit(lambda x: x**power).lower(jnp.ones(3))
        return kept_figures.kept_or_measured(lowered, device, measure, options)["made"]

    monkeypatch.setattr(kept_figures, "_kept", dict)
    assert found(2) == 1
    kept = dict(kept_figures.met)
    monkeypatch.setattr(kept_figures, "_kept", lambda: kept)
    assert (found(2), len(calls)) == (1, 1)
    assert found(3) == 2
    assert found(2, {"xla_embed_ir_in_executable": True}) == 3
    monkeypatch.setattr(kept_figures, "_readers", lambda: "other code")
    assert found(2) == 4

"""What a step under autocast moves and computes with, by a TPU's compiler."""

import pytest

from parity_tests.harness import figures

pytestmark = pytest.mark.skipif(not figures.HAS_LIBTPU, reason="libtpu is for Linux alone")

MOVED = 1.01
"""At most so many times the bytes of the same model cast by hand, with row sums in float32."""

HELD = 0.52
"""At most so much of what the step in float32 holds beside its state: its activations."""


@pytest.mark.long
def test_step_moves_no_more_than_cast_by_hand_and_computes_in_half_precision():
    """A convolutional network's whole step, and the gradient of a feed-forward block."""
    found = figures.read("autocast")["tpu"]
    for name, ways in found.items():
        print(name, ways)
        cast, ours = ways["cast by hand"], ways["autocast"]
        assert ours["bytes_accessed"] <= MOVED * cast["bytes_accessed"], name
        assert ours["flops"]["bf16"] >= cast["flops"]["bf16"], name
    net = found["conv net"]
    held = {way: each["temporary_bytes"] for way, each in net.items()}
    assert held["autocast"] <= HELD * held["float32"]
    assert net["autocast"]["flops"].keys() == {"bf16"}

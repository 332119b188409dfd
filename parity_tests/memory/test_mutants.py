"""Bugs planted in checkpoints: a test of its own must fail on each."""

import pytest

from parity_tests.harness.planted import Mutant, planted
from parity_tests.memory import test_checkpoint

MEMORY = "jaxaccel.memory."
MUTANTS = [
    Mutant(
        "a checkpoint around the last segment, too",
        f"{MEMORY}_checkpoint_sequential",
        "for index in range(segments - 1):",
        "for index in range(segments):",
        test_checkpoint.test_segments_are_pytorchs,
        3,
    ),
    Mutant(
        "results without their names",
        f"{MEMORY}_checkpoint",
        "if names is None else named_results()",
        "if True else named_results()",
        lambda _: test_checkpoint.test_what_is_kept_is_what_was_asked_for(),
        None,
    ),
    Mutant(
        "names or a policy, and not both",
        f"{MEMORY}_checkpoint_policies",
        "keeps = _either(jax.checkpoint_policies.save_only_these_names(*names), keeps)",
        "keeps = jax.checkpoint_policies.save_only_these_names(*names)",
        lambda _: test_checkpoint.test_what_is_kept_is_what_was_asked_for(),
        None,
    ),
    Mutant(
        "kept on the device",
        f"{MEMORY}_offload",
        "return there if kept is True else kept",
        "return kept",
        lambda _: test_checkpoint.test_what_is_offloaded_is_what_is_kept(),
        None,
    ),
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.why.replace(" ", "-"))
def test_planted_bug_is_caught(mutant):
    with planted(mutant), pytest.raises(AssertionError):
        mutant.check(mutant.row)

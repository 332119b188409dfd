"""Pooling layers against ``torch.nn``: each argument is handed on, and checked at once."""

import re

import jax.numpy as jnp
import pytest

import jaxaccel as ja
from parity_tests.functional import rows_pools
from parity_tests.harness.layer import assert_same_layer, own_layer
from parity_tests.nn.rows_pools import CASES
from parity_tests.registry import lookup


@pytest.mark.parity
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_layer_equals_pytorch(case):
    assert_same_layer(case, "float64")
    assert not ja.nn.state_dict(own_layer(case))


@pytest.mark.parametrize("case", rows_pools.BAD, ids=lambda case: case.id)
def test_arguments_are_checked_when_the_layer_is_constructed(case):
    """By the function's own checks; PyTorch raises when the layer is called."""
    x = jnp.ones(case.options["arrays"]["input"])
    with pytest.raises((ValueError, TypeError)) as expected:
        lookup("jaxaccel", case.function)(jnp.moveaxis(x, 1, -1), **case.kwargs)
    name = case.function.split(".")[1].title().replace("_", "").replace("D", "d")
    with pytest.raises((ValueError, TypeError)) as found:
        getattr(ja.nn, name)(**case.kwargs)
    # Each says which of its own arguments it was, and then the same.
    own = re.compile(r"\w+\(\): argument '(\w+)' \(position \d\)")
    texts = [own.sub(r"\1", str(error.value)) for error in (found, expected)]
    assert texts[0] == texts[1]

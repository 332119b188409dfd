"""PyTorch's own test database of layers: outputs, gradients, buffers and errors of every layer."""

import re

import pytest

import jaxaccel as ja
from parity_tests.harness.database import faults_of_entry, faults_of_errors
from parity_tests.harness.errors import assert_no_faults
from parity_tests.nn.module_db_samples import (
    ERROR_LIMITS,
    LIMITS,
    NOT_HERE,
    entries,
    errors,
    samples,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning"),
    pytest.mark.usefixtures("no_draws"),
]
PARTS = 3

# The database is read where it is asked: its import takes seconds, in every worker.


def test_database_is_covered():
    """Every layer in it is here, or in the table with its reason; no reason is out of date."""
    assert entries().keys() - {*ja.nn.__all__} == NOT_HERE.keys()
    for limit in (*LIMITS, *ERROR_LIMITS):
        assert any(re.fullmatch(limit.name, name) for name in entries()), limit


def own():
    """Return the layers of the database that are here."""
    return [name for name in entries() if name in ja.nn.__all__]


@pytest.mark.long
@pytest.mark.parametrize("part", range(PARTS))
def test_samples_are_pytorchs(part):
    assert_no_faults(
        (f"{name}({text})", fault)
        for name in own()[part::PARTS]
        for text, fault in faults_of_entry(name, samples(name), LIMITS)
    )


def test_errors_are_pytorchs():
    assert_no_faults(
        (f"{name}({text})", fault)
        for name in own()
        for text, fault in faults_of_errors(name, errors(name), ERROR_LIMITS)
    )

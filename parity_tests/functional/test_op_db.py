"""PyTorch's own test database of operations: outputs, gradients and errors of every function."""

import re

import pytest

import jaxaccel as ja
from parity_tests.functional.op_db_samples import (
    ERROR_LIMITS,
    LIMITS,
    NOT_HERE,
    entries,
    errors,
    samples,
)
from parity_tests.harness.database import faults_of_entry, faults_of_errors
from parity_tests.harness.errors import assert_no_faults

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
PARTS = 4

# The database is read where it is asked: its import takes seconds, in every worker.


def test_database_is_covered():
    """Every function in it is here, or in the table with its reason; no reason is out of date."""
    assert entries().keys() - {*ja.functional.__all__} == NOT_HERE.keys()
    for limit in (*LIMITS, *ERROR_LIMITS):
        assert any(re.fullmatch(limit.name, name) for name in entries()), limit


def own():
    """Return the functions of the database that are here."""
    return [name for name in entries() if name in ja.functional.__all__]


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

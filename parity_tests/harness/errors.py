"""What is raised, and many faults in one failure."""

import pytest


def raised_by(call):
    """Return the type and the text of the ValueError or TypeError that a call raises."""
    with pytest.raises((ValueError, TypeError)) as raised:
        call()
    return type(raised.value), str(raised.value)


def assert_no_faults(faults):
    """Fail with every fault in words: ``faults`` are (where, what), or one test's many."""
    found = [f"{where}: {what}" for where, what in faults]
    assert not found, "\n".join([f"{len(found)} faults", *found])

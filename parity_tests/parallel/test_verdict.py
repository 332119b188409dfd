"""Whom the watchdog blames: told from tables of what each process has said, and when."""

import pytest

from jaxaccel.parallel._verdict import Seen, judge

NOW, SILENCE, INTERVAL, GRACE, LIMIT = 100.0, 45.0, 1.0, 1.0, 40.0


def seen(ago=0.5, beaten=0.5, closed=False, raised_ago=None, **says):
    """Return what is known of a process that spoke and beat so many seconds ago."""
    raised = None if raised_ago is None else NOW - raised_ago
    says = {"step": 7, "limit": LIMIT, "saved": None, "where": "train.py:3 in main"} | says
    return Seen(NOW - ago, NOW - beaten, says, closed, raised)


WELL = seen()
LATE = seen(beaten=50)
WAITS = seen(beaten=50, waits=True)
CASES = {
    "all is well": ([WELL, WELL], None),
    "a compilation is given its time": ([seen(beaten=50, limit=600), WELL], None),
    "nobody has told of steps": ([seen(beaten=50, limit=None), WELL], None),
    "a process died": ([WELL, seen(closed=True)], (1, "died: its connection closed")),
    "a process died, another tells of the consequence": (
        [seen(raised_ago=2, raised="Gloo"), seen(closed=True)],
        (1, "died: its connection closed"),
    ),
    "a process came to its end": ([WELL, seen(closed=True, done=True)], None),
    "an exception waits for its cause": ([WELL, seen(raised_ago=0.5, raised="E: e")], None),
    "an exception": ([WELL, seen(raised_ago=2, raised="E: e")], (1, "ends with E: e")),
    "an exception, and its process is gone": (
        [WELL, seen(raised_ago=2, raised="E: e", closed=True)],
        (1, "ends with E: e"),
    ),
    "the first of two exceptions": (
        [seen(raised_ago=2, raised="Gloo"), seen(raised_ago=3, raised="E: e")],
        (1, "ends with E: e"),
    ),
    "a process is silent": ([WELL, seen(ago=46)], (1, "has said nothing for 46 s")),
    "a stopped one that all others wait for": (
        [WAITS, seen(ago=41, beaten=50)],
        (1, "has said nothing for 41 s"),
    ),
    "one has made fewer steps": (
        [seen(beaten=50, step=8), seen(beaten=49)],
        (1, "hangs: no step for 49 s, since when it is at train.py:3 in main"),
    ),
    "one does not wait": ([WAITS, LATE, WAITS], (1, "hangs: no step for 50 s")),
    "one has beaten before the others": ([LATE, seen(beaten=51)], (1, "hangs: no step for 51 s")),
    "all wait": ([WAITS, WAITS], (0, "like all others waits for the devices")),
    "one is not late yet, but behind": ([WAITS, seen(beaten=39)], (1, "hangs: no step for 39 s")),
    "one has left early": (
        [WAITS, seen(done=True, closed=True)],
        (1, "ended while the others go on and wait for it"),
    ),
    "before the first step": ([seen(beaten=50, step=None), WAITS], (0, "hangs")),
}


@pytest.mark.quick
def test_the_one_to_blame():
    for why, (each, wanted) in CASES.items():
        found = judge(dict(enumerate(each)), NOW, SILENCE, INTERVAL, GRACE)
        if wanted is None:
            assert found is None, why
        else:
            assert found is not None, why
            assert (found.process, wanted[1] in found.reason) == (wanted[0], True), (why, found)


@pytest.mark.quick
def test_the_last_save_is_that_of_any():
    early, late = {"saved": "run/5", "saved_at": 5.0}, {"saved": "run/6", "saved_at": 6.0}
    each = {0: seen(**late), 1: seen(closed=True, **early), 2: WELL}
    found = judge(each, NOW, SILENCE, INTERVAL, GRACE)
    assert (found.process, found.step, found.saved) == (1, 7, "run/6")
    found = judge({0: WELL, 1: seen(closed=True)}, NOW, SILENCE, INTERVAL, GRACE)
    assert found.saved is None

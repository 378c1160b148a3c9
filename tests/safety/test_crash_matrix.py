"""`kill -9` after every step of what changes production: run again, everything is as it is without a crash.

The steps are those that a run without a crash tells, so none is forgotten. Here are the acts with the most steps; all of them, and a kill before and
after every single write, is `python -m benchmarks.safety crashes`.
"""

from __future__ import annotations

import pytest

from tests.safety.matrix import Matrix, Rehearsal

ACTS = ("promotion with a catch-up", "rollback to a released pair", "cleanup")


def killed(matrix: Matrix, act: str, moments) -> dict[str, list[str]]:
    """What is wrong, by moment."""
    case = matrix.cases[act]
    rehearsal: Rehearsal = matrix.rehearsed(case)
    found = {str(moment): matrix.killed(case, moment, rehearsal) for moment in moments(rehearsal)}
    assert found
    return {moment: wrong for moment, wrong in found.items() if wrong}


@pytest.mark.parametrize("act", ACTS)
def test_killed_after_any_step_it_is_finished_by_the_same_command(matrix, act):
    """Alias, stamps, rows, memory, history and MLflow are as after a run that nobody killed; the alias was never elsewhere than it should be."""
    assert killed(matrix, act, lambda rehearsal: rehearsal.steps) == {}


def test_killed_on_its_way_back_a_promotion_still_goes_back(matrix):
    """The pair fails its golden queries in production: whoever runs the command again ends at the old pair, with exit code 1 or 4."""
    assert killed(matrix, "promotion that fails its verification", lambda rehearsal: rehearsal.steps[5:]) == {}


def test_killed_between_two_writes_a_rollback_does_not_go_further_back(matrix):
    """Also where all that was left to do was to let go of the lock."""
    assert killed(matrix, "rollback", lambda rehearsal: rehearsal.writes[-5:]) == {}

"""Several processes at once: one wins, the others are refused, and everybody tells the same story afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts import lock
from scripts.ledger import Holder
from tests.safety.race import DONE, REFUSED, Race
from tests.shop import Shop


@pytest.fixture(scope="module")
def place(module_milvus_server, mlflow_server, tmp_path_factory) -> Iterator[Race]:
    folder = tmp_path_factory.mktemp("race")
    shop = Shop(folder / "shop", module_milvus_server.uri, module_milvus_server.token, mlflow_server.uri)
    with Race(shop, folder, count=4) as race:
        yield race


def test_of_several_promotions_at_once_one_wins(place):
    """The others are refused, with one line and nothing changed; twice."""
    for _ in range(2):
        assert place.promoted_at_once(place.validated()) == []


def test_promotion_rollback_and_cleanup_at_once_come_one_after_the_other(place):
    """Whoever comes when another is at work is refused, or does its own afterwards: never two at once."""
    if len([act for act in place.acts() if act.kind == "promotion"]) < 2:
        place.promoted_at_once(place.validated())
    pair = place.validated()[-1]
    before = len(place.acts())
    ended = place.at_once(["promote", "--pair", pair], ["rollback"], ["cleanup"])
    assert {end.code for end in ended} <= {DONE, REFUSED}, ended
    assert ended[0].code == DONE or ended[1].code == DONE, ended
    assert [act.outcome for act in place.acts()[before:]] == ["done"] * len(place.acts()[before:])
    assert place.inconsistencies() == []


def test_a_lock_left_by_the_dead_stands_in_nobodys_way(place):
    """A killed process of this machine is passed over at once, and what it began is finished by whoever begins the same."""
    pairs = place.validated()
    assert place.left_dead("promote", "--pair", pairs[0], step=1).was_killed
    assert place.promoted_at_once(pairs) == []


def test_a_lock_left_by_another_machine_is_waited_for(place):
    """Until it was silent for long enough; then, too, one wins."""
    pairs = place.validated()
    lock.break_open(place.store, place.alias, Holder(token="elsewhere@1/17/abcdef01", doing="cleanup", by="ann", since="2026-11-21T03:00:00Z"))
    assert place.promoted_at_once(pairs[:2]) == []

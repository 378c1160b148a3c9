"""Pools: what is graded, and in which order."""

from __future__ import annotations

from scripts.golden.pooling import Ranking, pool
from scripts.ports import Hit


def ranking(pair: str, *keys: int) -> Ranking:
    return Ranking(pair, pair, [Hit(key, 1.0, {"name": f"sofa {key}", "price": key}) for key in keys], "name")


def test_every_document_of_any_pair_is_there_once():
    """With its rank in each pair that shows it, its title, its other columns, and the grade that it has."""
    documents = {each.key: each for each in pool("sofa", [ranking("old", 1, 2), ranking("new", 3, 1)], {"1": 2, "9": 1})}
    assert {key: (each.title, each.fields, each.ranks, each.grade) for key, each in documents.items()} == {
        "1": ("sofa 1", {"price": 1}, {"old": 1, "new": 2}, 2),
        "2": ("sofa 2", {"price": 2}, {"old": 2}, None),
        "3": ("sofa 3", {"price": 3}, {"new": 1}, None),
    }


def test_the_order_tells_nothing_of_the_pairs():
    """It comes from query and key alone: the same whichever pair shows a document and at which rank, and another for another query."""
    old, new = range(20), range(10, 30)

    def order(query, *rankings):
        return [each.key for each in pool(query, rankings, {})]

    first = order("sofa", ranking("old", *old), ranking("new", *new))
    assert first == order("sofa", ranking("old", *new), ranking("new", *old)) == order("sofa", ranking("one", *reversed(range(30))))
    assert first != order("lamp", ranking("old", *old), ranking("new", *new))
    assert first != sorted(first, key=int)


def test_no_pair_comes_first_on_the_whole():
    """Over many queries, what one of two pairs alone shows stands as early as what the other alone shows."""
    places = []
    for number in range(300):
        documents = pool(f"query {number}", [ranking("old", *range(10)), ranking("new", *range(10, 20))], {})
        places += [position for position, each in enumerate(documents) if "old" in each.ranks]
    assert abs(sum(places) / len(places) - 9.5) < 0.5

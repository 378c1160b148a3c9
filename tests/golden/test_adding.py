"""`golden add`: two real pairs asked for the same query, and a person's grades of what they show."""

from __future__ import annotations

import json
import re

import pytest

from tests.golden.pairs import ALIAS
from tests.golden.terminal import Terminal
from tests.shop import Shop, refusal

PROMPT = "0 to 3, s to skip, q to quit: "


def test_both_pairs_are_shown_and_given_grades_are_recorded(shop):
    """Each pair with its own model; the query is new and gets the next id; nothing else in the files changes."""
    before = (shop.folder / "golden" / "judgments.csv").read_text()
    found = shop.do("search", "folding carpet", "--limit", "3")["hits"]
    words = ["golden", "add", "  folding   carpet ", "--pair", shop.candidate, "--depth", "3"]
    looked = shop.do(*words)
    assert (looked["query"], looked["recorded"]) == ({"id": "q149", "text": "folding carpet", "new": True}, {})
    ranked = {each["ranks"].get(shop.production_pair): each["key"] for each in looked["pool"]}
    assert [ranked[rank] for rank in (1, 2, 3)] == [str(hit["key"]) for hit in found]
    first = next(each for each in looked["pool"] if each["ranks"].get(shop.candidate) == 1)
    other = next(each for each in looked["pool"] if each["ranks"].get(shop.production_pair) and each != first)
    assert first["title"] == "folding carpet"
    assert 3 <= len(looked["pool"]) <= 6
    assert (shop.folder / "golden" / "judgments.csv").read_text() == before

    facts = shop.do(*words, "--grade", f"{first['key']}=3", "--grade", f"{other['key']}=0")
    assert facts["recorded"] == {first["key"]: 3, other["key"]: 0}
    assert facts["ungraded"] == len(looked["pool"]) - 2
    assert shop.suite.queries["q149"].text == "folding carpet"
    assert shop.suite.qrels["q149"] == facts["recorded"]
    assert (shop.folder / "golden" / "judgments.csv").read_text() == before + f"q149,{first['key']},3\nq149,{other['key']},0\n"
    assert (shop.folder / "golden" / "queries.csv").read_text().endswith("\nq149,folding carpet\n")


def test_the_side_by_side_view_names_pairs_titles_and_grades(shop):
    """A column per pair, best first; a dot where nobody has judged."""
    words = ("golden", "add", "folding bench", "--pair", shop.candidate, "--depth", "2")
    documents = shop.do(*words)["pool"]
    best = {pair: next(each for each in documents if each["ranks"].get(pair) == 1) for pair in (shop.production_pair, shop.candidate)}
    assert best[shop.candidate]["title"] == "folding bench"
    lines = shop.run(*words, "--grade", f"{best[shop.candidate]['key']}=3").stdout.splitlines()
    assert lines[0] == "'folding bench': query 'q149', which is new."
    assert re.split(r"\s{2,}", lines[1]) == [f"production {shop.production_pair}", f"candidate {shop.candidate}"]
    cells = re.split(r"\s{2,}", lines[2].strip())
    assert cells[2::4] == [best[shop.production_pair]["key"], best[shop.candidate]["key"]]
    assert cells[3::4] == [best[shop.production_pair]["title"], "folding bench"]
    assert cells[5] == "3"
    assert (cells[1] == "·") == (cells[2] != cells[6])
    assert lines[-1].startswith(f"1 recorded; 1 of the {len(documents)} documents that are shown are graded.")
    assert len(lines) == 5


def test_a_query_that_is_there_gets_more_judgments(shop):
    """Found by its text, however it is typed; grades already there stay and are shown."""
    facts = shop.do("golden", "add", "RED  Sofa", "--depth", "100", "--pair", shop.candidate, "--grade", "2=1", "--grade", "1=2")
    assert (facts["query"], facts["recorded"]) == ({"id": "q1", "text": "red sofa", "new": False}, {"2": 1})
    assert shop.suite.qrels["q1"] == {"1": 2, "2": 1}
    assert next(each["grade"] for each in facts["pool"] if each["key"] == "1") == 2
    assert len(shop.suite.queries) == 60


def test_a_document_that_no_pair_shows_can_be_graded(shop):
    """What should be found and is not, is what a judgment is for; but it must exist."""
    facts = shop.do("golden", "add", "red sofa", "--depth", "1", "--grade", "150=3")
    assert facts["recorded"] == {"150": 3}
    assert "150" not in {each["key"] for each in facts["pool"]}
    assert "no document '151' in the pairs" in refusal(shop.run("golden", "add", "red sofa", "--grade", "151=3"), 2)
    assert "no document '0150' in the pairs" in refusal(shop.run("golden", "add", "red sofa", "--grade", "0150=3"), 2)


@pytest.mark.parametrize(
    ("words", "exit_code", "told"),
    [
        (("red sofa", "--grade", "1=3"), 4, "1 has the grade 2 already. To change a grade, edit the suite's judgments."),
        (("red sofa", "--grade", "2=4"), 2, "The grade 4 of 2 is not from 0 to 3. suite.yaml sets max_grade."),
        (("red sofa", "--id", "mine"), 2, "The suite has 'red sofa' as 'q1', not as 'mine'."),
        (("blue whale", "--id", "q1"), 2, "The suite's query 'q1' is 'red sofa', not 'blue whale'."),
        (("red sofa", "--slice", "colour"), 2, "The suite has 'red sofa' already, as 'q1'."),
        (("blue whale", "--slice", "animals"), 2, "queries.csv has no column for slices."),
        (("  ",), 2, "The query has no text."),
        (("a \udcff",), 2, "The query is not text in UTF-8."),
        (("red sofa", "--pair", "test_shop_v9_00000000"), 4, "There is no pair test_shop_v9_00000000"),
    ],
)
def test_what_does_not_fit_is_told_and_writes_nothing(shop, words, exit_code, told):
    """In one line."""
    before = {path.name: path.read_bytes() for path in (shop.folder / "golden").iterdir()}
    assert told in refusal(shop.run("golden", "add", *words), exit_code)
    assert {path.name: path.read_bytes() for path in (shop.folder / "golden").iterdir()} == before


@pytest.mark.parametrize("grade", ["1", "=2", "1=", "1=x", "1=-1", "1=1.5", "1=²"])
def test_a_grade_that_cannot_be_read_is_a_usage_error(shop, grade):
    """Told with the form that it has."""
    result = shop.run("golden", "add", "red sofa", "--grade", grade)
    assert result.exit_code == 2
    assert "is not KEY=GRADE, such as 4711=2" in result.stderr


def test_a_first_query_can_be_added_to_an_empty_suite(shop):
    """That is how a suite begins; and a query of 10,000 characters is one, too."""
    (shop.folder / "golden" / "queries.csv").write_text("query_id,query,slice\n")
    (shop.folder / "golden" / "judgments.csv").write_text("query_id,product_id,grade\n")
    assert shop.do("golden", "add", "red sofa", "--grade", "1=3", "--slice", "colour", "--slice", "short")["query"]["id"] == "q1"
    assert shop.do("golden", "add", "so " * 3_333, "--grade", "1=1", "--id", "long")["query"]["id"] == "long"
    assert shop.suite.slices == {"colour": {"q1"}, "short": {"q1"}}
    assert len(shop.suite.queries["long"].text) == 9_998


def test_without_any_pair_there_is_nothing_to_grade(tmp_path):
    """Said, with what to do."""
    shop = Shop(tmp_path / "shop", str(tmp_path / "milvus.db"), "", "http://127.0.0.1:9")
    assert f"The alias {ALIAS} does not point to a pair. Name one with --pair." in refusal(shop.run("golden", "add", "red sofa"), 4)


def test_in_a_terminal_documents_are_asked_for_blindly_one_by_one(shop):
    """Title and columns are shown, never a pair, a rank or a score; grades are written as they are given, skipped ones are not, and what was
    typed wrongly is asked again. Standard output has the result alone."""
    with Terminal(shop, "red sofa", "--pair", shop.candidate, "--depth", "4") as terminal:
        shown = [terminal.until(PROMPT)]
        terminal.type("2\n")
        shown.append(terminal.until(PROMPT))
        assert len(shop.suite.qrels["q1"]) == 2
        for answer in ("s", "7", "0"):
            terminal.type(f"{answer}\n")
            shown.append(terminal.until(PROMPT))
        terminal.type("q\n")
        code, out = terminal.end()
    facts = json.loads(out)
    assert code == 0
    assert list(facts["recorded"].values()) == [2, 0]
    assert shop.suite.qrels["q1"] == {"1": 2} | facts["recorded"]
    screen = "".join(shown)
    assert "is not one of" in shown[3]
    for told in (shop.candidate, shop.production_pair, "production", "candidate", "rank", "score"):
        assert told not in screen
    keys = re.findall(r"key: (\S+)", screen)
    pool = [each["key"] for each in facts["pool"] if each["key"] != "1"]
    assert keys == pool[: len(keys)]
    titles = {each["key"]: each["title"] for each in facts["pool"]}
    assert all(titles[key] in screen and f"price_cents: {100 * int(key)}" in screen for key in keys)
    assert f"1 of {len(pool)}" in shown[0]


def test_an_interrupted_grading_keeps_every_grade(shop):
    """The same command goes on with what is left."""
    words = ("velvet sofa", "--pair", shop.candidate, "--depth", "3")
    with Terminal(shop, *words) as terminal:
        terminal.until(PROMPT)
        terminal.type("3\n")
        terminal.until(PROMPT)
        terminal.interrupt()
        assert "interrupted: run the same command again to go on." in terminal.until("to go on.") + "to go on."
        code, _ = terminal.end()
    (query,) = [query for query in shop.suite.queries.values() if query.text == "velvet sofa"]
    assert (code, list(shop.suite.qrels[query.id].values())) == (130, [3])
    facts = shop.do("golden", "add", *words)
    assert (facts["query"]["new"], facts["ungraded"]) == (False, len(facts["pool"]) - 1)

"""`golden import`, `check` and `add` through the command line, with real pairs on milvus-lite, one of them behind the alias."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from scripts import golden
from scripts.adapters.milvus import MilvusStore
from scripts.cli import main
from scripts.golden_commands import golden as golden_group
from tests.conftest import ROOT
from tests.shop import Shop, products, refusal

ALIAS = "test_shop_prod"
NO_SERVER = {"MILVUS_URI": "http://127.0.0.1:9", "MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(main.commands, "golden", golden_group)


class Pairs(Shop):
    """A shop with two pairs: production answers by initials, the candidate by words."""

    production_pair: str
    candidate: str

    def fill(self) -> None:
        self.production_pair, self.candidate = self.build("initials"), self.build("words")
        with MilvusStore(self.milvus_uri, self.milvus_token) as store:
            store.point(ALIAS, self.production_pair)

    @property
    def suite(self) -> golden.Suite:
        return golden.load(self.folder / "golden")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory, mlflow_server) -> Pairs:
    folder = tmp_path_factory.mktemp("pairs")
    shop = Pairs(folder / "shop", str(folder / "milvus.db"), "", mlflow_server.uri)
    shop.fill()
    return shop


@pytest.fixture
def shop(pairs) -> Pairs:
    """With its suite as it was: every fifth product's name as a query, 30 of them."""
    for path in (pairs.folder / "golden").iterdir():
        path.unlink()
    pairs.write_suite()
    pairs.configure()
    return pairs


def append(path: Path, *lines: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)


def kinds(facts) -> dict[str, int]:
    found = [finding["kind"] for finding in facts["findings"]]
    return {kind: found.count(kind) for kind in dict.fromkeys(found)}


# check


def test_a_sound_suite_passes_the_check(shop):
    """Its documents are looked for in production."""
    facts = shop.do("golden", "check")
    assert (facts["looked_in"], facts["not_looked"], facts["findings"]) == (shop.production_pair, "", [])
    lines = shop.run("golden", "check").stdout.splitlines()
    assert lines == [
        "golden: 30 queries, 30 with a relevant document, 30 judgments.",
        f"Documents were looked for in {shop.production_pair}.",
        "0 errors, 0 warnings.",
    ]


def test_documents_that_are_gone_fail_the_check(shop):
    """Each with its query; in the pair that is asked for."""
    append(shop.folder / "golden" / "judgments.csv", "q1,9999,2", "q1,9998,0", "q6,old-key,1")
    for chosen, pair in (((), shop.production_pair), (("--pair", shop.candidate), shop.candidate)):
        result = shop.run("golden", "check", *chosen, "--json")
        facts = json.loads(result.stdout)
        assert (result.exit_code, facts["looked_in"], kinds(facts)) == (1, pair, {"missing_document": 2})
        assert facts["findings"][0]["place"] == "judgments.csv, query 'q1'"
        assert facts["findings"][0]["what"] == f"document '9999' is not in {pair}"


def test_many_findings_of_a_kind_are_cut_short(shop):
    """For a person; the JSON has all. Errors come first."""
    append(shop.folder / "golden" / "judgments.csv", *(f"q1,{key},1" for key in range(9000, 9100)), "q6,1,9")
    append(shop.folder / "golden" / "queries.csv", "odd,?!#")
    result = shop.run("golden", "check")
    lines = result.stdout.splitlines()
    assert result.exit_code == 1
    assert lines[1].startswith("error: judgments.csv, query 'q6': document '1' has the grade 9, above max_grade 3")
    assert "… and 80 more of this kind (--json has all)" in lines
    assert lines[-1] == "101 errors, 2 warnings."
    assert len(lines) < 30
    assert kinds(json.loads(shop.run("golden", "check", "--json").stdout))["missing_document"] == 100


def test_warnings_alone_pass(shop):
    """They weaken a suite, they do not make it wrong."""
    append(shop.folder / "golden" / "queries.csv", "twice,  RED sofa", "odd,?!#")
    facts = shop.do("golden", "check")
    assert kinds(facts) == {"duplicate_query": 1, "no_words": 1, "unjudged_query": 2}


def test_without_production_the_rest_is_checked(tmp_path):
    """And the reason is said, also where Milvus cannot be reached."""
    shop = Shop(tmp_path / "shop", str(tmp_path / "milvus.db"), "", "http://127.0.0.1:9")
    append(shop.folder / "golden" / "judgments.csv", "q1,2,9")
    facts = json.loads(shop.run("golden", "check", "--json").stdout)
    assert (facts["looked_in"], facts["not_looked"]) == ("", f"the alias {ALIAS} does not point to a pair.")
    assert kinds(facts) == {"grade_out_of_range": 1}
    result = shop.run("golden", "check", **NO_SERVER)
    assert result.exit_code == 1
    assert "Documents were not looked for: Milvus" in result.stdout
    assert "1 error, 0 warnings." in result.stdout


def test_a_pair_that_does_not_exist_is_refused(shop):
    """Somebody asked for it by name."""
    assert "There is no pair test_shop_v9_00000000" in refusal(shop.run("golden", "check", "--pair", "test_shop_v9_00000000"), 4)


def test_a_suite_that_cannot_be_read_is_told(shop):
    """With file and line, as every command tells it."""
    append(shop.folder / "golden" / "judgments.csv", "q1,2,good")
    assert "judgments.csv, line 32: the grade 'good' is not a whole number" in refusal(shop.run("golden", "check"), 2)


# import


def test_an_imported_suite_is_checked_and_validated_like_any_other(shop, tmp_path):
    """A BEIR folder of this shop's documents; what it left out is said."""
    beir = tmp_path / "beir"
    (beir / "qrels").mkdir(parents=True)
    asked = products()[::7]
    queries = "".join(json.dumps({"_id": f"b{row['product_id']}", "text": row["name"]}) + "\n" for row in asked)
    (beir / "queries.jsonl").write_text(queries + '{"_id": "train", "text": "x"}\n')
    rows = "".join(f"b{row['product_id']}\t{row['product_id']}\t1\n" for row in asked)
    (beir / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{rows}")
    into = shop.folder / "golden_queries" / "beir"
    words = ["golden", "import", str(beir), "--format", "beir", "--into", str(into)]
    facts = json.loads(CliRunner().invoke(main, [*words, "--json"]).stdout)
    assert (facts["queries"], facts["judgments"], facts["dropped"]["queries without judgments"]["count"]) == (len(asked), len(asked), 1)
    assert "exists already" in refusal(CliRunner().invoke(main, words), 4)
    shop.configure(golden="golden_queries/beir")
    facts = shop.do("golden", "check")
    assert (facts["queries"], facts["findings"]) == (len(asked), [])


# add


def test_both_pairs_are_shown_and_given_grades_are_recorded(shop):
    """Each pair with its own model; the query is new and gets the next id; nothing else in the files changes."""
    before = (shop.folder / "golden" / "judgments.csv").read_text()
    found = shop.do("search", "folding carpet", "--limit", "3")["hits"]
    words = ["golden", "add", "  folding   carpet ", "--pair", shop.candidate, "--depth", "3"]
    looked = shop.do(*words)
    assert (looked["query"], looked["recorded"]) == ({"id": "q147", "text": "folding carpet", "new": True}, {})
    assert [each["key"] for each in sorted(looked["pool"], key=lambda each: each["ranks"].get(shop.production_pair, 9))[:3]] == [str(hit["key"]) for hit in found]
    first = next(each for each in looked["pool"] if each["ranks"].get(shop.candidate) == 1)
    assert first["title"] == "folding carpet"
    assert 3 <= len(looked["pool"]) <= 6
    assert (shop.folder / "golden" / "judgments.csv").read_text() == before

    facts = shop.do(*words, "--grade", f"{first['key']}=3", "--grade", f"{found[0]['key']}=0")
    assert facts["recorded"] == {first["key"]: 3, str(found[0]["key"]): 0}
    assert facts["ungraded"] == len(looked["pool"]) - 2
    assert shop.suite.queries["q147"].text == "folding carpet"
    assert shop.suite.qrels["q147"] == facts["recorded"]
    assert (shop.folder / "golden" / "judgments.csv").read_text() == before + f"q147,{first['key']},3\nq147,{found[0]['key']},0\n"
    assert (shop.folder / "golden" / "queries.csv").read_text().endswith("\nq147,folding carpet\n")


def test_the_side_by_side_view_names_pairs_titles_and_grades(shop):
    """A column per pair, best first."""
    lines = shop.run("golden", "add", "red sofa", "--pair", shop.candidate, "--depth", "2").stdout.splitlines()
    assert lines[0] == "'red sofa': query 'q1'."
    assert re.split(r"\s{2,}", lines[1]) == [f"production {shop.production_pair}", f"candidate {shop.candidate}"]
    assert re.search(r"  1   2  1  red sofa", lines[2][60:])
    assert len(lines) == 5
    assert "0 recorded; " in lines[-1]


def test_a_query_that_is_there_gets_more_judgments(shop):
    """Found by its text, however it is typed; grades already there stay and are shown."""
    facts = shop.do("golden", "add", "RED  Sofa", "--grade", "2=1", "--grade", "1=2")
    assert (facts["query"], facts["recorded"]) == ({"id": "q1", "text": "red sofa", "new": False}, {"2": 1})
    assert shop.suite.qrels["q1"] == {"1": 2, "2": 1}
    assert next(each["grade"] for each in facts["pool"] if each["key"] == "1") == 2
    assert len(shop.suite.queries) == 30


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


class Terminal:
    """The command in a terminal of its own, as a person has it; output on standard output goes to a file."""

    def __init__(self, shop: Shop, *words: str) -> None:
        ours, theirs = pty.openpty()
        self._screen = ours
        self._out = shop.folder / "stdout.json"
        command = "from scripts.cli import main; from scripts.golden_commands import golden; main.add_command(golden); main()"
        arguments = ["golden", "add", *words, "--config", str(shop.folder / "promotion.yaml"), "--json"]
        with self._out.open("wb") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-c", command, *arguments], stdin=theirs, stdout=out, stderr=theirs, cwd=ROOT, env=os.environ | shop.environment, start_new_session=True
            )
        os.close(theirs)
        self.seen = ""

    def until(self, mark: str) -> str:
        """What the screen shows up to this, of what has not been waited for yet."""
        give_up = time.monotonic() + 120
        while mark not in self.seen:
            assert select.select([self._screen], [], [], max(0, give_up - time.monotonic()))[0], f"no {mark!r} in {self.seen!r}"
            try:
                self.seen += os.read(self._screen, 65_536).decode(errors="replace")
            except OSError:  # the other end is closed
                assert mark in self.seen, self.seen
        shown, _, self.seen = self.seen.partition(mark)
        return shown

    def type(self, text: str) -> None:
        os.write(self._screen, text.encode())

    def interrupt(self) -> None:
        os.killpg(self._process.pid, signal.SIGINT)

    def end(self) -> tuple[int, str]:
        """Exit code and standard output."""
        try:
            code = self._process.wait(timeout=60)
        finally:
            self._process.kill()
            os.close(self._screen)
        return code, self._out.read_text()


PROMPT = "0 to 3, s to skip, q to quit: "


def test_in_a_terminal_documents_are_asked_for_blindly_one_by_one(shop):
    """Title and columns are shown, never a pair, a rank or a score; grades are written as they are given, skipped ones are not, and what was
    typed wrongly is asked again. Standard output has the result alone."""
    terminal = Terminal(shop, "red sofa", "--pair", shop.candidate, "--depth", "4")
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
    terminal = Terminal(shop, *words)
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


# on both kinds of Milvus


def test_a_suite_grows_on_every_milvus(tmp_path, milvus, mlflow_server):
    """Built, checked and graded, on milvus-lite and on the real server."""
    shop = Pairs(tmp_path / "shop", milvus.uri, milvus.token, mlflow_server.uri)
    shop.fill()
    append(shop.folder / "golden" / "judgments.csv", "q1,9999,2")
    result = shop.run("golden", "check", "--json")
    assert (result.exit_code, kinds(json.loads(result.stdout))) == (1, {"missing_document": 1})
    facts = shop.do("golden", "add", "folding carpet", "--pair", shop.candidate, "--grade", "72=3", "--grade", "150=0")
    assert facts["recorded"] == {"72": 3, "150": 0}
    assert shop.suite.qrels["q147"] == {"72": 3, "150": 0}

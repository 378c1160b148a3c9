"""`golden check` and `golden import` through the command line, with real pairs on milvus-lite."""

from __future__ import annotations

import json

from click.testing import CliRunner

from scripts.cli import main
from tests.golden.pairs import ALIAS, Pairs, append
from tests.shop import Shop, products, refusal

NO_SERVER = {"MILVUS_URI": "http://127.0.0.1:9", "MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}


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
        "golden: 60 queries, 60 with a relevant document, 60 judgments.",
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
    assert "Documents were not looked for: Nothing answers at MILVUS_URI http://127.0.0.1:9." in result.stdout
    assert "1 error, 0 warnings." in result.stdout


def test_a_pair_that_does_not_exist_is_refused(shop):
    """Somebody asked for it by name."""
    assert "There is no pair test_shop_v9_00000000" in refusal(shop.run("golden", "check", "--pair", "test_shop_v9_00000000"), 4)


def test_a_suite_that_cannot_be_read_is_told(shop):
    """With file and line, as every command tells it."""
    append(shop.folder / "golden" / "judgments.csv", "q1,2,good")
    assert "judgments.csv, line 62: the grade 'good' is not a whole number" in refusal(shop.run("golden", "check"), 2)


# import


def test_an_imported_suite_is_checked_like_any_other(shop, tmp_path):
    """A BEIR folder of this shop's documents; what it left out is said."""
    beir = tmp_path / "beir"
    (beir / "qrels").mkdir(parents=True)
    asked = products()[::3]
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
    assert shop.suite.qrels["q149"] == {"72": 3, "150": 0}

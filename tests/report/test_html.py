"""The page as text: what it holds, and what it refuses to hold."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html import unescape
from html.parser import HTMLParser

import pytest

from scripts.quality.gates import Verdict
from scripts.report import html, queries
from tests.report.hostile import TEXTS, hostile
from tests.report.sample import first_pair, sample


class _Elements(HTMLParser):
    """Elements with their attributes, and the texts of scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.raw: list[tuple[str, str]] = []
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self._inside = tag if tag in ("script", "style") else ""

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside:
            self.raw.append((self._inside, data))

    def attributes(self, name: str) -> list[str]:
        return [attrs[name] or "" for _, attrs in self.found if name in attrs]


def plain(page: str) -> str:
    """The page's words, for a look at its sentences."""
    body = re.sub(r"<(script|style)\b.*?</\1>", " ", page.split("<main")[1], flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())


def test_the_page_needs_no_other_file():
    """Nothing is loaded from anywhere; the one link that leaves leads to the build."""
    elements = _Elements(html.render(sample()))
    assert elements.attributes("src") == []
    assert [link for link in elements.attributes("href") if not link.startswith("#")] == ["data:,", sample().candidate.build_url]
    assert not any("@import" in text or "url(" in text for kind, text in elements.raw if kind == "style")


def test_the_policy_allows_this_style_and_this_script_alone():
    """By their SHA-256, as Content Security Policy asks."""
    elements = _Elements(html.render(sample()))
    (policy,) = [attrs["content"] for tag, attrs in elements.found if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    (style,) = [text for kind, text in elements.raw if kind == "style"]
    script = [text for kind, text in elements.raw if kind == "script"][-1]
    for text in (style, script):
        assert base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() in policy
    assert elements.attributes("style") == []
    assert not [name for _, attrs in elements.found for name in attrs if name.startswith("on")]


def test_the_data_is_json_that_no_text_can_end():
    """It reads back as it was, and holds no angle bracket."""
    assessment = hostile()
    (data,) = re.findall(r'id="queries-data">(.*?)</script>', html.render(assessment), re.DOTALL)
    assert not set("<>&\u2028\u2029") & set(data)
    rows = {row[0]: row[1] for row in json.loads(data)["rows"]}
    assert all(any(text.startswith(" ".join(hostile_text.split())) for text in rows.values()) for hostile_text in TEXTS)


def test_a_link_to_the_build_is_a_link_to_the_web():
    """An address of another scheme is left out."""
    assert "javascript:" not in " ".join(_Elements(html.render(hostile())).attributes("href"))


@pytest.mark.parametrize("verdict", Verdict)
def test_the_page_is_the_same_for_the_same_assessment(verdict):
    """So that two reports can be compared."""
    assert html.render(sample(verdict)) == html.render(sample(verdict))


def test_every_gate_has_a_row_with_its_reason():
    """Those that fail first."""
    assessment = sample(Verdict.FAIL)
    words = plain(html.render(assessment))
    table = words.index("Gate and its limit")
    places = [words.index(gate.why, table) for gate in assessment.evidence.gates]
    failing = [place for place, gate in zip(places, assessment.evidence.gates, strict=True) if gate.outcome == "fail"]
    assert max(failing) < min(set(places) - set(failing))


def test_what_was_not_looked_at_is_said():
    """One line for each part that is missing, with the reason where there is one."""
    bare = sample(index=None, latency=None, replayed=None, slices=(), improved=(), harmed=()).model_copy(update={"queries": ()})
    words = plain(html.render(bare))
    for line in (
        "The collection was not looked at.",
        "Latency was not measured.",
        "No logged queries were replayed.",
        "The suite has no slices.",
        "No judged query was measured.",
    ):
        assert line in words
    unread = {part: f"{part} failed" for part in ("recall", "reencoded", "source", "coverage")}
    index = sample().index.model_copy(update={"recall": None, "reencoded": None, "source": None, "coverage": None, "unread": unread})
    words = plain(html.render(sample(index=index)))
    for line in (
        "not looked at: recall failed",
        "not looked at: reencoded failed",
        "The source was not compared: source failed",
        "Not compared: coverage failed",
    ):
        assert line in words


def test_a_first_pair_is_not_compared():
    """It replaces nothing, and no column of production is empty for it."""
    words = plain(html.render(first_pair()))
    assert "nothing: this is the first pair" in words
    assert "There is no production to compare with." in words
    assert "Gains and losses" not in words


def test_a_lost_production_is_no_first_pair():
    """The page says what would be replaced, and why nothing can be said of it."""
    why = "the alias shop_prod points to nothing, though it has served"
    whole = first_pair().model_copy(update={"production_name": "products_v11", "production_unmeasured": why})
    words = plain(html.render(whole))
    assert f"Would replace products_v11, which could not be compared with: {why}" in words
    assert "first pair" not in words
    assert words.lower().count("production was not measured") == 3 + 1 + 1 + 1, "measures, latency, drawing, results side by side"


@pytest.mark.parametrize("verdict", Verdict)
def test_the_reason_is_said_once_above_the_gates(verdict):
    """By the gates that decided."""
    assessment = sample(verdict)
    decisive = next(gate for gate in assessment.evidence.gates if gate.kind == "max_loss")
    words = plain(html.render(assessment))
    assert words.partition("Would replace")[0].count(decisive.why) == 1


def test_a_mean_that_is_no_number_is_a_dash():
    """Of the candidate or of production: there is no change to show then, and the page is there all the same."""
    whole = sample()
    for name in ("means", "production_means"):
        means = getattr(whole.evidence, name) | {"nDCG@10": float("nan")}
        page = html.render(whole.model_copy(update={"evidence": whole.evidence.model_copy(update={name: means})}))
        assert re.search(r"nDCG@10 (– – on 0\.\d{4}|0\.\d{4} – on –) ", plain(page))


def test_the_log_that_was_replayed_is_named():
    """So that two reports of the same pairs can be told apart."""
    words = plain(html.render(sample()))
    assert "Replayed queries Logged in searches.jsonl ." in words


def test_skipped_rows_are_counted_by_kind_with_examples():
    """As the source was read now."""
    words = plain(html.render(sample()))
    assert "missing text 41 key 10233 in products-03.parquet, row 1201" in words
    assert "bad value 3 key 55810" in words


def test_a_collection_that_is_not_as_stamped_says_where():
    """In words, beside the figure that was expected."""
    index = sample().index.model_copy(update={"rows": 74_106, "distinct_keys": 74_106, "metric": "L2", "loaded": False})
    words = plain(html.render(sample(index=index)))
    assert "Rows 74,106 148,213 differs" in words
    assert "Metric L2 COSINE differs" in words
    assert "Loaded no yes differs" in words
    assert words.count("differs") == 3


def test_many_queries_are_data_and_few_of_them_rows():
    """Both ends of the list are rendered, and queries below a floor in between; all are in the data."""
    table = queries.table(sample(Verdict.FAIL, queries=5_000))
    assert len(table.rendered) == queries.MOST_RENDERED
    assert table.rendered[0] == table.rows[0]
    assert table.rendered[-1] == table.rows[-1]
    assert len(table.data["rows"]) == 5_000


def test_a_pasted_page_among_the_queries_is_cut():
    """A query of 10,000 characters does not fill the screen."""
    whole = sample()
    long = whole.queries[0].model_copy(update={"text": "lamp " * 2_000})
    page = html.render(sample(queries=60).model_copy(update={"queries": (long, *whole.queries[1:])}))
    assert "lamp " * 70 not in page
    assert f"{'lamp ' * 59}lamp…" in page


def test_a_figure_that_is_no_number_does_not_break_the_data():
    """It is left out, as if it had not been measured."""
    row = sample().queries[0].model_copy(update={"candidate": {"nDCG@10": float("nan"), "R@100": 0.5, "RR@10": 0.5}})
    (data,) = re.findall(r'id="queries-data">(.*?)</script>', html.render(sample(queries=1).model_copy(update={"queries": (row,)})), re.DOTALL)
    assert json.loads(data)["rows"][0][4][0][0] is None


def test_a_confidence_is_shown_as_the_gate_has_it():
    """97.5% is not 98%, nor 99.9% all."""
    whole = sample()
    gates = tuple(
        gate.model_copy(update={"interval": gate.interval.model_copy(update={"confidence": 0.975})}) if gate.interval else gate for gate in whole.evidence.gates
    )
    page = html.render(whole.model_copy(update={"evidence": whole.evidence.model_copy(update={"gates": gates})}))
    assert page.count("97.5% interval") == 2  # the drawing's label and its title
    assert ", 97.5%</span>" in page
    assert "98%" not in page

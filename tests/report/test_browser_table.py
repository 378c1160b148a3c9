"""The table of queries and the plot above it, used in a real browser."""

from __future__ import annotations

import pytest

from scripts.quality.gates import Verdict
from tests.report.sample import FLOOR, MEASURES, first_pair, sample

FIGURES = [f"{kind}{at}" for at in range(len(MEASURES)) for kind in "dpc"]

# What has the focus, in a word; whoever cannot see it is told.
FOCUSED = """
() => {
  const at = document.activeElement;
  if (at.closest(".bar")) return "bar";
  if (getComputedStyle(at).outlineStyle === "none") return `no focus to be seen: ${at.outerHTML}`;
  return at.className === "skip" ? "skip" : at.closest("nav") ? "nav" : at.id || at.closest("th")?.dataset.sort || at.tagName;
}
"""


def number(text: str) -> float:
    return float(text.replace("−", "-"))


def heading(page, column):
    return page.locator(f"#queries-table [data-sort={column}]")


def test_what_the_script_draws_is_what_the_page_had(show):
    """Row by row and cell by cell."""
    cells = "() => [...document.querySelectorAll('#queries-table tbody tr')].map((row) => row.innerText.replace(/\\s+/g, ' '))"
    assessment = sample(Verdict.FAIL)
    assert show(assessment).page.evaluate(cells) == show(assessment, java_script_enabled=False).page.evaluate(cells)


def test_the_most_harmed_query_comes_first(show):
    """Before anybody has touched anything."""
    opened = show(sample(Verdict.FAIL))
    changes = [number(text) for text in opened.column("d0")]
    assert changes == sorted(changes)
    assert heading(opened.page, "d0").get_attribute("aria-sort") == "ascending"


@pytest.mark.parametrize("column", FIGURES)
def test_every_column_of_figures_sorts_both_ways(show, column):
    """The order is that of the figures, and the heading says which way."""
    opened = show(sample(Verdict.FAIL))
    button = heading(opened.page, column).get_by_role("button")
    ways = {"ascending": lambda values: sorted(values), "descending": lambda values: sorted(values, reverse=True)}
    for _ in range(2):
        button.click()
        way = heading(opened.page, column).get_attribute("aria-sort")
        values = [number(text) for text in opened.column(column)]
        assert values == ways.pop(way)(values)
        assert opened.page.locator("#queries-table [aria-sort]").count() == 1


def test_queries_and_slices_sort_as_words(show):
    """Numbers within them by their value."""
    opened = show(sample(queries=95))
    heading(opened.page, "text").get_by_role("button").click()
    texts = opened.column("text")
    assert texts.index("4k monitor 63") < texts.index("black 4k monitor") < texts.index("desk lamp")
    heading(opened.page, "slices").get_by_role("button").click()
    slices = opened.column("slices")
    assert slices == sorted(slices)


def test_the_search_finds_texts_ids_and_slices(show):
    """All words have to be there; case and accents do not matter."""
    opened = show(sample())
    find = opened.page.locator("#queries-find")
    find.fill("CHÁIR cheap")
    assert opened.column("text") == ["cheap office chair"]
    find.fill("q17")
    assert opened.column("id") == ["q17"]
    find.fill("with price")
    assert set(opened.column("text")) == {text for text in opened.column("text") if "€" in text} != set()
    find.fill("nothing like it")
    assert opened.page.locator("#queries-count").inner_text() == "nothing found, 60 in all"
    find.fill("")
    assert opened.page.locator("#queries-count").inner_text() == "1–60 of 60"


def test_a_kind_of_query_can_be_picked(show):
    """Worse, better, the same, below a floor; together with a search."""
    opened = show(sample(Verdict.FAIL))
    pick = opened.page.locator("#queries-show")
    for kind, holds in {"worse": lambda v: v < 0, "better": lambda v: v > 0, "same": lambda v: v == 0}.items():
        pick.select_option(kind)
        values = [number(text) for text in opened.column("d0")]
        assert values
        assert all(map(holds, values))
    pick.select_option("missed")
    assert set(opened.column("missed")) == {f"below: {FLOOR}"}
    opened.page.locator("#queries-find").fill("black")
    assert opened.column("text") == ["black rain jacket"]


def test_pages_turn(show):
    """Forth to the end and back to the beginning."""
    page = show(sample(queries=250)).page
    on, back = page.locator("#queries-on"), page.locator("#queries-back")
    assert back.is_disabled()
    on.click()
    on.click()
    assert page.locator("#queries-count").inner_text() == "201–250 of 250"
    assert on.is_disabled()
    back.click()
    assert page.locator("#queries-count").inner_text() == "101–200 of 250"


def test_the_keyboard_reaches_everything(show):
    """Tab comes to the skip link, the sections, the plot, the search, the headings and the results, in this order; Enter sorts and opens."""
    page = show(sample(Verdict.FAIL)).page
    reached = []
    while "SUMMARY" not in reached and len(reached) < 100:
        page.keyboard.press("Tab")
        reached.append(page.evaluate(FOCUSED))
    order = ["skip", "nav", "bar", "queries-find", "queries-show", "text", "d0", "SUMMARY"]
    assert [reached.index(stop) for stop in order] == sorted(reached.index(stop) for stop in order)
    assert reached.count("bar") == 1
    assert not [stop for stop in reached if stop.startswith("no focus")]


def test_the_skip_link_leads_to_the_verdict(show):
    """The first Tab and Enter."""
    page = show(sample()).page
    page.keyboard.press("Tab")
    assert page.locator(".skip").is_visible()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_enter_sorts(show):
    """A heading is a real button."""
    opened = show(sample())
    heading(opened.page, "c0").get_by_role("button").focus()
    opened.page.keyboard.press("Enter")
    values = [number(text) for text in opened.column("c0")]
    assert values == sorted(values)


def test_arrows_walk_along_the_bars_and_enter_finds_the_query(show):
    """What a bar stands for is written out below; the table then shows its query."""
    assessment = sample(Verdict.FAIL)
    opened = show(assessment)
    page, readout = opened.page, opened.page.locator("#plot-readout")
    order = sorted(assessment.queries, key=lambda row: row.candidate["nDCG@10"] - row.production["nDCG@10"])
    page.locator("#plot .bar").first.focus()
    page.keyboard.press("ArrowRight")
    assert readout.inner_text().endswith(order[1].text)
    page.keyboard.press("End")
    assert readout.inner_text().endswith(order[-1].text)
    page.keyboard.press("Enter")
    assert order[-1].id in [text.split()[0] for text in opened.column("id")]
    assert page.locator("#queries-find").input_value() == order[-1].text


def test_a_first_pair_is_sorted_by_its_values(show):
    """There is no change to sort by."""
    opened = show(first_pair())
    values = [number(text) for text in opened.column("c0")]
    assert values == sorted(values)
    assert opened.column("d0") == []
    opened.page.locator("#queries-find").fill("office chair")
    assert all("office chair" in text for text in opened.column("text"))
    assert opened.complaints == []

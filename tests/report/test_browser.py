"""The page in a real browser."""

from __future__ import annotations

import pytest

from scripts.quality.gates import Verdict
from tests.report.hostile import TEXTS, hostile
from tests.report.sample import first_pair, sample

# Text against what lies behind it, by WCAG 2.2 (1.4.3); returns each too faint one with its ratio.
CONTRAST = """
() => {
  const parse = (colour) => { const [r, g, b, a = 1] = colour.match(/[\\d.]+/g).map(Number); return { rgb: [r, g, b], a }; };
  const luminance = ([r, g, b]) => {
    const part = (v) => ((v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const { rgb, a } = parse(getComputedStyle(at).backgroundColor);
      if (a === 1) return rgb;
      if (a !== 0) throw new Error(`half-transparent ${at.className}`);
    }
    return [255, 255, 255];
  };
  const faint = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walk.nextNode()); ) {
    const element = node.parentElement;
    if (!node.textContent.trim() || !element.checkVisibility() || element.closest("script, svg, :disabled, option")) continue;
    const style = getComputedStyle(element);
    const [one, other] = [luminance(parse(style.color).rgb), luminance(behind(element))].sort((a, b) => b - a);
    const ratio = (one + 0.05) / (other + 0.05);
    if (ratio < 4.5) faint.push(`${element.tagName}.${element.className} ${node.textContent.trim()} ${ratio.toFixed(2)}`);
  }
  return faint;
}
"""
WIDER_THAN_THE_SCREEN = "() => document.scrollingElement.scrollWidth > innerWidth"


def _await_rows(page, count):
    """A page is told of its medium a moment after it changed."""
    from playwright.sync_api import expect

    expect(page.locator("#queries-table tbody tr")).to_have_count(count)


@pytest.mark.parametrize("verdict", Verdict)
def test_the_page_opens_without_a_complaint_and_asks_for_nothing(show, verdict):
    """No console message, no error, no violation of its own policy, and no request but for the file itself."""
    opened = show(sample(verdict))
    opened.page.locator("#queries-find").fill("chair")
    assert opened.complaints == []
    assert opened.violations() == []
    assert [url for url in opened.requests if not url.startswith("data:")] == [opened.page.url]
    assert opened.page.locator("h1").inner_text().strip().lower() == verdict.value


def test_the_first_screen_has_the_verdict_and_what_it_is_about(show):
    """Verdict, why, pair, model, digest and what would be replaced, without scrolling, on a small laptop."""
    assessment = sample(Verdict.FAIL)
    opened = show(assessment, height=720)
    failing = next(gate for gate in assessment.evidence.gates if gate.outcome == "fail")
    for text in (assessment.evidence.digest, assessment.evidence.pair, "version 12", assessment.production.pair, failing.gate, failing.why):
        found = opened.page.locator(".verdict").get_by_text(text).first.bounding_box()
        assert found["y"] + found["height"] < 720, text


def test_hostile_texts_stay_texts(show):
    """Nothing of a query, a title or a gate becomes an element, runs, or is lost."""
    opened = show(hostile())
    page = opened.page
    for text in TEXTS:
        page.locator("#queries-find").fill(text.split()[0])
    page.locator("#queries-find").fill("")
    assert opened.complaints == []
    assert opened.violations() == []
    assert page.locator("script").count() == 2
    assert page.locator("img, iframe, a[href^='javascript']").count() == 0
    assert page.locator("[onload], [onerror]").count() == 0
    shown = opened.column("text")
    titles = page.locator("#side-by-side .what bdi").all_text_contents()
    for text in TEXTS:
        line = " ".join(text.split())
        assert any(each.startswith(line) for each in shown), text
        assert line in titles


def test_text_of_another_direction_does_not_turn_its_surroundings(show):
    """Every text of a query or a document is isolated, so that figures beside it stay where they are."""
    page = show(hostile()).page
    assert page.evaluate("""() => [...document.querySelectorAll("[data-cell=text], .what bdi:first-child, .side .query bdi:first-child")].every(
        (each) => getComputedStyle(each).unicodeBidi.startsWith("isolate"))""")


@pytest.mark.parametrize("assessment", [*map(sample, Verdict), first_pair()], ids=[*Verdict, "first"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_light_and_dark(show, scheme, assessment):
    """At least 4.5 to 1, all of it."""
    page = show(assessment, color_scheme=scheme).page
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert page.evaluate(CONTRAST) == []


def test_light_and_dark_are_not_the_same(show):
    """The page follows what the reader has set."""
    ground = "getComputedStyle(document.body).backgroundColor"
    light, dark = (show(sample(), color_scheme=scheme).page.evaluate(ground) for scheme in ("light", "dark"))
    assert light != dark


@pytest.mark.parametrize("assessment", [sample(Verdict.FAIL), first_pair(), hostile()], ids=["fail", "first", "hostile"])
def test_a_phone_never_scrolls_sideways(show, assessment):
    """At 360 pixels only wide tables scroll, each in its own frame."""
    page = show(assessment, width=360, height=740).page
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert not page.evaluate(WIDER_THAN_THE_SCREEN)
    assert page.evaluate("[...document.querySelectorAll('table')].every((table) => table.closest('.scroll'))")


def test_paper_shows_everything_and_no_controls(show):
    """All side-by-sides, every query, dark text on white; nothing to press."""
    page = show(sample(Verdict.FAIL, queries=150), color_scheme="dark").page
    assert page.locator("#queries-table tbody tr").count() == 100
    page.emulate_media(media="print")
    _await_rows(page, 150)
    assert all(each.is_visible() for each in page.locator(".beside").all())
    assert not any(each.is_visible() for each in page.locator(".controls, .top nav, .skip").all())
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate(CONTRAST) == []
    page.emulate_media(media="screen")
    _await_rows(page, 100)
    assert page.locator(".side[open]").count() == 2


def test_the_page_reads_without_scripts(show):
    """Verdict, gates, queries and results are all there; what only a script can do is not offered."""
    assessment = sample(Verdict.FAIL)
    page = show(assessment, java_script_enabled=False).page
    assert page.locator("#queries-table tbody tr").count() == len(assessment.queries)
    assert page.locator("#gates tbody tr").count() == len(assessment.evidence.gates)
    assert not page.locator("#queries-controls").is_visible()
    assert page.locator("button:visible").count() == 0
    assert not page.locator(".beside").nth(1).is_visible()
    page.locator("summary").nth(1).click()
    assert page.locator(".beside").nth(1).is_visible()


def test_paper_shows_all_results_without_scripts_too(show):
    """The style alone opens them."""
    page = show(sample(), java_script_enabled=False).page
    page.emulate_media(media="print")
    assert all(each.is_visible() for each in page.locator(".beside").all())


def test_ten_thousand_queries_are_still_a_page(show, tmp_path):
    """All of them can be searched, a hundred are shown at a time, the plot has no more bars than a screen, and the file stays small."""
    opened = show(sample(Verdict.FAIL, queries=10_000))
    page = opened.page
    assert page.locator("#queries-count").inner_text() == "1–100 of 10,000"
    assert page.locator("#plot .bar").count() <= 200
    page.locator("#queries-find").fill("usb-c hub 7645")
    assert opened.column("id") == ["q7646"]
    page.locator("#queries-find").fill("")
    page.locator("#queries-on").click()
    assert page.locator("#queries-count").inner_text() == "101–200 of 10,000"
    assert page.locator("#queries-cut").count() == 0
    assert (tmp_path / "report.html").stat().st_size < 4_000_000
    assert opened.complaints == []

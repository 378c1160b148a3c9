"""One self-contained page for the person who decides: the verdict and why first, then everything that it rests on."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.assessment import Assessment
from scripts.report import findings, index_checks, plot, queries, sides, words

if TYPE_CHECKING:
    import jinja2

_TEMPLATES = Path(__file__).parent / "template"
_STYLES = ("tokens.css", "page.css", "parts.css", "print.css")
_SCRIPTS = ("table.js", "queries.js", "plot.js", "print.js")


def render(assessment: Assessment) -> str:
    """The page needs no other file and asks for none: its policy forbids every request, and every style or script but its own.

    Texts of queries and documents are anybody's, so nothing of them is ever markup: the templates escape all that they insert.
    """
    from markupsafe import Markup  # as jinja2, only for who renders a page

    style, script = _asset(_STYLES), _asset(_SCRIPTS)
    table = queries.table(assessment)
    changes = assessment.replayed.most_changed if assessment.replayed else ()
    return (
        _environment()
        .get_template("page.html")
        .render(
            a=assessment,
            e=assessment.evidence,
            policy=_policy(style, script),
            # As they are: each was hashed just so, and none holds the end of its own element.
            style=Markup(style),
            script=Markup(script),
            data=Markup(_json(table.data)),
            gates=findings.by_severity(assessment.evidence.gates),
            reasons=findings.reasons(assessment.evidence),
            tally=findings.tally(assessment),
            further=findings.further_reason(assessment),
            replaced=findings.replaced(assessment),
            uncompared=findings.uncompared(assessment),
            moved=findings.moved(assessment),
            measures=findings.measures(assessment),
            plot=plot.bars(assessment),
            plot_height=plot.HEIGHT,
            table=table,
            improved=sides.judged(assessment, assessment.improved),
            harmed=sides.judged(assessment, assessment.harmed),
            replay_changes=[(change, sides.replayed(change, assessment.titles)) for change in changes],
            checks=index_checks.checks(assessment.index) if assessment.index else (),
        )
    )


@cache
def _environment() -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    for name in ("measure", "signed", "whole", "share", "milliseconds", "counted", "shortened", "gate_figure", "web_address"):
        environment.filters[name] = getattr(words, name)
    environment.filters["whisker"] = plot.whisker
    environment.filters["value_of"] = findings.value
    return environment


@cache
def _asset(names: tuple[str, ...]) -> str:
    return "\n".join((_TEMPLATES / name).read_text(encoding="utf-8") for name in names)


def _policy(style: str, script: str) -> str:
    """Content Security Policy, level 3: nothing from anywhere, but this very style, this very script, and an empty icon."""
    return f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; img-src data:; base-uri 'none'; form-action 'none'"


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _json(value: Any) -> str:
    """JSON that no HTML parser can mistake for the end of its element, whatever its texts say."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text

"""Messages to people, in a chat: what waits for approval, what became production, what was refused. Facts in, JSON out; who sends it is no matter.

The JSON is what Slack's incoming webhooks take, and what others take in its place: `text`, and the same in `blocks`. In it &, < and > are escaped,
which is all that Slack asks for (docs.slack.dev, Formatting message text), so nobody is called by a model's name such as `<!channel>`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scripts.addresses import shown
from scripts.switch import Kind, SwitchPlan

if TYPE_CHECKING:
    from scripts.evidence import Evidence  # which brings the gates' libraries along, and a rollback needs none of them

# Slack takes 3,000 characters in a section, and 2,000 in a field of one (docs.slack.dev, Section block); people read the beginning.
_TEXT_CHARS, _HEAD_CHARS, _VALUE_CHARS, _URL_CHARS = 2_800, 250, 900, 1_000
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_UNSAFE_IN_LINK = re.compile(r"[\s<>|`\"\\^{}\x00-\x1f\x7f]")
_OUTCOMES = {"fail": "was refused by its gates", "inconclusive": "cannot be judged yet"}


@dataclass(frozen=True)
class Context:
    """Where it happened."""

    service: str
    by: str = ""
    build_url: str = ""


@dataclass(frozen=True)
class Message:
    """`facts` are shown by name, those without a value left out; `code` is to be copied."""

    head: str
    facts: Mapping[str, str]
    context: Context
    code: str = ""
    links: Mapping[str, str] | None = None

    def as_json(self) -> dict[str, Any]:
        facts = {name: value for name, value in (self.facts | {"Service": self.context.service, "By": self.context.by}).items() if value}
        lines = [f"*{name}:* {_escaped(value, _VALUE_CHARS)}" for name, value in facts.items()]
        links = [f"<{url}|{name}>" for name, link in ({"Build": self.context.build_url} | dict(self.links or {})).items() if (url := _link(link))]
        head = _escaped(self.head, _HEAD_CHARS)
        blocks = [_section(f"*{head}*"), *_sections(lines)]
        code = [f"```{_escaped(self.code.replace('`', ' '), _VALUE_CHARS)}```"] if self.code else []
        blocks += map(_section, [*code, *([" · ".join(links)] if links else [])])
        return {"text": "\n".join([head, *lines, *code, *links]), "blocks": blocks}


def approval_waits(evidence: Evidence, context: Context) -> Message:
    """The gates said yes; a person has to."""
    command = f"python -m scripts approve {evidence.pair} --evidence {evidence.digest}"
    return Message(f"{evidence.pair} waits for approval", _judged(evidence) | {"Evidence": evidence.digest}, context, command)


def not_passed(evidence: Evidence, context: Context) -> Message:
    """The gates said no, or nothing."""
    return Message(f"{evidence.pair} {_OUTCOMES[evidence.verdict]}", _judged(evidence), context)


def broke_off(told: str, context: Context) -> Message:
    """A release ended before anybody could approve it, and not by its gates' word."""
    return Message("A release broke off before its approval", {"Left": told}, context)


def switched(plan: SwitchPlan, context: Context, *, left: str = "") -> Message:
    """Production is another pair now."""
    head = f"{plan.alias} now serves {plan.to.pair}"
    return Message(f"{head} (rollback)" if plan.kind is Kind.ROLLBACK else head, _moved(plan) | {"Left to do": left}, context, links=_made(plan))


def taken_back(plan: SwitchPlan, why: str, context: Context, *, left: str = "") -> Message:
    """A promotion was made, and undone: the new pair did not answer as its evidence says."""
    head = f"The promotion of {plan.to.pair} was taken back"
    now = f"back at {plan.came_from}" if plan.came_from else "points to nothing, as before"
    return Message(head, {"Because": why, plan.alias: now, "Reason": plan.reason, "Left to do": left}, context, links=_made(plan))


def failed(act: str, pair: str, error: str, context: Context, *, reason: str = "") -> Message:
    """It was refused or broke off. `act` is a promotion or a rollback; `pair` is empty where it was not named."""
    which = f" {'to' if act == Kind.ROLLBACK else 'of'} {pair}" if pair else ""
    return Message(f"The {act}{which} did not come to its end", {"Because": error, "Reason": reason}, context)


def _judged(evidence: Evidence) -> dict[str, str]:
    theirs = evidence.production_means
    means = [f"{name} {mean:.4f}{f' (production {theirs[name]:.4f})' if name in theirs else ''}" for name, mean in evidence.means.items()]
    return {
        "Verdict": f"{evidence.verdict}: {evidence.why}",
        "Measures": ", ".join(means),
        "Would replace": evidence.production or "nothing",
        "Rows": f"{evidence.rows:,}",
    }


def _moved(plan: SwitchPlan) -> dict[str, str]:
    stamp = plan.to.stamp
    return {
        "Instead of": plan.came_from or "nothing",
        "Model": f"{stamp.model.name} version {stamp.model.version}",
        "Reason": plan.reason,
        "Verdict": stamp.verdict if plan.kind is Kind.PROMOTION else "",
        "Evidence": stamp.evidence_digest if plan.kind is Kind.PROMOTION else "",
    }


def _made(plan: SwitchPlan) -> dict[str, str]:
    return {"The pair's build": plan.to.stamp.build.url}


def _sections(lines: list[str]) -> list[dict[str, Any]]:
    """As few as hold all lines."""
    parts: list[list[str]] = []
    for line in lines:
        if not parts or sum(map(len, parts[-1])) + len(parts[-1]) + len(line) > _TEXT_CHARS:
            parts.append([])
        parts[-1].append(line)
    return [_section("\n".join(part)) for part in parts]


def _section(text: str) -> dict[str, Any]:
    # verbatim: addresses and names of channels in what people wrote become no links.
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}


def _escaped(text: str, limit: int) -> str:
    """In one line, without passwords of addresses and what is not printable, and never longer than `limit`, escapes included."""
    line = " ".join("".join(character if character.isprintable() else " " for character in shown(text)).split())
    pieces, room = [], limit
    for character in line:
        piece = _ESCAPES.get(character, character)
        if len(piece) > room:
            while room < 1:
                room += len(pieces.pop())
            return "".join(pieces) + "…"
        pieces.append(piece)
        room -= len(piece)
    return "".join(pieces)


def _link(url: str) -> str:
    """As Slack has it between < and |; empty for what is no web address, is too long, or carries a password."""
    if not url.lower().startswith(("https://", "http://")) or shown(url) != url or len(url) > _URL_CHARS:
        return ""
    return _UNSAFE_IN_LINK.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), url).replace("&", "&amp;")

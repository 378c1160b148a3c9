"""`approve`: show which pairs wait for a person's yes, with all that it should rest on, and give it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from scripts import catalogue, evidence, golden, switch
from scripts.catalogue import Catalogue, Entry
from scripts.errors import Refused, UsageError
from scripts.evidence import Evidence, Moment
from scripts.jobs.promote import Approval
from scripts.pipelines import Pipelines, Waiting
from scripts.ports import Parts
from scripts.report import words

GUARD = (
    "Whoever may push to the repository can approve in CircleCI as well: it is no guard. What guards production is the restricted context of the job "
    "`promote`, and that it promotes no other evidence than its own pipeline's."
)


@dataclass(frozen=True)
class Candidate:
    """A pair whose pipeline waits. `stamped` is None where its evidence cannot be read; `problem` says why promoting it would be refused now."""

    entry: Entry
    waiting: tuple[Waiting, ...]
    stamped: Evidence | None
    problem: str
    now: datetime
    max_age: timedelta

    def lines(self) -> list[str]:
        stamp, build = self.entry.stamp, self.entry.stamp.build
        lines = [f"{self.entry.pair} (model {stamp.model.name} version {stamp.model.version}) waits: {words.printable(self.waiting[0].job)}"]
        if self.stamped:
            lines += [f"  {line}" for line in _told(self.stamped, self.now, self.max_age)]
        holds = "the evidence still holds, as far as can be seen without the source"
        lines.append(f"  WOULD BE REFUSED: {self.problem}" if self.problem else f"  {holds}")
        lines += [f"  report, and a button for it: {each.url}" for each in self.waiting]
        return [*lines, *([f"  built by {words.printable(build.url)}"] if build.url else [])]

    def facts(self) -> dict[str, Any]:
        stamp, stamped = self.entry.stamp, self.stamped
        return {
            "pair": self.entry.pair.collection,
            "model": stamp.model.model_dump(),
            "pipeline": stamp.build.id,
            "build_url": stamp.build.url,
            "waiting": [{"job": each.job, "workflow": each.workflow_name, "url": each.url} for each in self.waiting],
            "verdict": stamp.verdict,
            "why": stamped.why if stamped else "",
            "means": stamped.means if stamped else {},
            "production": stamped.production if stamped else "",
            "production_means": stamped.production_means if stamped else {},
            "evidence": stamp.evidence_digest,
            "judged_at": stamped.judged_at if stamped else None,
            "too_old_at": stamped.judged_at + self.max_age if stamped else None,
            "problem": self.problem,
        }


@dataclass(frozen=True)
class Candidates:
    found: tuple[Candidate, ...]
    exit_code: int = 0

    def lines(self) -> list[str]:
        told = [line for each in self.found for line in each.lines()]
        return [*told, "", "`approve PAIR --evidence DIGEST` approves one. " + GUARD] if told else ["Nothing waits for approval."]

    def facts(self) -> dict[str, Any]:
        return {"waiting": [each.facts() for each in self.found]}


@dataclass(frozen=True)
class Approved:
    """`given` is None where nothing was left to approve, because the pair is production."""

    pair: str
    digest: str
    given: Waiting | None
    exit_code: int = 0

    def lines(self) -> list[str]:
        if self.given is None:
            return [f"{self.pair} is production already: nothing is left to approve."]
        return [f"Approved {self.pair} on evidence {self.digest}.", f"Its pipeline goes on: {self.given.url}", GUARD]

    def facts(self) -> dict[str, Any]:
        return {"pair": self.pair, "evidence": self.digest, "approved": self.given is not None, "url": self.given.url if self.given else ""}


def waiting(parts: Parts) -> Candidates:
    """Reads only: Milvus, the golden suite and the CI system, and neither source nor MLflow. Raises UsageError where no CI system is configured,
    Unreachable where it is, or does not let us look."""
    pipelines = parts.pipelines
    world = catalogue.read(parts.store, parts.settings)
    return Candidates(tuple(_candidates(parts, world, pipelines)))


def approve(parts: Parts, pair: str, *, digest: str | None = None) -> Approved:
    """Approves what waits in the pair's pipeline, if promoting the pair would not be refused. Safe to repeat: when it is production, nothing is done.

    Raises Refused where the pair, or its evidence, is not what may be promoted, and where nothing waits; Unreachable where the CI system is, or does
    not let us approve.
    """
    world = catalogue.read(parts.store, parts.settings)
    entry = world.find(pair)
    if entry.is_production:
        return Approved(pair, entry.stamp.evidence_digest, None)
    _refuse_unpromotable(parts, world, entry, _rows(parts, entry), digest)
    held = parts.pipelines.waiting(entry.stamp.build.id)
    if not held:
        where = f" ({entry.stamp.build.url})" if entry.stamp.build.url else ""
        hint = "It was approved or cancelled already, or has yet to come so far; `promote` goes without a pipeline."
        raise Refused(f"Nothing waits for approval in the pipeline of {pair}{where}.", hint=hint)
    if len({each.job for each in held}) > 1:
        choice = ", ".join(f"{words.printable(each.job)} at {each.url}" for each in held)
        raise Refused(f"In the pipeline of {pair} several jobs wait: {choice}.", hint="Approve the right one there.")
    parts.pipelines.approve(held[0])  # of one job in several workflows, that of the newest
    return Approved(pair, entry.stamp.evidence_digest, held[0])


def _candidates(parts: Parts, world: Catalogue, pipelines: Pipelines) -> Iterator[Candidate]:
    for entry in world.entries:
        if entry.is_production or not entry.stamp.evidence_digest:
            continue
        stamped, problem = _look(parts, world, entry)
        retired = entry.stamp.retired_at
        if retired and (stamped is None or stamped.judged_at < retired):
            continue  # it had its turn, and was not validated again since
        if held := pipelines.waiting(entry.stamp.build.id):
            yield Candidate(entry, held, stamped, problem, parts.now(), timedelta(days=parts.settings.promotion.approval_max_age_days))


def _look(parts: Parts, world: Catalogue, entry: Entry) -> tuple[Evidence | None, str]:
    """The evidence, and what is wrong with it, without counting rows."""
    try:
        stamped = evidence.of_stamp(entry.pair.collection, entry.stamp)
    except Refused as error:
        return None, error.what
    try:
        _refuse_unpromotable(parts, world, entry, entry.stamp.content.rows if entry.stamp.content else 0)
    except Refused as error:
        return stamped, error.what
    except UsageError as error:
        return stamped, f"not known, for the golden suite cannot be read here: {error.what}"
    return stamped, ""


def _rows(parts: Parts, entry: Entry) -> int:
    entry.refuse_half_caught_up()
    collection = parts.store.open(entry.pair.collection)
    if not collection.is_loaded():
        raise Refused(f"{entry.pair} is not loaded, so `promote` would refuse it.", hint=f"Run `finish --pair {entry.pair}` and try again.")
    return collection.count()


def _refuse_unpromotable(parts: Parts, world: Catalogue, entry: Entry, rows: int, digest: str | None = None) -> None:
    """What `promote` would refuse, without the source and MLflow."""
    switch.plan_promotion(world, entry)
    entry.refuse_half_caught_up()
    stamped = evidence.of_stamp(entry.pair.collection, entry.stamp)
    Approval(digest).refuse_other(entry.pair.collection, stamped)
    if stamped.pipeline != entry.stamp.build.id:
        made = f"in pipeline {stamped.pipeline}" if stamped.pipeline else "by hand"
        hint = f"Run that one's `validate` again, or `promote --pair {entry.pair} --evidence {stamped.digest}` without it."
        raise Refused(f"{entry.pair} was validated {made}, which the pipeline that built it does not promote.", hint=hint)
    moment = Moment(rows=rows, production=world.target, now=parts.now())
    evidence.check_current(stamped, entry.stamp, golden.load(parts.settings.golden_folder), moment, parts.settings.promotion)


def _told(stamped: Evidence, now: datetime, max_age: timedelta) -> Iterator[str]:
    yield f"verdict {stamped.verdict}: {words.printable(stamped.why)}"
    for name, mean in stamped.means.items():
        theirs = stamped.production_means.get(name)
        compared = "" if theirs is None else f" (production {words.measure(theirs)}, {words.signed(mean - theirs)})"
        yield f"{name} {words.measure(mean)}{compared}"
    than = stamped.production or "nothing, for it is the first"
    yield f"{words.counted(stamped.queries, 'query', 'queries')}, {words.counted(stamped.rows, 'row')}; compared with {than}"
    yield f"evidence {stamped.digest}"
    age, until = now - stamped.judged_at, stamped.judged_at + max_age
    ago = f"{age / timedelta(days=1):.1f} days" if age > timedelta(days=2) else f"{age / timedelta(hours=1):.1f} hours"
    yield f"validated {ago} ago; too old after {until:%Y-%m-%d %H:%M} UTC"

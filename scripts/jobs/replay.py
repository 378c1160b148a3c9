"""`replay`: real logged queries against a pair and against production, each with its own model. No judgments are needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts import catalogue, golden
from scripts.catalogue import Catalogue, Entry
from scripts.encoding import Encoder, stamped_encoder
from scripts.errors import AnswerIsNo, Inconclusive, Refused, UsageError
from scripts.golden import Suite
from scripts.pair import State
from scripts.ports import Collection, Parts
from scripts.quality import replay as replaying
from scripts.quality.asking import title_column
from scripts.quality.facts import Change, Replayed
from scripts.quality.gates import REPLAYED, GateResult, Outcome, speed
from scripts.quality.measures import Measured
from scripts.quality.query_log import LIMIT, Log, read_log
from scripts.quality.replay import Answers
from scripts.quality.seen import Baseline, Seen
from scripts.report.words import printable, shortened

_SPEED = (speed.LatencyCeiling, speed.LatencyRatio)
SHOWN_RESULTS = 3
SHOWN_CHARS = 60


@dataclass(frozen=True)
class Replay:
    """What changes, and what the suite's gates on replayed queries and latency say of it. They are no verdict on the pair: nothing is stamped."""

    pair: str
    production: str
    log: Log
    replayed: Replayed
    gates: tuple[GateResult, ...] = ()
    titles: Mapping[str, str] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        outcomes = {result.outcome for result in self.gates}
        return AnswerIsNo.exit_code if Outcome.FAIL in outcomes else Inconclusive.exit_code if Outcome.INCONCLUSIVE in outcomes else 0

    def lines(self) -> list[str]:
        seen = self.replayed
        lines = [
            f"{self.log.told()}, asked of {self.pair} and of production {self.production}:",
            f"  overlap@{seen.k} {seen.overlap:.4f}, rank-biased overlap {seen.rbo:.4f}, another first result for {seen.top_changed:.1%}",
            f"  without results {seen.empty:.2%}, production {seen.production_empty:.2%}",
            *self._latency(),
            *(f"  {result.outcome:14} {result.gate}: {result.why}" for result in self.gates),
        ]
        if not self.gates:
            lines.append("  The suite has no gates on replayed queries or latency: nothing was judged.")
        if seen.most_changed:
            lines.append("Most changed, with the rank-biased overlap:")
            lines += [line for change in seen.most_changed for line in self._change(change)]
        return [printable(line) for line in lines]

    def _latency(self) -> list[str]:
        if (latency := self.replayed.latency) is None or latency.production is None:
            return []
        ours, theirs = latency.candidate, latency.production
        figures = ", ".join(f"{name} {getattr(ours, name):.1f} ms (production {getattr(theirs, name):.1f})" for name in ("p50", "p95", "p99"))
        return [f"  {figures} over {latency.queries} single searches each"]

    def _change(self, change: Change) -> list[str]:
        return [
            f"  {change.rbo:.4f}  {shortened(change.text, SHOWN_CHARS)}",
            f"          candidate   {self._results(change.candidate)}",
            f"          production  {self._results(change.production)}",
        ]

    def _results(self, keys: Sequence[str]) -> str:
        return " | ".join(shortened(f"{key} {self.titles.get(key, '')}", SHOWN_CHARS) for key in keys[:SHOWN_RESULTS]) or "nothing found"

    def facts(self) -> dict[str, Any]:
        log = {"name": self.log.name, "entries": self.log.entries, "blank": self.log.blank, "repeated": self.log.repeated, "complete": self.log.complete}
        return {
            "pair": self.pair,
            "production": self.production,
            "log": log,
            "replayed": self.replayed.model_dump(mode="json"),
            "gates": [result.model_dump(mode="json") for result in self.gates],
            "titles": dict(self.titles),
        }


@dataclass(frozen=True)
class _Side:
    collection: Collection
    encoder: Encoder


def replay(parts: Parts, pair: str, *, path: Path, k: int = 10, limit: int = LIMIT) -> Replay:
    """Reads only. Judges by the suite's gates on replayed queries and on latency; the others are `validate`'s.

    Raises Refused where there is no pair to compare with, or where either is not loaded; UsageError for a log or suite that cannot be read;
    Inconclusive where production's model does not answer.
    """
    log = read_log(path, limit)
    suite = _suite(parts)
    world = catalogue.read(parts.store, parts.settings)
    entry, production = world.find(pair), _production(world, pair)
    ours, theirs = _loaded(entry, parts), _loaded(production, parts)
    # One model after the other: two at once may be too many.
    baseline = _of_production(production, theirs, log, k, parts)
    candidate = _asked(entry, ours, log, k, parts)
    seen = replaying.compare(log, candidate, baseline, k)
    title = suite.title if suite else ""
    shown = [replaying.titles(seen, log, answers, title_column(each, title)) for answers, each in ((baseline, production), (candidate, entry))]
    return Replay(pair, production.pair.collection, log, seen, _judged(suite, seen, production), shown[0] | shown[1])


def _suite(parts: Parts) -> Suite | None:
    """None where the service has none yet: a log needs no judgments."""
    folder = parts.settings.golden_folder
    return golden.load(folder) if folder.exists() else None


def _production(world: Catalogue, pair: str) -> Entry:
    if world.target == pair:
        raise Refused(f"{pair} is production: compared with itself nothing would change.")
    world.refuse_unreadable_production()
    if world.production is None:
        raise Refused(
            f"The alias {world.alias} points to {world.target or 'nothing'}, so there is no pair to compare with.",
            hint="`validate` judges a first pair by its floors.",
        )
    return world.production


def _loaded(entry: Entry, parts: Parts) -> Collection:
    if entry.state is State.BUILDING:
        raise Refused(f"{entry.pair} is still building.", hint=f"Run `embed` and `finish --pair {entry.pair}` first.")
    collection = parts.store.open(entry.pair.collection)
    if not collection.is_loaded():
        raise Refused(f"{entry.pair} is not loaded.", hint=f"Run `finish --pair {entry.pair}`.")
    return collection


def _of_production(entry: Entry, collection: Collection, log: Log, k: int, parts: Parts) -> Answers:
    try:
        return _asked(entry, collection, log, k, parts)
    except (AnswerIsNo, UsageError, Refused) as error:
        raise Inconclusive(f"Production {entry.pair} could not be asked: {error}") from None


def _asked(entry: Entry, collection: Collection, log: Log, k: int, parts: Parts) -> Answers:
    encoder = stamped_encoder(parts.registry, entry.stamp, parts.settings.model_cache)
    return replaying.ask(_Side(collection, encoder), log.queries, k)


def _judged(suite: Suite | None, replayed: Replayed, production: Entry) -> tuple[GateResult, ...]:
    seen = Seen(candidate=Measured(), baseline=Baseline(pair=production.pair.collection), latency=replayed.latency, replayed=replayed)
    gates = suite.gates if suite else ()
    return tuple(gate.judge(seen) for gate in gates if gate.gate in REPLAYED or isinstance(gate, _SPEED))

"""A trial: everything that one validation sees of a candidate and of production, and what its reports show of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from scripts.assessment import Assessment
from scripts.catalogue import Catalogue, Entry
from scripts.errors import KitError, Unreachable
from scripts.evidence import Evidence
from scripts.golden import Suite
from scripts.golden.checking import missing_documents
from scripts.ports import Parts
from scripts.quality import assessing, gates, latency, replay
from scripts.quality.asking import Side, ask, title_column
from scripts.quality.examination import Looking, examine
from scripts.quality.facts import IndexFacts, Latency, Missing, Replayed
from scripts.quality.gates.index import SameVectors
from scripts.quality.measures import Measured
from scripts.quality.seen import Baseline, Seen

T = TypeVar("T")
Told = Callable[[str], None]


class Trial:
    """One candidate against one production, step by step. Whatever keeps production from being asked is said, and never counts as a pass."""

    def __init__(self, parts: Parts, world: Catalogue, entry: Entry, suite: Suite, logged: replay.Log | None, tell: Told) -> None:
        self._parts = parts
        self._world = world
        self._entry = entry
        self._suite = suite
        self._logged = logged
        self._tell = tell
        self._ours: Side | None = None
        self._theirs: Side | None = None
        self._titles: dict[str, str] = {}
        self._unseen: dict[str, str] = {}
        self.unasked: KitError | None = None
        """Why the candidate could not be asked; None where it was."""

    def seen(self) -> Seen:
        """Raises Unreachable where nothing can be seen at all. Whatever else goes wrong is kept, as `unasked` or in `unseen`."""
        baseline = self._ask_production()
        self._tell(f"asking the candidate {self._entry.pair}")
        try:
            self._ours = ours = ask(self._entry, self._suite, self._parts)
        except Unreachable:
            raise
        except KitError as error:
            self.unasked = error
            return Seen(candidate=Measured(), baseline=baseline, slices=self._suite.slices)
        return Seen(
            candidate=ours.measured,
            baseline=baseline,
            slices=self._suite.slices,
            missing=self._try("missing", self._missing, ours),
            index=self._try("index", self._examined, ours),
            latency=self._try("latency", self._latency, ours),
            replayed=self._try("replayed", self._replay, ours),
            unseen=self._unseen,
        )

    def _try(self, part: str, look: Callable[[Side], T], ours: Side) -> T | None:
        try:
            return look(ours)
        except Unreachable:
            raise
        except KitError as error:
            self._unseen[part] = str(error)
            return None

    def assessment(self, evidence: Evidence, seen: Seen) -> Assessment:
        suite, leading, production = self._suite, self._suite.measures[0], self._world.production
        rows = assessing.query_rows(suite, seen, evidence.gates)
        found = Assessment(
            evidence=evidence,
            candidate=assessing.pair_facts(self._entry),
            production=assessing.pair_facts(production) if production else None,
            production_name=seen.baseline.pair,
            production_unmeasured=seen.baseline.unmeasured_because,
            leading=leading,
            queries=rows,
            slices=assessing.slice_rows(suite, seen),
            index=seen.index,
            latency=seen.latency,
            replayed=seen.replayed,
            titles=self._titles,
        )
        if self._ours is None or self._theirs is None:
            return found
        improved, harmed = assessing.most_changed(rows, leading)
        shown = assessing.side_by_side([*improved, *harmed], suite, leading, self._ours, self._theirs)
        return found.model_copy(update={"improved": shown[: len(improved)], "harmed": shown[len(improved) :]})

    def _ask_production(self) -> Baseline:
        world, suite = self._world, self._suite
        if lost := world.lost_production():
            return Baseline(pair=lost.collection, unmeasured_because=lost.why)
        if world.target is None:
            return Baseline()
        if world.production is None:
            broken = next((each.why for each in world.unreadable if each.collection == world.target), "")
            return Baseline(pair=world.target, unmeasured_because=broken or "it is not a pair of the kit, so its model is not known", foreign=not broken)
        self._tell(f"asking production {world.target}")
        try:
            if not self._parts.store.open(world.target).is_loaded():
                return Baseline(pair=world.target, unmeasured_because="it is not loaded")
            self._theirs = ask(world.production, suite, self._parts)
        except KitError as error:
            return Baseline(pair=world.target, unmeasured_because=str(error))
        return Baseline(pair=world.target, measured=self._theirs.measured)

    def _missing(self, ours: Side) -> Missing:
        relevant = self._suite.relevant_documents()
        absent = missing_documents(self._suite, ours.collection.layout.key.type, ours.collection)
        return Missing(relevant=len(relevant), missing=len(absent), examples=tuple(f"query {query!r} names {doc}" for doc, query in list(absent.items())[:5]))

    def _examined(self, ours: Side) -> IndexFacts:
        self._tell("looking at every stored row, and at the source")
        parts, before = self._parts, self._world.production
        production = parts.store.open(before.pair.collection) if before else None
        rows = next(gate.rows for gate in gates.all_of(self._suite.gates) if isinstance(gate, SameVectors))
        return examine(self._entry, ours.collection, Looking.of(parts, ours, production, rows))

    def _latency(self, ours: Side) -> Latency | None:
        self._tell("measuring latency")
        return latency.interleaved((ours.collection, ours.vectors), (self._theirs.collection, self._theirs.vectors) if self._theirs else None)

    def _replay(self, ours: Side) -> Replayed | None:
        if self._logged is None or self._theirs is None:
            return None
        self._tell(f"replaying {len(self._logged.queries):,} logged queries")
        asked = [(side, replay.ask(side, self._logged.queries)) for side in (self._theirs, ours)]
        (_, before), (_, after) = asked
        found = replay.compare(self._logged, after, before)
        for side, answers in asked:
            self._titles |= replay.titles(found, self._logged, answers, title_column(side.entry, self._suite.title))
        return found

"""`cleanup`: drop what retention does not keep, and take out of memory what is kept only for a rollback far back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from scripts import catalogue, filling, footprint, retention
from scripts.canary import Canary
from scripts.catalogue import Catalogue
from scripts.errors import KitError, Refused
from scripts.filling import Watched
from scripts.footprint import Footprint
from scripts.jobs.acts import NOT_FINISHED, locked, tell_runs
from scripts.jobs.switching import Told
from scripts.ledger import Act, ActKind
from scripts.lock import Lock
from scripts.ports import Parts, VectorStore
from scripts.retention import Decision, Fate, Policy, RetentionPlan, Seen
from scripts.switch import Step

_WHY_CHARS = 2_000


@dataclass(frozen=True)
class CleanedUp:
    plan: RetentionPlan
    done: tuple[Decision, ...] = ()
    dry_run: bool = False
    left: str = ""
    exit_code: int = 0

    @property
    def decided(self) -> tuple[Decision, ...]:
        return self.plan.acts if self.dry_run else self.done

    def lines(self) -> list[str]:
        will = "would " if self.dry_run else ""
        lines = [f"{will}{each.step.name}: {each.step.words}" for each in self.decided]
        lines += [f"keep {each.entry.pair}: {each.why}" for each in self.plan.to(Fate.KEEP)]
        lines += [f"never touched: {broken.why}" for broken in self.plan.untouched]
        drops, releases = (sum(each.fate is fate for each in self.decided) for fate in (Fate.DROP, Fate.RELEASE))
        kept = len(self.plan.to(Fate.KEEP))
        if self.dry_run:
            lines.append(f"{drops} to drop, {releases} to release, {kept} to keep; nothing was changed.")
        else:
            lines.append(f"{drops} dropped, {releases} released, {kept} kept.")
        if self.decided:
            lines.append(f"{'It would free' if self.dry_run else 'Freed'} {self._frees}: {footprint.FORMULA}.")
        return [*lines, *([self.left] if self.left else [])]

    @property
    def _frees(self) -> Footprint:
        return Footprint.total(each.frees for each in self.decided if each.frees)

    def facts(self) -> dict[str, Any]:
        def told(decisions: tuple[Decision, ...]) -> list[dict[str, Any]]:
            return [{"pair": each.entry.pair.collection, "why": each.why} | _bytes(each.frees) for each in decisions]

        return {
            "dry_run": self.dry_run,
            "steps": [str(step) for step in self.plan.steps()],
            "drop": told(self.plan.to(Fate.DROP)),
            "release": told(self.plan.to(Fate.RELEASE)),
            "keep": [{"pair": each.entry.pair.collection, "why": each.why} for each in self.plan.to(Fate.KEEP)],
            "untouched": [{"collection": broken.collection, "why": broken.why} for broken in self.plan.untouched],
            "dropped": told(tuple(each for each in self.done if each.fate is Fate.DROP)),
            "released": told(tuple(each for each in self.done if each.fate is Fate.RELEASE)),
            "frees": _bytes(self._frees) | {"how": footprint.FORMULA},
            "left": self.left,
        }


def cleanup(parts: Parts, *, dry_run: bool, tell: Told = lambda step, remark: None) -> CleanedUp:
    """Safe to run again. Never touches a collection that has an alias, that the kit did not stamp, or that somebody is filling.

    `tell` is told of each step. Raises Refused, with the remaining pairs untouched, when the world moved meanwhile, and while another process changes
    production.
    """
    if dry_run:
        return CleanedUp(planned(parts), dry_run=True)
    with locked(parts, "cleanup") as held:
        tell(Step("lock", ""), "")
        _close_interrupted(held)
        plan = planned(parts)
        at = parts.now()
        if plan.acts:  # or every night would fill the history
            held.record(_act(parts, plan.acts, at).model_copy(update={"outcome": NOT_FINISHED}))
            tell(Step("begin", ""), "")
        done = retention.apply(plan, parts.store, check=held.check, tell=tell)
        if plan.acts:
            held.record(_act(parts, done, at))
            tell(Step("record", ""), "")
        left = _told(parts, held)
        tell(Step("registry", ""), left)
    tell(Step("unlock", ""), "")
    return CleanedUp(plan, done, left=left)


def _close_interrupted(held: Lock) -> None:
    """What an earlier cleanup did before it was killed is done; the rest is this one's."""
    for act in held.acts():
        if act.kind is ActKind.CLEANUP and act.outcome == NOT_FINISHED:
            held.record(act.model_copy(update={"outcome": "interrupted", "told": False}))


def _act(parts: Parts, decisions: Sequence[Decision], at: datetime) -> Act:
    environment = parts.settings.environment
    drops, releases = ([each.entry.pair.collection for each in decisions if each.fate is fate] for fate in (Fate.DROP, Fate.RELEASE))
    frees = Footprint.total(each.frees for each in decisions if each.frees)
    return Act(
        kind=ActKind.CLEANUP,
        id=Act.new_id(ActKind.CLEANUP, at, ""),
        at=at,
        by=environment.actor,
        alias=parts.settings.alias,
        why="; ".join(f"{verb} {', '.join(names)}" for verb, names in (("drop", drops), ("release", releases)) if names)[:_WHY_CHARS],
        url=environment.build_url,
        details={"dropped": str(len(drops)), "released": str(len(releases)), "memory_bytes": str(frees.memory), "disk_bytes": str(frees.disk)},
    )


def _told(parts: Parts, held: Lock) -> str:
    """Why MLflow did not hear of it; empty where it did. The next act tells it."""
    try:
        tell_runs(parts, held)
    except KitError as error:
        return f"MLflow has no run of this: {error}"
    return ""


def planned(parts: Parts) -> RetentionPlan:
    """What is to be done now. Where a pair that would go shows beats, it takes a few seconds to see whether they go on."""
    store, policy = parts.store, Policy.of(parts.settings)
    world = catalogue.read(store, parts.settings)
    first = retention.plan(world, policy, now=parts.now(), seen=_seen(store, world))
    watched = filling.watch(store, [each.entry.pair.collection for each in first.acts])
    if watched.alive:  # whoever was at work may have changed the stamp meanwhile
        world = catalogue.read(store, parts.settings)
    return retention.plan(world, policy, now=parts.now(), seen=_seen(store, world, watched))


def _seen(store: VectorStore, world: Catalogue, watched: Watched | None = None) -> Seen:
    loaded = frozenset(name for each in world.entries if store.open(name := each.pair.collection).is_loaded())
    watched = watched or Watched(frozenset(), frozenset())
    return Seen(watched.alive, watched.silent, loaded, _under_canary(store, world))


def _under_canary(store: VectorStore, world: Catalogue) -> dict[str, str]:
    """The candidate that answers a share of production's queries, without an alias of its own."""
    if world.production is None:
        return {}
    name = world.production.pair.collection
    try:
        running = Canary.in_force(name, store.properties(name) or {}, world.production.stamp)
    except Refused:  # no client can read it either, so none asks the candidate
        return {}
    return {running.pair: f"canary {running.id} asks it"} if running else {}


def _bytes(size: Footprint | None) -> dict[str, int | None]:
    return {"memory_bytes": size.memory if size else None, "disk_bytes": size.disk if size else None}

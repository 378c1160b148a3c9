"""What `cleanup` and `discard` have in common: a retention plan, made from what is seen now, and applied step by step as one recorded act."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from scripts import catalogue, filling, retention
from scripts.canary import Canary
from scripts.catalogue import Catalogue
from scripts.errors import KitError, Refused
from scripts.filling import Watched
from scripts.footprint import Footprint
from scripts.jobs.acts import NOT_FINISHED, tell_runs
from scripts.jobs.switching import Told
from scripts.ledger import Act, ActKind
from scripts.lock import Lock
from scripts.ports import Parts, VectorStore
from scripts.retention import Decision, Fate, RetentionPlan, Seen
from scripts.switch import Step

Plan = Callable[[Catalogue, Seen], RetentionPlan]
"""Decides, given the world and what the stamps do not say."""

_DROPS = (ActKind.CLEANUP, ActKind.DISCARD)
_WHY_CHARS = 2_000


def planned(parts: Parts, plan: Plan) -> RetentionPlan:
    """What is to be done now. Where a pair that would go shows beats, it takes a few seconds to see whether they go on."""
    store = parts.store
    world = catalogue.read(store, parts.settings)
    first = plan(world, _seen(store, world))
    watched = filling.watch(store, [each.entry.pair.collection for each in first.acts])
    if watched.alive:  # whoever was at work may have changed the stamp meanwhile
        world = catalogue.read(store, parts.settings)
    return plan(world, _seen(store, world, watched))


def close_interrupted(held: Lock) -> None:
    """What an earlier one did before it was killed is done; the rest is this one's, or the next cleanup's."""
    for act in held.acts():
        if act.kind in _DROPS and act.outcome == NOT_FINISHED:
            held.record(act.model_copy(update={"outcome": "interrupted", "told": False}))


def carried_out(plan: RetentionPlan, parts: Parts, held: Lock, blank: Act, tell: Told) -> tuple[Decision, ...]:
    """What was done of the plan. `blank` is the act, without what it drops. Raises as `retention.apply`."""
    if plan.acts:  # or every night would fill the history
        held.record(_filled(blank, plan.acts).model_copy(update={"outcome": NOT_FINISHED}))
        tell(Step("begin", ""), "")
    done = retention.apply(plan, parts.store, check=held.check, tell=tell)
    if plan.acts:
        held.record(_filled(blank, done))
        tell(Step("record", ""), "")
    return done


def blank_act(parts: Parts, kind: ActKind, at: datetime, reason: str = "") -> Act:
    environment = parts.settings.environment
    return Act(kind=kind, id=Act.new_id(kind, at, ""), at=at, by=environment.actor, alias=parts.settings.alias, why=reason, url=environment.build_url)


def _filled(blank: Act, decisions: Sequence[Decision]) -> Act:
    drops, releases = ([each.entry.pair.collection for each in decisions if each.fate is fate] for fate in (Fate.DROP, Fate.RELEASE))
    frees = Footprint.total(each.frees for each in decisions if each.frees)
    acts = [f"{verb} {', '.join(names)}" for verb, names in (("drop", drops), ("release", releases)) if names]
    details = {"dropped": str(len(drops)), "released": str(len(releases)), "memory_bytes": str(frees.memory), "disk_bytes": str(frees.disk)}
    return blank.model_copy(update={"why": "; ".join(filter(None, [blank.why, *acts]))[:_WHY_CHARS], "details": details})


def told_runs(parts: Parts, held: Lock) -> str:
    """Why MLflow did not hear of it; empty where it did. The next act tells it."""
    try:
        tell_runs(parts, held)
    except KitError as error:
        return f"MLflow has no run of this: {error}"
    return ""


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

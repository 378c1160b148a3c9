"""`promote`: point production at a validated pair, see that it answers as it should, then move its model version in MLflow."""

from __future__ import annotations

from dataclasses import dataclass, replace

from scripts import catalogue, evidence, golden, switch
from scripts.behind import Behind
from scripts.catalogue import Entry
from scripts.errors import Inconclusive, Refused, Unreachable, UsageError
from scripts.evidence import Evidence, Moment
from scripts.golden import Suite
from scripts.jobs.catch_up import behind_source, catch_up
from scripts.jobs.switching import ROLLED_BACK, NotAsPromised, Switched, Switching, Told, planned
from scripts.ports import Parts
from scripts.quality.asking import Questions, questions


@dataclass(frozen=True)
class Approval:
    """What a person said yes to, and why. Without the evidence's digest it is to what was made in this pipeline; outside of one, to whatever is stamped
    on the pair."""

    evidence: str | None = None
    reason: str = ""
    pipeline: str = ""
    """In which this is run."""

    def refuse_other(self, pair: str, stamped: Evidence) -> None:
        """Raises Refused where the pair stands on evidence that nobody said yes to."""
        now = f"{pair} now stands on {stamped.digest[:12]}"
        if self.evidence is not None:
            if self.evidence != stamped.digest:
                raise Refused(f"Evidence {self.evidence[:12]} was approved, but {now}.", hint="Approve the new evidence.")
        elif self.pipeline and stamped.pipeline != self.pipeline:
            made = f"made in pipeline {stamped.pipeline}" if stamped.pipeline else "made by hand"
            raise Refused(f"{now}, {made}: nobody approved that in this pipeline.", hint="Run `validate` in it again, or name the digest with --evidence.")


def promote(parts: Parts, pair: str, approval: Approval = Approval(), *, dry_run: bool = False, tell: Told = lambda step, remark: None) -> Switched:
    """Safe to run again: after a crash at any point the same command finishes the job. The first promotion creates the alias.

    `tell` is told of each step.
    Where the pair does not answer as its evidence says, production goes back to what it was, and the result says so.

    Raises Refused for a pair that is not validated, whose evidence the world has left behind, or while another process changes production;
    ProductionMoved when the alias moved.
    """
    world = catalogue.read(parts.store, parts.settings)
    entry = world.find(pair)
    plan = switch.plan_promotion(world, entry, approval.reason)
    if not plan.switched_before:
        plan = _with_changes(plan, parts, approval)
    elif approval.evidence is not None:
        approval.refuse_other(pair, evidence.of_stamp(pair, entry.stamp))
    if dry_run:
        return planned(plan, parts)
    done = Promotion(plan, parts, approval, tell).carry_out()
    if plan.kind is switch.Kind.ROLLBACK and not entry.is_production:  # the way back of an earlier run that was interrupted, and so its answer
        forth = switch.SwitchPlan(switch.Kind.PROMOTION, plan.alias, pair, plan.to, entry)
        return replace(done, plan=forth, failure=plan.reason or f"a rollback to {plan.to.pair} had begun, and is finished now.")
    return done


class Promotion(Switching):
    """Brings the source's changes in before the switch, and asks the golden queries after it."""

    def __init__(self, plan: switch.SwitchPlan, parts: Parts, approval: Approval, tell: Told) -> None:
        super().__init__(plan, parts, tell)
        self._approval = approval
        self._questions: Questions | None = None

    def lock(self) -> str | None:
        """An earlier run may have been killed when it had taken a first promotion back, but not said so: the pair is not tried again."""
        super().lock()
        last, pair = self._last(), self.plan.to
        if last and last.outcome.startswith(ROLLED_BACK) and pair.stamp.unfinished:
            why = last.outcome.removeprefix(ROLLED_BACK)
            switch.withdraw(self.plan, self.parts.store, why, self._lock.check)
            raise Refused(f"{pair.pair} was taken out of production: {why}", hint=f"Run `validate --pair {pair.pair}` to try it again.")
        return None

    def catch_up(self) -> str | None:
        done = catch_up(self.parts, self.plan.to.pair.collection, expected=self.plan.behind.total)
        self.plan = replace(self.plan, to=self._world().find(self.plan.to.pair.collection))
        report = done.embedded.report
        return f"{report.written:,} written, {report.deleted:,} deleted"

    def check(self) -> str | None:
        """Last of all that comes before the switch, because getting a model may take minutes. A registry that is down stops a promotion here where the
        model is not at hand: production does not need it so badly that nobody should see what it does."""
        if self.parts.settings.promotion.verify:
            self._questions = questions(self.plan.to, self._suite(), self.parts)
            self._lock.check()
        _check(self.parts, self.plan.to, self._approval, self.plan.expected)
        return None

    def verify(self) -> str | None:
        to, suite = self.plan.to, self._suite()
        stamped = evidence.of_stamp(to.pair.collection, to.stamp)
        if suite.digest != stamped.suite_digest:
            raise Inconclusive(
                f"{self.plan.alias} points to {to.pair}, but the golden suite is not the one of its evidence any more, so nobody can say whether it serves well.",
                hint="Run the same command with that suite, or `rollback`.",
            )
        asked = self._questions or questions(to, suite, self.parts)
        expected, found = stamped.means, asked.asked_of(self.parts.store.through(self.plan.alias, to.stamp.layout), suite).means
        allowed = self.parts.settings.promotion.max_loss
        lost = [f"{name} {found.get(name, 0.0):.4f} instead of {mean:.4f}" for name, mean in expected.items() if mean - found.get(name, 0.0) > allowed]
        if lost:
            raise NotAsPromised(f"Through {self.plan.alias} the golden queries find less than the evidence says: {', '.join(lost)}.")
        return ", ".join(f"{name} {found[name]:.4f}" for name in expected)

    def _suite(self) -> Suite:
        return golden.load(self.parts.settings.golden_folder)


def _with_changes(plan: switch.SwitchPlan, parts: Parts, approval: Approval) -> switch.SwitchPlan:
    """The plan, with what the source has and the pair does not. Raises as `promote`."""
    entry, policy = plan.to, parts.settings.promotion
    if policy.catch_up and entry.is_half_caught_up and entry.stamp.changed_rows > 0:
        # An earlier run was killed in its catch-up: everything else is checked when this one has gone through with it.
        plan = replace(plan, behind=behind_source(parts, entry))
        evidence.refuse_much_changed(evidence.of_stamp(entry.pair.collection, entry.stamp), entry.stamp.changed_rows + plan.behind.total, policy)
        return plan
    _check(parts, entry, approval, plan.expected)  # before the source is read, which may take long
    if policy.catch_up:
        plan = replace(plan, behind=behind_source(parts, entry))
        _check(parts, entry, approval, plan.expected, plan.behind)
    return plan


def _check(parts: Parts, entry: Entry, approval: Approval, production: str | None, pending: Behind = Behind()) -> None:
    entry.refuse_half_caught_up()
    stamped = evidence.of_stamp(entry.pair.collection, entry.stamp)
    approval.refuse_other(entry.pair.collection, stamped)
    collection = parts.store.open(entry.pair.collection)
    if not collection.is_loaded():
        raise Refused(f"{entry.pair} is not loaded, so queries would fail after the switch.", hint=f"Run `finish --pair {entry.pair}` and try again.")
    moment = Moment(rows=collection.count(), production=production, now=parts.now(), pending=pending.total)
    evidence.check_current(stamped, entry.stamp, golden.load(parts.settings.golden_folder), moment, parts.settings.promotion)
    _refuse_without_model(entry, parts)


def _refuse_without_model(entry: Entry, parts: Parts) -> None:
    """Nobody could query a pair whose model version is gone. A registry that is down is no reason not to switch."""
    model = entry.stamp.model
    try:
        parts.registry.version(model.name, model.version)
    except UsageError as error:
        raise Refused(f"{entry.pair} has lost its model. {error.what}", hint="Build another.") from None
    except Unreachable:
        return
